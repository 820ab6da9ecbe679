"""Rasters that GDAL reads: their pixels are those of the ordinary way."""

import sys

import numpy as np
import pytest
import tifffile
from window_help import DEEP, GEO, GREY, RGB, RNG, check, check_windows, opened, rasterio_file

from segscape.bigimage import open_big_image
from segscape.bigimage.raster import RasterImage
from segscape.errors import ImageError
from segscape.image import read_image


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw", "tiled": True, "blockxsize": 64, "blockysize": 64},
        {"compress": "deflate", "interleave": "band"},
        {"compress": "zstd"},
        {"tiled": True, "blockxsize": 64, "blockysize": 64, "photometric": "RGB"},
    ],
    ids=str,
)
def test_what_gdal_writes_is_read_with_its_place_on_the_ground(tmp_path, options):
    rasterio_file(tmp_path / "a.tif", **options)
    check(tmp_path / "a.tif", RGB)
    with opened(tmp_path / "a.tif") as image:
        place = image.georeference
    assert place is not None
    assert place.transform == pytest.approx(GEO.transform)
    assert place.epsg == 32633


def test_jpeg_2000(tmp_path):
    rasterio_file(tmp_path / "a.jp2", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    check(tmp_path / "a.jp2", RGB)


def test_a_file_that_only_points_elsewhere_is_not_read(tmp_path):
    rasterio_file(tmp_path / "a.tif")
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(ImageError, match="cannot be read by windows"):
        open_big_image(tmp_path / "a.vrt")


def of_bits(bits: int) -> np.ndarray:
    return (DEEP[..., 0] >> (16 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)


def as_grey(stored: np.ndarray, bits: int) -> np.ndarray:
    return np.repeat(np.rint(stored * (255 / (2**bits - 1))).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("compress", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 12])
def test_black_is_0_and_white_is_255_whatever_the_bits_of_a_pixel(tmp_path, bits, compress):
    rasterio_file(tmp_path / "a.tif", of_bits(bits), nbits=bits, compress=compress)
    check(tmp_path / "a.tif", as_grey(of_bits(bits), bits))
    if bits != 7 and compress == "none":  # which the ordinary way reads
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, as_grey(of_bits(bits), bits))


@pytest.mark.parametrize("compress", ["none", "lzw"])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_white_may_be_zero(tmp_path, bits, compress):
    rasterio_file(tmp_path / "a.tif", of_bits(bits), nbits=bits, compress=compress, photometric="MINISWHITE")
    check(tmp_path / "a.tif", 255 - as_grey(of_bits(bits), bits))


def test_jpeg_2000_of_12_bits(tmp_path):
    options = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
    rasterio_file(tmp_path / "a.jp2", of_bits(12), nbits=12, **options)
    check(tmp_path / "a.jp2", as_grey(of_bits(12), 12))


def test_colours_of_few_bits(tmp_path):
    rasterio_file(tmp_path / "a.tif", RGB >> 4, nbits=4, photometric="RGB")
    check(tmp_path / "a.tif", (RGB >> 4) * np.uint8(17))


@pytest.mark.parametrize("compress", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_any_bits(tmp_path, bits, compress):
    colors = RNG.integers(0, 256, (2**bits, 3), np.uint8)
    colormap = {level: (int(r), int(g), int(b)) for level, (r, g, b) in enumerate(colors)}
    rasterio_file(tmp_path / "a.tif", of_bits(bits), colormap, nbits=bits, compress=compress, photometric="palette")
    check(tmp_path / "a.tif", colors[of_bits(bits)])


def test_a_palette_of_16_bits(tmp_path):
    pytest.importorskip("rasterio")
    colors = RNG.integers(0, 256, (3, 65536)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., 0], photometric="palette", colormap=colors * 257)
    image = RasterImage(tmp_path / "a.tif")
    try:
        check_windows(image, colors.T.astype(np.uint8)[DEEP[..., 0]])
    finally:
        image.close()


def test_few_bits_without_rasterio(tmp_path, monkeypatch):
    rasterio_file(tmp_path / "a.tif", GREY >> 4, nbits=4)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImageError, match=r"4-bit pixels.*needs rasterio"):
        open_big_image(tmp_path / "a.tif")


@pytest.mark.parametrize("error", [ValueError("odd"), ImageError("odd"), KeyboardInterrupt("odd")])
def test_a_raster_that_cannot_be_used_is_closed_again(tmp_path, monkeypatch, error):
    rasterio = pytest.importorskip("rasterio")
    rasterio_file(tmp_path / "a.tif")
    files, open_one = [], rasterio.open

    def keep(*args, **options):
        files.append(open_one(*args, **options))
        return files[-1]

    def fail(image):
        raise error

    monkeypatch.setattr(rasterio, "open", keep)
    monkeypatch.setattr(RasterImage, "_georeference", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ImageError, match="odd"):
        RasterImage(tmp_path / "a.tif")
    assert [file.closed for file in files] == [True]
