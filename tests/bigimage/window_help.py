"""A picture of odd size in several kinds, and whether a file of it gives the right windows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segscape.bigimage import Georeference, WindowedImage, open_big_image

RNG = np.random.default_rng(0)
SIZE = (131, 197)
RGB = RNG.integers(0, 256, (*SIZE, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (*SIZE, 3), np.uint16)
FOUR = RNG.integers(0, 256, (*SIZE, 4), np.uint8)
GREY = RGB[..., 0]
WINDOWS = [(0, 0, *SIZE), (0, 0, 1, 1), (130, 196, 1, 1), (60, 70, 10, 100), (16, 32, 64, 64), (5, 0, 126, 3)]
GEO = Georeference.of((0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0), 32633, geographic=False)


@contextmanager
def opened(path: Path) -> Iterator[WindowedImage]:
    image = open_big_image(path)
    try:
        yield image
    finally:
        image.close()


def check(path: Path, wanted: np.ndarray) -> None:
    with opened(path) as image:
        check_windows(image, wanted)


def check_windows(image: WindowedImage, wanted: np.ndarray) -> None:
    assert image.size == wanted.shape[:2]
    for y, x, height, width in WINDOWS:
        window = image.read(y, x, height, width)
        assert window.dtype == np.uint8
        np.testing.assert_array_equal(window, wanted[y : y + height, x : x + width])


def rasterio_file(
    path: Path,
    pixels: np.ndarray = RGB,
    colormap: dict[int, tuple[int, int, int]] | None = None,
    **options: Any,
) -> None:
    """Write (H, W) or (H, W, S) of any dtype with GDAL; a GeoTIFF unless the options say another driver."""
    rasterio = pytest.importorskip("rasterio")
    bands = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    facts = {"count": len(bands), "height": SIZE[0], "width": SIZE[1], "dtype": pixels.dtype}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(*GEO.transform)}
    with rasterio.Env(), rasterio.open(path, "w", **{"driver": "GTiff", **facts, **place, **options}) as file:
        if colormap is not None:
            file.write_colormap(1, colormap)
        file.write(bands)
