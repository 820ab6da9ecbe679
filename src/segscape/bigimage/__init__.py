"""Pictures larger than memory: read by windows, and label maps of them written band by band."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from segscape.bigimage.chunks import TileFolder, ZarrImage, is_zarr
from segscape.bigimage.raster import RasterImage
from segscape.bigimage.tiff import NeedsGdal, TiffImage, is_tiff
from segscape.bigimage.windowed import ArrayImage, Georeference, WindowedImage
from segscape.errors import ImageError

_GDAL_SUFFIXES = {".jp2", ".j2k", ".img"}

__all__ = ["ArrayImage", "Georeference", "WindowedImage", "open_big_image", "size_by_windows"]


def open_big_image(path: str | os.PathLike[str]) -> WindowedImage:
    """Open a picture to be read by windows: a TIFF, a Zarr array, a folder of tiles, or what GDAL reads.

    Raises:
        ImageError: it is none of these, it is damaged, or what would read it is not installed.
    """
    where = Path(path)
    with _explained(path):
        if where.is_dir():
            return ZarrImage(path) if is_zarr(where) else TileFolder(path)
        if _is_pipe_or_device(where):
            raise ImageError(
                f"{os.fspath(path)!r}: is a pipe or device, which gives no windows; save the picture to a file first"
            )
        tiff = is_tiff(where)
    if not tiff:
        return RasterImage(path)
    try:
        return TiffImage(path)
    except NeedsGdal as kind:
        return RasterImage(path, f"is a TIFF of a kind of its own ({kind})")


def size_by_windows(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(height, width) of a picture that can be read by windows; None for files that only give themselves whole.

    Raises:
        ImageError: it cannot be read at all.
    """
    where = Path(path)
    with _explained(path):
        if _is_pipe_or_device(where):
            return None
        if where.is_file() and not is_tiff(where) and where.suffix.lower() not in _GDAL_SUFFIXES:
            return None
    image = open_big_image(path)
    try:
        return image.size
    finally:
        image.close()


def _is_pipe_or_device(path: Path) -> bool:
    """Of which none may be opened to look what it is: a pipe would wait for a writer for ever."""
    return path.exists() and not path.is_dir() and not path.is_file()


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses within is an `ImageError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{os.fspath(path)!r}: cannot be read ({error.strerror or error})") from error
