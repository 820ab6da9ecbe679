"""GeoTIFF of any compression, JPEG 2000 and a few more, by windows, through rasterio."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.windowed import Georeference, check_window, checked_type, rgb_of
from segscape.errors import ImageError

_CACHE_BYTES = 32 * 2**20
# Formats that only point at other files, or at addresses in a network (VRT, WMS), are not among them.
_DRIVERS = ["GTiff", "JP2OpenJPEG", "ENVI", "HFA", "EHdr"]


class RasterImage:
    """A raster that GDAL opens; see `segscape.bigimage.windowed.WindowedImage`.

    Raises:
        ImageError: rasterio is not installed, or the file is none that it reads.
    """

    def __init__(self, path: str | os.PathLike[str], why: str = "") -> None:
        self.source = os.fspath(path)
        try:
            import rasterio  # noqa: F401 (only to say early that it is missing)
        except ImportError:
            raise ImageError(
                f"{self.source!r}: {why or 'is no TIFF, Zarr or folder of tiles'}, which needs rasterio to be read by "
                "windows; install it with: pip install 'segscape[geo]'"
            ) from None
        from rasterio.errors import RasterioError

        self._errors = (RasterioError, OSError)
        self._data = self._opened(str(Path(path).absolute()))
        with contextlib.ExitStack() as undo:
            undo.callback(self._data.close)
            try:
                self._look()
            except ImageError:
                raise
            except Exception as error:  # what a driver hands on of a damaged header may be anything
                raise ImageError(
                    f"{self.source!r}: this raster is damaged or of an unsupported kind ({error}); convert it "
                    "(gdal_translate)"
                ) from error
            undo.pop_all()

    def _look(self) -> None:
        from rasterio.enums import ColorInterp

        data = self._data
        self.size = (data.height, data.width)
        for dtype in data.dtypes:
            checked_type(np.dtype(dtype), self.source)
        self.wide = data.block_shapes[0][1] >= self.size[1]
        levels = sum(np.dtype(dtype).itemsize for dtype in data.dtypes)
        self.piece_bytes = max(height * width for height, width in data.block_shapes) * levels
        kinds = data.colorinterp
        self._alpha = len(kinds) > 3 and kinds[3] == ColorInterp.alpha
        self._bands = list(range(1, 5 if self._alpha else min(data.count, 3) + 1))
        num_levels = max(np.iinfo(dtype).max for dtype in data.dtypes) + 1
        self._colors = None
        if kinds[0] == ColorInterp.palette:
            self._colors = np.zeros((num_levels, 3), np.uint8)
            for level, color in data.colormap(1).items():
                self._colors[level] = color[:3]
        self._levels = None
        if bits := data.tags(1, ns="IMAGE_STRUCTURE").get("NBITS"):
            self._levels = _levels_of(int(bits), num_levels)
        self._white_is_zero = data.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        self.georeference = self._georeference()

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        from rasterio.windows import Window

        check_window(self, y0, x0, height, width)
        try:
            with _gdal():
                window = self._data.read(self._bands, window=Window(x0, y0, width, height))  # type: ignore[call-arg]
        except self._errors as error:
            raise ImageError(
                f"{self.source!r}: is damaged near row {y0}, column {x0} ({error}); copy or export it again"
            ) from error
        if self._colors is not None:
            return self._colors[window[0]]
        if self._levels is not None:
            window = self._levels[window]
        pixels = rgb_of(window.transpose(1, 2, 0), alpha=self._alpha)
        return 255 - pixels if self._white_is_zero else pixels

    def close(self) -> None:
        self._data.close()

    def _opened(self, path: str) -> Any:
        import rasterio

        said = ""
        for driver in _DRIVERS:
            try:
                with _gdal():
                    return rasterio.open(path, driver=driver)
            except self._errors as error:
                said = said or str(error)
        raise ImageError(f"{self.source!r}: cannot be read by windows ({said})")

    def _georeference(self) -> Georeference | None:
        at, system = self._data.transform, self._data.crs
        if (at.is_identity and system is None) or not all(map(math.isfinite, at[:6])):
            return None
        code = None if system is None else system.to_epsg()
        geographic = system is not None and system.is_geographic
        return Georeference.of((at.a, at.b, at.c, at.d, at.e, at.f), code, geographic=geographic)


def _levels_of(bits: int, num_levels: int) -> np.ndarray:
    """What pixels of so many bits are as 0…255: (num_levels,) uint8. GDAL gives 12 bits as they are, in 16.

    The same levels as the ordinary way gives (`segscape.pixels`), round(v · 255 / (2**bits - 1)).
    """
    white = 2**bits - 1
    return np.rint(np.minimum(np.arange(num_levels), white) * (255 / white)).astype(np.uint8)


@contextlib.contextmanager
def _gdal() -> Iterator[None]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    # GDAL's block cache would take 5 % of the machine's memory; and it would look for files beside the one given.
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
