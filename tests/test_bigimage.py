"""Pictures read by windows, and label maps written by bands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segscape.bigimage import Georeference, WindowedImage, open_big_image, size_by_windows
from segscape.bigimage.label_bands import LabelBands
from segscape.bigimage.label_tiff import write_label_tiff
from segscape.bigimage.vectors import write_vectors
from segscape.errors import ConfigError, ImageError, ResourceError
from segscape.image import read_image

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
        assert image.size == wanted.shape[:2]
        for y, x, height, width in WINDOWS:
            window = image.read(y, x, height, width)
            assert window.dtype == np.uint8
            np.testing.assert_array_equal(window, wanted[y : y + height, x : x + width])


def test_the_size_of_what_can_be_read_by_windows(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert size_by_windows(tmp_path / "a.tif") == SIZE
    assert size_by_windows(tmp_path / "a.png") is None
    with pytest.raises(ImageError, match="none"):
        size_by_windows(tmp_path / "none.tif")


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


def rasterio_file(path: Path, driver: str = "GTiff", **options) -> None:
    rasterio = pytest.importorskip("rasterio")
    with (
        rasterio.Env(),
        rasterio.open(
            path,
            "w",
            driver=driver,
            height=SIZE[0],
            width=SIZE[1],
            count=3,
            dtype="uint8",
            crs="EPSG:32633",
            transform=rasterio.Affine(*GEO.transform),
            **options,
        ) as file,
    ):
        file.write(RGB.transpose(2, 0, 1))


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


@pytest.mark.parametrize("layout", ["plain", "grey", "first", "group"])
def test_zarr(tmp_path, layout):
    zarr = pytest.importorskip("zarr")
    data = {"plain": RGB, "grey": GREY, "first": RGB.transpose(2, 0, 1), "group": RGB.transpose(2, 0, 1)[None, :, None]}
    path = tmp_path / "a.zarr"
    where = path / "0" if layout == "group" else path
    if layout == "group":
        zarr.open_group(str(path), mode="w")
    zarr.save_array(str(where), data[layout])
    check(path, np.repeat(GREY[..., None], 3, axis=2) if layout == "grey" else RGB)


def tile_folder(folder: Path, rows: int = 50, columns: int = 64) -> None:
    folder.mkdir()
    for y in range(0, SIZE[0], rows):
        for x in range(0, SIZE[1], columns):
            part = RGB[y : y + rows, x : x + columns, ::-1]
            cv2.imwrite(str(folder / f"map_{1 + y // rows}_{1 + x // columns}.png"), part)


def test_a_folder_of_tiles(tmp_path):
    tile_folder(tmp_path / "tiles")
    (tmp_path / "tiles" / "notes.txt").write_text("no tile")
    check(tmp_path / "tiles", RGB)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: (d / "map_2_2.png").unlink(), "lacks the tile of row 2 and column 2"),
        (lambda d: (d / "x_2_2.png").write_bytes((d / "map_2_2.png").read_bytes()), "have one place"),
        (lambda d: [file.unlink() for file in d.iterdir()], "holds no tiles"),
        (lambda d: (d / "map_2_2.png").write_bytes((d / "map_3_4.png").read_bytes()), "its place in the grid needs"),
    ],
)
def test_a_folder_with_a_wrong_tile(tmp_path, spoil, said):
    tile_folder(tmp_path / "tiles")
    spoil(tmp_path / "tiles")
    with pytest.raises(ImageError, match=said), opened(tmp_path / "tiles") as image:
        image.read(0, 0, *SIZE)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.write_bytes(b""), "cannot be read by windows"),
        (lambda p: p.write_bytes(b"II*\0" + b"\xff" * 40), "TIFF"),
        (lambda p: tifffile.imwrite(p, RGB.astype(np.float32), photometric="rgb"), "float32 pixels"),
        (lambda p: tifffile.imwrite(p, RGB, photometric="rgb", extratags=[(274, 3, 1, 6)]), "orientation 6"),
        (lambda p: None, "cannot be read"),
    ],
)
def test_what_cannot_be_opened(tmp_path, make, said):
    make(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=said):
        open_big_image(tmp_path / "a.tif")


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


LABELS = (np.indices((1100, 1300)).sum(0) // 150 % 3).astype(np.uint8)


def test_label_tiff_holds_the_map_its_colours_its_place_and_overviews(tmp_path, tiny_labels):
    write_label_tiff(
        tmp_path / "a.tif", [LABELS[:7], LABELS[7:900], LABELS[900:]], LABELS.shape, LABELS.dtype, tiny_labels, GEO
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert [page.shape for page in file.pages] == [(1100, 1300), (550, 650), (275, 325)]
        assert [page.subfiletype for page in file.pages] == [0, 1, 1]
        np.testing.assert_array_equal(file.pages[0].asarray(), LABELS)
        colors = file.pages[0].colormap.T[:3] // 257
        np.testing.assert_array_equal(colors, [label.color for label in tiny_labels])
        assert file.pages[0].tilewidth == 512
        half = file.pages[1].asarray()
        same = (LABELS[::2, ::2] == LABELS[1::2, 1::2]) & (LABELS[::2, 1::2] == LABELS[1::2, ::2])
        same &= LABELS[::2, ::2] == LABELS[1::2, ::2]
        np.testing.assert_array_equal(half[same], LABELS[::2, ::2][same])
    with opened(tmp_path / "a.tif") as image:
        assert image.georeference is not None
        assert image.georeference.transform == GEO.transform
        assert image.georeference.epsg == 32633
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tif"]


def test_gdal_reads_the_label_tiff_and_its_overviews(tmp_path, tiny_labels):
    rasterio = pytest.importorskip("rasterio")
    write_label_tiff(tmp_path / "a.tif", [LABELS], LABELS.shape, LABELS.dtype, tiny_labels, GEO)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2, 4]
        assert file.crs.to_epsg() == 32633
        np.testing.assert_array_equal(file.read(1), LABELS)


@pytest.mark.parametrize("cuts", [[], [1], [512], [511, 513], list(range(100, 1100, 100))])
def test_the_same_bands_in_other_portions_give_the_same_bytes(tmp_path, tiny_labels, cuts):
    write_label_tiff(tmp_path / "a.tif", [LABELS], LABELS.shape, LABELS.dtype, tiny_labels)
    write_label_tiff(tmp_path / "b.tif", np.split(LABELS, cuts), LABELS.shape, LABELS.dtype, tiny_labels)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("square", "wanted"),
    [([0, 1, 1, 2], 1), ([0, 1, 2, 2], 2), ([0, 1, 2, 1], 1), ([2, 1, 0, 2], 2), ([2, 1, 2, 1], 2), ([2, 1, 0, 3], 2)],
)
def test_an_overview_has_the_most_frequent_class(tmp_path, tiny_labels, square, wanted):
    labels = np.tile(np.array(square, np.uint8).reshape(2, 2), (300, 300))
    write_label_tiff(tmp_path / "a.tif", [labels], labels.shape, labels.dtype, tiny_labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif", key=1), wanted)


def bands_of(folder: Path, job: object = "job", **options) -> LabelBands:
    return LabelBands(folder, {"job": job}, LABELS.shape, LABELS.dtype, resume=options.get("resume", True))


def test_bands_are_found_again(tmp_path):
    bands = bands_of(tmp_path / "p")
    bands.keep(tile=3)
    bands.append(LABELS[:100])
    bands.append(LABELS[100:150])
    again = bands_of(tmp_path / "p")
    assert (again.rows_done, again.state) == (150, {"tile": 3})
    again.append(LABELS[150:])
    np.testing.assert_array_equal(np.concatenate(list(again)), LABELS)
    assert bands_of(tmp_path / "p", job="another").rows_done == 0
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1])])
def test_bands_end_before_one_that_is_damaged(tmp_path, spoil):
    bands = bands_of(tmp_path / "p")
    bands.keep()
    for y in range(0, 400, 100):
        bands.append(LABELS[y : y + 100])
    spoil(tmp_path / "p" / "rows-0000000200")
    assert bands_of(tmp_path / "p").rows_done == 200
    with pytest.raises(ResourceError, match="cannot be read again"):
        list(bands)


SCENE = np.zeros((40, 60), np.uint8)
SCENE[20:] = 1
SCENE[5:15, 10:30] = 2
SCENE[8:12, 15:20] = 0  # a hole in the car, sky again


@pytest.mark.parametrize("place", [None, GEO])
def test_geojson_has_each_region_with_its_holes_the_right_way_round(tmp_path, tiny_labels, place):
    num = write_vectors(tmp_path / "a.geojson", [SCENE[:13], SCENE[13:]], SCENE.shape, tiny_labels, place)
    document = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    features = document["features"]
    assert num == len(features) == 4
    assert {f["properties"]["label"]: f["properties"]["area_px"] for f in features if f["id"] != 4} == {
        "road": 20 * 60, "sky": 20 * 60 - 200, "car": 180,
    }  # fmt: skip
    scale = 0.25 if place else 1
    for feature in features:
        areas = [[_signed(ring) for ring in rings] for rings in feature["geometry"]["coordinates"]]
        assert sum(map(sum, areas)) == pytest.approx(scale * feature["properties"]["area_px"])
        assert all(outside > 0 and all(hole < 0 for hole in holes) for outside, *holes in areas)
        assert all(ring[0] == ring[-1] for rings in feature["geometry"]["coordinates"] for ring in rings)
    car = next(f for f in features if f["properties"]["label"] == "car")
    corners = {tuple(point) for point in car["geometry"]["coordinates"][0][0]}
    wanted = {(10, 5), (30, 5), (30, 15), (10, 15)}
    assert corners == ({(1000 + x / 2, 2000 - y / 2) for x, y in wanted} if place else wanted)
    assert ("crs" in document) is (place is not None)


def _signed(ring: list[list[float]]) -> float:
    x, y = np.array(ring, float).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_geopackage(tmp_path, tiny_labels):
    pyogrio = pytest.importorskip("pyogrio")
    write_vectors(tmp_path / "a.gpkg", [SCENE], SCENE.shape, tiny_labels, GEO)
    info = pyogrio.read_info(tmp_path / "a.gpkg")
    assert (info["features"], info["crs"], info["geometry_type"]) == (4, "EPSG:32633", "MultiPolygon")
    _, _, geometry, fields = pyogrio.raw.read(tmp_path / "a.gpkg")
    assert fields[0].tolist()[:2] == ["road", "sky"]
    assert geometry[0][:9] == b"\1\6\0\0\0\1\0\0\0"


def test_outlines_that_do_not_fit(tmp_path, tiny_labels):
    with pytest.raises(ResourceError, match="raise --max-memory or do without"):
        write_vectors(tmp_path / "a.geojson", [SCENE], SCENE.shape, tiny_labels, None, max_memory=1000)
    with pytest.raises(ConfigError, match=r"\.geojson or \.gpkg"):
        write_vectors(tmp_path / "a.shp", [SCENE], SCENE.shape, tiny_labels)
