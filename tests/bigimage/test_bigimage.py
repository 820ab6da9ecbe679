"""What becomes of a path: pictures opened by windows, and label maps written by bands."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from window_help import GEO, RGB, SIZE, opened

from segscape.bigimage import open_big_image, size_by_windows
from segscape.bigimage.label_bands import LabelBands
from segscape.bigimage.label_tiff import write_label_tiff
from segscape.errors import ImageError, ResourceError


def test_the_size_of_what_can_be_read_by_windows(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert size_by_windows(tmp_path / "a.tif") == SIZE
    assert size_by_windows(tmp_path / "a.png") is None
    with pytest.raises(ImageError, match="none"):
        size_by_windows(tmp_path / "none.tif")


@pytest.mark.timeout(20)  # a pipe that is opened waits for ever
def test_a_pipe_gives_no_windows(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert size_by_windows(tmp_path / "a.tif") is None
    with pytest.raises(ImageError, match=r"a\.tif.*is a pipe or device"):
        open_big_image(tmp_path / "a.tif")


def test_a_device_gives_no_windows():
    assert size_by_windows(os.devnull) is None
    with pytest.raises(ImageError, match="is a pipe or device"):
        open_big_image(os.devnull)


@pytest.mark.parametrize("name", ["none.tif", "a.txt/a.tif", "x" * 300])
@pytest.mark.parametrize("look", [open_big_image, size_by_windows])
def test_a_path_that_leads_nowhere(tmp_path, look, name):
    (tmp_path / "a.txt").write_text("no folder")
    with pytest.raises(ImageError, match="cannot be read"):
        look(tmp_path / name)


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
