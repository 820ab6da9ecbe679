"""Files to pixels: what `image.read_image` does inside. Formats are told in `file_kinds`, levels made in `pixels`."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from segscape.errors import ImageError
from segscape.file_kinds import file_kind, webp_size
from segscape.jpeg import decode_jpeg, read_header
from segscape.pixels import from_pil, levels_rgb, orientation, upright

# TIFF tags (TIFF 6.0, section 8)
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _SAMPLES = 256, 257, 258, 262, 273, 277
_STRIP_BYTES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA = 279, 284, 322, 323, 324, 325, 338
_BYTES_PER_PIXEL = 4  # more than a JPEG takes


def decode(
    file: IO[bytes], name: str, max_pixels: int, enough: Callable[[tuple[int, int]], tuple[int, int]] | None = None
) -> tuple[np.ndarray, str, tuple[int, int]]:
    """Pixels (H, W, 3) uint8, the mode they had, and the image's own upright (height, width).

    ``enough`` says for that size which size suffices; H and W are not less than that, and as the image's own otherwise.
    """
    kind = ""
    with damage_is_an_image_error(name, "file"):
        kind = file_kind(file, name)
    with damage_is_an_image_error(name, f"{kind} file"):
        if kind == "JPEG":
            if found := _decode_usual_jpeg(file, name, max_pixels, enough):
                return found
            file.seek(0)
        pixels, mode = _decode_tiff(file, name, max_pixels) if kind == "TIFF" else _decode(file, name, kind, max_pixels)
        return pixels, mode, (pixels.shape[0], pixels.shape[1])


def _decode_usual_jpeg(
    file: IO[bytes], name: str, max_pixels: int, enough: Callable[[tuple[int, int]], tuple[int, int]] | None
) -> tuple[np.ndarray, str, tuple[int, int]] | None:
    if file.seek(0, os.SEEK_END) > _BYTES_PER_PIXEL * max_pixels + 2**24:
        return None  # Pillow reads no further than it must
    file.seek(0)
    data = file.read()
    header = read_header(data)
    if header is None:
        return None
    height, width = header.size
    _check_size(width, height, name, max_pixels)
    turn = 1
    if header.has_app1:  # Pillow, because orientations come in EXIF and XMP, in all states of disrepair
        from PIL.JpegImagePlugin import JpegImageFile

        turn = orientation(JpegImageFile(io.BytesIO(data)))
    swapped = turn in (5, 6, 7, 8)
    size = (width, height) if swapped else (height, width)
    least = enough(size) if enough else size
    pixels = decode_jpeg(data, header, (least[1], least[0]) if swapped else least)
    return None if pixels is None else (upright(pixels, turn), header.mode, size)


def _decode(file: IO[bytes], name: str, kind: str, max_pixels: int) -> tuple[np.ndarray, str]:
    """By Pillow: any kind but TIFF."""
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    # The plugins are called directly, because PIL.Image.open obeys PIL's own process-wide pixel limit, which
    # belongs to the user and must be neither changed nor applied here.
    plugins = {
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
    }
    if kind == "WebP":  # PIL's decoder makes room for the canvas when the file is opened
        _check_size(*webp_size(file.read(30)), name, max_pixels)
        file.seek(0)
    im = plugins[kind](file)
    _check_size(im.width, im.height, name, max_pixels)
    mode = im.mode
    im.load()
    depth = 8
    if kind == "PNG":
        file.seek(24)  # bit depth in the IHDR chunk
        depth = file.read(1)[0]
    if depth == 16 and mode != "I;16":
        # PIL keeps the high byte only.
        file.seek(0)
        pixels, mode = levels_rgb(_cv2_decode(file.read())), f"{mode};16"
    else:
        if depth in (2, 4) and isinstance(im.info.get("transparency"), int) and mode == "L":
            # PIL scales these pixels to 0…255, but not their transparent level.
            im.info["transparency"] *= 255 // (2**depth - 1)
        pixels = from_pil(im)
    return upright(pixels, orientation(im)), mode


def _decode_tiff(file: IO[bytes], name: str, max_pixels: int) -> tuple[np.ndarray, str]:
    from PIL.Image import new
    from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

    header = file.read(8)
    if header[2:3] == b"+" or header[3:4] == b"+":
        header += file.read(8)
    tags = ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    width, height, photometric = int(tags[_WIDTH]), int(tags[_HEIGHT]), tags.get(_PHOTOMETRIC)
    _check_size(width, height, name, max_pixels)
    # A tile may be far larger than the image it belongs to.
    _check_size(int(tags.get(_TILE_WIDTH, 1)), int(tags.get(_TILE_HEIGHT, 1)), name, max_pixels)
    samples, bits, extra = tags.get(_SAMPLES, 1), set(tags.get(_BITS, (1,))), tags.get(_EXTRA, ())
    if max(bits) > 8 and samples > 1 and tags.get(_PLANAR, 1) == 2:
        raise ImageError(f"{name!r}: TIFF with separate colour planes of {max(bits)} bits; save it interleaved")
    # PIL cannot read some of these (big-endian 32-bit, 64-bit, float RGB) and misreads others (big-endian and
    # compressed); OpenCV, for its part, ignores what the extra samples mean, so only plain alpha goes there.
    if (
        len(bits) == 1
        and (depth := bits.pop()) in (16, 32, 64)
        and photometric in (0, 1, 2, None)
        and (samples in (1, 3) or (samples == 4 and depth == 16))
        and extra in ((), (2,))
    ):
        end = file.seek(0, os.SEEK_END)
        starts, counts = tags.get(_STRIPS) or tags.get(_TILES), tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES)
        if starts and counts and max(a + b for a, b in zip(starts, counts, strict=False)) > end:
            raise OSError("image file is truncated")
        file.seek(0)
        array = _cv2_decode(file.read())  # in a TIFF it applies the orientation, whatever the flags
        if array.dtype.itemsize * 8 != depth or array.size != width * height * samples:
            raise OSError(f"{depth}-bit TIFF of an unknown kind")
        pixels = levels_rgb(array)
        if photometric == 0:  # white is zero
            np.subtract(255, pixels, out=pixels)
        grey = {"u": "I;16" if header[:1] == b"I" else "I;16B", "f": "F"}.get(array.dtype.kind, "I")
        mode = {1: grey if depth == 16 or grey == "F" else "I", 3: f"RGB;{depth}", 4: f"RGBA;{depth}"}[samples]
        return pixels, mode
    file.seek(0)
    im = TiffImageFile(file)
    im.info.pop("xmp", None)  # of the wrong type it would stop PIL, and the orientation is a tag anyway
    # With its memory already there, PIL does not apply its own pixel limit.
    im.im = new(im.mode, (width, height)).im
    mode = im.mode
    im.load()  # which also applies the orientation
    pixels = from_pil(im, white=4095 if tags.get(_BITS) == (12,) else 65535)
    return pixels, mode


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{name!r}: declares {width} × {height} = {width * height:,} pixels, over the limit of {max_pixels:,}; "
            "raise max_pixels (--max-pixels, of `segscape predict` --max-memory) if you trust this file"
        )


def _cv2_decode(data: bytes) -> np.ndarray:
    import cv2

    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise OSError("OpenCV cannot decode it")
    return array


@contextlib.contextmanager
def damage_is_an_image_error(name: str, what: str) -> Iterator[None]:
    """Within, PIL's warnings are silent, and whatever a decoder throws becomes an `ImageError` about ``name``."""
    try:
        with _quiet_pil:
            yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name!r}: not enough memory to decode this {what}; use a smaller one") from error
    except Exception as error:  # decoders throw everything from SyntaxError to OverflowError on damaged files
        from PIL.Image import DecompressionBombError

        if isinstance(error, DecompressionBombError):
            raise ImageError(
                f"{name!r}: Pillow refuses this {what} ({error}); if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS"
            ) from error
        raise ImageError(
            f"{name!r}: this {what} is damaged, truncated or of an unsupported kind ({error}); copy or export it again"
        ) from error


class _QuietPil:
    """Ignores warnings from PIL while at least one thread is inside.

    Filters are process-wide, so threads share one change: the first in makes it and the last out undoes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_quiet_pil = _QuietPil()
