"""Images in: any usual file, bytes, PIL image or array becomes one kind of `Image`.

Files are recognised by their content, never by their name. What comes out is upright 8-bit RGB:

============================  ===========================================================================
in the file                   in the `Image`
============================  ===========================================================================
EXIF orientation              applied (all eight); a broken EXIF block is ignored
palette, 1-bit, grey          RGB
alpha, transparent colour     composited on white
CMYK, YCbCr, LAB              RGB (plain conversion; embedded colour profiles are not applied)
16 bits a channel             round(v · 255 / 65535): order and proportion of the levels are kept
32-bit integers, signed       0…255 as they are; else 0…65535 as 16-bit; else the range is stretched to 0…255
floats                        0…1 times 255; else the range is stretched to 0…255; NaN is 0, ±inf the range's end
animation, several pages      the first
============================  ===========================================================================
"""

from __future__ import annotations

import glob
import io
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from segscape.decode import damage_is_an_image_error, decode
from segscape.errors import ImageError, InputError
from segscape.pixels import from_pil, grey_or_color, orientation, to_uint8, upright

MAX_PIXELS = 250_000_000
AtLeast = tuple[int, int] | Callable[[tuple[int, int]], tuple[int, int]]
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An upright RGB image.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, C-contiguous, at least 1 × 1.
        source: the path as it was given, or "<bytes>" or "<array>".
        mode: what it was before: PIL's mode ("RGB", "CMYK", "I;16", "P", …; "RGB;16" for 16 bits a channel), or an
            array's dtype.
        reduced_from: upright (height, width) of the file's image where it was decoded smaller (see `read_image`), else
            None.
    """

    pixels: np.ndarray
    source: str = "<array>"
    mode: str = "RGB"
    reduced_from: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        p = self.pixels
        if not isinstance(p, np.ndarray) or p.dtype != np.uint8 or p.ndim != 3 or p.shape[2] != 3 or p.size == 0:
            found = f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else type(p).__name__
            raise InputError(f"image {self.source!r}: pixels must be uint8 (H, W, 3), got {found}; use as_image")
        if not p.flags.c_contiguous:
            raise InputError(f"image {self.source!r}: pixels must be C-contiguous; use numpy.ascontiguousarray")
        if not isinstance(self.source, str) or not isinstance(self.mode, str):
            raise InputError(f"image: source and mode must be text, got {self.source!r} and {self.mode!r}")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.pixels.shape[0]

    @property
    def full_size(self) -> tuple[int, int]:
        """(height, width) of the image itself; that of ``pixels`` unless they were decoded smaller."""
        return self.reduced_from or (self.height, self.width)

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.pixels.shape[1]


def read_image(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: AtLeast | None = None,
) -> Image:
    """Read a JPEG, PNG, WebP, TIFF, BMP or GIF (see the module's table for what becomes of its pixels).

    Args:
        source: a path, or the bytes of a file.
        max_pixels: the largest width × height that is decoded; compared with the header, before any decoding.
        at_least: the upright (height, width) that suffices, or what gives it for the image's own size. Where a decoder
            can (JPEG), the image is decoded at ½, ¼ or ⅛ of its size, rounded up, but never smaller than this: several
            times faster, one pixel for each 2 × 2, 4 × 4 or 8 × 8, up to the last. None for every pixel.

    Raises:
        ImageError: it cannot be opened, is no such image, is damaged or truncated, or is too large.
        InputError: ``source`` is neither a path nor bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, file = "<bytes>", io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        file = _open(name)
    else:
        raise InputError(f"an image is read from a path or bytes, got {type(source).__name__}; use as_image")
    with file:
        pixels, mode, full = decode(
            file, name, max_pixels, (lambda _: at_least) if isinstance(at_least, tuple) else at_least
        )
    return Image(pixels, name, mode, full if full != pixels.shape[:2] else None)


def as_image(x: Any, *, max_pixels: int = MAX_PIXELS, at_least: AtLeast | None = None) -> Image:
    """Make an `Image` of whatever the user has.

    Args:
        x: an `Image` (returned as it is); a path or the bytes of a file (see `read_image`); a PIL image (its EXIF
            orientation is applied); or an array (H, W) or (H, W, 1 | 3 | 4) in **RGB(A)** order: uint8, bool,
            uint16 (0…65535) or float (0…1). Alpha is composited on white. Arrays are copied.
        max_pixels, at_least: for files, as in `read_image`.

    Raises:
        ImageError: a file or PIL image cannot be read.
        InputError: the array's shape, dtype or range is none of these, or ``x`` is something else.
    """
    if isinstance(x, Image):
        return x
    if isinstance(x, (str, os.PathLike, bytes, bytearray, memoryview)):
        return read_image(x, max_pixels=max_pixels, at_least=at_least)
    if isinstance(x, np.ndarray):
        return Image(_from_array(x), "<array>", x.dtype.name)
    from PIL.Image import Image as PilImage

    if not isinstance(x, PilImage):
        raise InputError(
            f"cannot make an image of {type(x).__name__}; give a path, bytes, a PIL image, or a NumPy array "
            "(H, W, 3) in RGB order"
        )
    name, mode = os.fsdecode(getattr(x, "filename", "") or "<array>"), x.mode
    with damage_is_an_image_error(name, "PIL image"):
        x.load()
        pixels = upright(from_pil(x), orientation(x))
    return Image(pixels, name, mode)


def image_files(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that the arguments of a command name, in their order and without doubles.

    - A file is taken as it is, whatever its name (also one with ``*`` or ``[`` in it).
    - A folder gives its direct files with a usual image suffix (`IMAGE_SUFFIXES`), hidden files left out, in
      natural order (2.png before 10.png).
    - Anything else with ``*``, ``?`` or ``[`` is a pattern (``**`` for any depth) and gives the files it matches, of
      any suffix, hidden ones left out, in natural order.

    Raises:
        InputError: an input does not exist, cannot be listed, or gives no image.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    found: dict[str, Path] = {}
    for given in inputs:
        text = os.fsdecode(given)
        path = Path(text)
        if text and path.is_dir():
            files = _folder_images(path)
            if not files:
                raise InputError(f"{text!r}: no images in this folder (looked for {' '.join(sorted(IMAGE_SUFFIXES))})")
        elif text and path.exists():
            files = [path]
        elif glob.has_magic(text):
            # Path.glob takes no absolute patterns.
            matches = [Path(match) for match in glob.glob(text, recursive=True)]  # noqa: PTH207
            files = sorted((p for p in matches if p.is_file()), key=_natural)
            if not files:
                raise InputError(f"{text!r}: this pattern matches no file; check it, and quote it for the shell")
        else:
            raise InputError(f"{text!r}: no such file or folder; check the path")
        for file in files:
            found.setdefault(os.path.normpath(file.absolute()), file)
    return list(found.values())


def _folder_images(folder: Path) -> list[Path]:
    try:
        files = [
            p
            for p in folder.iterdir()
            if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
        ]
    except OSError as error:
        raise InputError(f"{str(folder)!r}: cannot be listed ({error.strerror}); check its rights") from error
    return sorted(files, key=_natural)


def _natural(path: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", str(path).casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], str(path)


def _open(name: str) -> IO[bytes]:
    try:
        path = Path(name)
        kind = path.stat().st_mode
        # Only regular files are opened: opening a pipe would wait for a writer for ever.
        if stat.S_ISREG(kind):
            return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name!r}: no such file; check the path") from None
    except PermissionError:
        raise ImageError(f"{name!r}: no permission to read it; check the rights of the file and its folder") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name!r}: cannot be opened ({reason}); check the path") from error
    if stat.S_ISDIR(kind):
        raise ImageError(f"{name!r}: is a folder, not an image; name a file in it")
    raise ImageError(f"{name!r}: is a pipe or device, not a file; save the image to a file first")


def _from_array(x: np.ndarray) -> np.ndarray:
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    shape_fits = x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3, 4))
    if not shape_fits or x.size == 0:
        hint = "; it looks channels-first: use x.transpose(1, 2, 0)" if x.ndim == 3 and x.shape[0] in (1, 3, 4) else ""
        raise InputError(f"an image array must be (H, W) or (H, W, 1 | 3 | 4) and not empty, got {x.shape}{hint}")
    if x.dtype.kind == "f":
        if not (x.min() >= 0 and x.max() <= 1):
            raise InputError(
                f"a float image array must lie in 0…1, got {x.min():.6g}…{x.max():.6g}; divide it by its white level, "
                "and replace NaN"
            )
    elif x.dtype not in (np.uint8, np.bool_, np.uint16):
        raise InputError(f"an image array must be uint8, bool, uint16 or float in 0…1, got {x.dtype}; convert it")
    return grey_or_color(to_uint8(x))
