"""Label files: from what a mask file holds (numbers, palette indices, colours) to class ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from segscape.errors import DataError
from segscape.image import MAX_PIXELS
from segscape.labels import LabelSet

RawValue: TypeAlias = int | tuple[int, int, int]
"""What one pixel of a label file holds: a number, or (r, g, b) in a colour-coded mask."""

_GREY, _LOW_DEPTHS = 0, (2, 4)  # PNG colour type and bit depths (PNG specification, section 11.2.1)


def show_value(value: RawValue) -> str:
    """``37`` or ``#ff0000``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def read_label_file(path: str | os.PathLike[str]) -> np.ndarray:
    """The raw content of a PNG, TIFF, BMP or GIF (told by content, not by name): what is stored, before any meaning.

    Returns:
        uint8 or uint16 (H, W): grey values (1 to 16 bits; 32-bit files whose values fit 16) or palette indices; or
        uint8 (H, W, 3) RGB of a colour-coded mask. An orientation tag is not applied.

    Raises:
        DataError: not such an image, truncated, too large, a JPEG (which changes values), or of a pixel type that
            cannot hold classes.
    """
    name = repr(os.fspath(path))
    if not Path(path).is_file():
        raise DataError(f"{name}: labels cannot be read (no such file, or a folder, pipe or broken link); restore them")
    try:
        mode, values = _decode(Path(path), name)
    except DataError:
        raise
    except Exception as error:  # decoders throw everything from SyntaxError to OverflowError on damaged files
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name}: labels cannot be read ({reason}); export them again as PNG") from error
    if mode in ("RGBA", "LA"):
        if int(values[..., -1].min()) < 255:
            raise DataError(f"{name}: labels are partly transparent; export them as 8-bit grey or palette PNG")
        values = values[..., :3] if mode == "RGBA" else values[..., 0]
    if mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        return np.ascontiguousarray(values, np.uint8)
    if mode.startswith("I") and int(values.min()) >= 0 and int(values.max()) <= 65535:
        return values.astype(np.uint16)
    raise DataError(f"{name}: pixels of type {mode!r} cannot be class ids; export 8- or 16-bit grey or palette PNG")


def _decode(path: Path, name: str) -> tuple[str, np.ndarray]:
    """PIL's mode, and pixels as they are stored."""
    from PIL import BmpImagePlugin, GifImagePlugin, PngImagePlugin, TiffImagePlugin

    # The plugins are called directly, because PIL.Image.open obeys PIL's own process-wide pixel limit.
    plugins = {
        b"\x89PNG": PngImagePlugin.PngImageFile,
        b"II*\0": TiffImagePlugin.TiffImageFile,
        b"MM\0*": TiffImagePlugin.TiffImageFile,
        b"GIF8": GifImagePlugin.GifImageFile,
        b"BM": BmpImagePlugin.BmpImageFile,
    }
    with path.open("rb") as stream:
        head = stream.read(26)
        stream.seek(0)
        plugin = next((plugin for magic, plugin in plugins.items() if head.startswith(magic)), None)
        if plugin is None:
            jpeg = head.startswith(b"\xff\xd8")
            found = "a JPEG, which blurs class ids into false ones" if jpeg else "no PNG, TIFF, BMP or GIF"
            raise DataError(f"{name}: labels are {found}; export them again as PNG")
        file = plugin(stream)
        if file.width * file.height > MAX_PIXELS:
            raise DataError(f"{name}: labels of {file.width} × {file.height} pixels are too large; cut them up")
        values = np.asarray(file)
        if plugin is PngImagePlugin.PngImageFile and head[25] == _GREY and head[24] in _LOW_DEPTHS:
            values = values // (255 // (2 ** head[24] - 1))  # PIL has spread these levels over 0…255
        return file.mode, values


def raw_counts(raw: np.ndarray) -> dict[RawValue, int]:
    """Pixels of each value or colour that occurs in ``raw`` (as from `read_label_file`), in ascending order."""
    if raw.ndim == 3:
        values, counts = np.unique(_packed(raw), return_counts=True)
        return {(v >> 16, v >> 8 & 255, v & 255): n for v, n in zip(values.tolist(), counts.tolist(), strict=True)}
    counts = np.bincount(raw.ravel())
    values = np.flatnonzero(counts)
    return dict(zip(values.tolist(), counts[values].tolist(), strict=True))


class LabelCoder:
    """Turns what label files hold into class ids.

    Attributes:
        known: class id or ignore index of every number and colour that means something: a value named in the value
            map becomes what is said there; else a number must be a class id or the ignore index, and a colour that
            of a class.
        dtype: of encoded labels: uint8 where the ignore index and every id are below 256, else uint16.
    """

    def __init__(self, label_set: LabelSet, value_map: Mapping[RawValue, int]) -> None:
        self.known: dict[RawValue, int] = {label.color: i for i, label in reversed(list(enumerate(label_set)))}
        self.known |= {i: i for i in (*range(len(label_set)), label_set.ignore_index)}
        self.known |= dict(value_map)
        self.dtype = np.uint8 if label_set.ignore_index < 256 and len(label_set) <= 256 else np.uint16
        self._ignore = label_set.ignore_index
        self._colors = {_pack(c): i for c, i in self.known.items() if isinstance(c, tuple)}
        numbers = [v for v in self.known if isinstance(v, int)]
        self._numbers = np.full(65536, -1, np.int32)
        self._numbers[numbers] = [self.known[v] for v in numbers]

    def encode(self, raw: np.ndarray) -> tuple[np.ndarray, dict[RawValue, int]]:
        """Class ids of ``raw``: uint8 or uint16 (H, W), or uint8 (H, W, 3), as from `read_label_file`.

        Returns:
            Labels (H, W) of ``dtype``, the ignore index where the value means nothing; and those strays with their
            pixel counts, most first.
        """
        if raw.ndim == 3:
            there, indices = np.unique(_packed(raw), return_inverse=True)
            indices = indices.reshape(raw.shape[:2])
            table = np.array([self._colors.get(code, -1) for code in there.tolist()], np.int32)
        else:
            indices, table = raw, self._numbers[: np.iinfo(raw.dtype).max + 1]
        strays: dict[RawValue, int] = {}
        if (table < 0)[indices].any():
            strays = {value: count for value, count in raw_counts(raw).items() if value not in self.known}
            strays = dict(sorted(strays.items(), key=lambda pair: -pair[1]))
        return np.where(table < 0, self._ignore, table).astype(self.dtype)[indices], strays


def _packed(rgb: np.ndarray) -> np.ndarray:
    parts = rgb.astype(np.uint32)
    return parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]


def _pack(color: tuple[int, int, int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
