"""Pictures in TIFF files, sound, odd and damaged."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image
from window_help import DEEP, FOUR, GREY, RGB, RNG, SIZE, check, opened

from segscape.bigimage import open_big_image, size_by_windows
from segscape.errors import ImageError
from segscape.image import read_image

LAYOUTS = [
    {"tile": (32, 48)},
    {"tile": (256, 256)},
    {"rowsperstrip": 1},
    {"rowsperstrip": 50},
    {"tile": (64, 64), "compression": "zlib"},
    {"rowsperstrip": 16, "compression": "zlib", "predictor": True},
    {"tile": (64, 64), "bigtiff": True, "byteorder": ">"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("pixels", [RGB, DEEP, GREY, FOUR], ids=["rgb", "deep", "grey", "rgba"])
def test_windows_of_a_tiff_are_those_of_the_whole(tmp_path, layout, pixels):
    options = dict(layout)
    if pixels is FOUR:
        options["extrasamples"] = ["unassalpha"]
    photometric = "minisblack" if pixels.ndim == 2 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, **options)
    classic = tmp_path / "classic.tif"  # which the ordinary route reads
    tifffile.imwrite(classic, pixels, photometric=photometric, extrasamples=options.get("extrasamples"))
    check(tmp_path / "a.tif", read_image(classic).pixels)


def test_packbits(tmp_path):
    Image.fromarray(RGB // 64).save(tmp_path / "a.tif", compression="packbits")
    check(tmp_path / "a.tif", RGB // 64)


def test_infrared_is_no_opacity(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FOUR, photometric="rgb", extrasamples=["unspecified"])
    check(tmp_path / "a.tif", FOUR[..., :3])


def test_palette_and_white_is_zero(tmp_path):
    colors = RNG.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "p.tif", GREY, photometric="palette", colormap=colors, tile=(64, 64))
    check(tmp_path / "p.tif", (colors.T // 257).astype(np.uint8)[GREY])
    tifffile.imwrite(tmp_path / "w.tif", GREY, photometric="miniswhite", tile=(64, 64))
    check(tmp_path / "w.tif", np.repeat(255 - GREY[..., None], 3, axis=2))


@pytest.mark.parametrize(("layout", "wide"), [({"tile": (32, 48)}, False), ({"rowsperstrip": 4}, True)])
def test_strips_are_said_to_be_wide(tmp_path, layout, wide):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", **layout)
    with opened(tmp_path / "a.tif") as image:
        assert image.wide is wide


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_damaged_piece_is_told(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), compression=compression)
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].dataoffsets[-1]
    path.write_bytes(path.read_bytes()[: at + 20])
    with opened(path) as image:
        image.read(0, 0, 10, 10)
        with pytest.raises(ImageError, match="piece 11 of this TIFF is damaged"):
            image.read(0, 0, *SIZE)


LONG, SHORT, DOUBLE = 4, 3, 12
LENGTH, STRIP_ROWS, TILE_WIDTH, TILE_LENGTH, BYTE_COUNTS, PIXEL_SCALE, POINTS = 257, 278, 322, 323, 325, 33550, 33922


@pytest.mark.parametrize(
    ("layout", "code", "entry"),
    [
        ({}, STRIP_ROWS, struct.pack("<HHII", STRIP_ROWS, LONG, 1, 0)),
        ({}, LENGTH, struct.pack("<HHIHH", LENGTH, SHORT, 2, 131, 0)),
        ({"tile": (64, 64)}, TILE_WIDTH, struct.pack("<HHII", TILE_WIDTH, LONG, 1, 0)),
        ({"tile": (64, 64)}, TILE_LENGTH, struct.pack("<HHII", 65000, LONG, 1, 64)),
        ({"tile": (64, 64)}, BYTE_COUNTS, struct.pack("<HHII", BYTE_COUNTS, LONG, 1, 64 * 64 * 3)),
        ({"extratags": [(POINTS, DOUBLE, 6, (0.0,) * 6), (PIXEL_SCALE, DOUBLE, 1, 0.5)]}, None, b""),
    ],
    ids=["no rows in a strip", "two lengths", "no width of tiles", "no length of tiles", "one count", "half a scale"],
)
@pytest.mark.parametrize("look", [open_big_image, size_by_windows])
def test_an_odd_directory_is_told_as_the_fault_of_the_file(tmp_path, look, layout, code, entry):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", **layout)
    if code is not None:
        with tifffile.TiffFile(path) as file:
            at = file.pages[0].tags[code].offset
        data = bytearray(path.read_bytes())
        data[at : at + len(entry)] = entry
        path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif.*TIFF.*copy or export it again|a\.tif.*no TIFF that can be read"):
        look(path)


def test_offsets_that_are_no_numbers(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", rowsperstrip=33)
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags["StripOffsets"].offset
    data = bytearray(path.read_bytes())
    data[at : at + 12] = struct.pack("<HHI4s", 273, 2, 4, b"abcd")
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif.*TIFF"), opened(path) as image:
        image.read(0, 0, *SIZE)
