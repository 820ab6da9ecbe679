"""Pictures in Zarr arrays and in folders of tiles."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from window_help import GREY, RGB, SIZE, check, opened

from segscape.bigimage import open_big_image
from segscape.errors import ImageError

PLANES = RGB.transpose(2, 0, 1)
OME = PLANES[None, :, None]  # time, channel, depth, row, column


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (RGB, ""),
        (GREY, ""),
        (PLANES, ""),
        (OME, "0"),
        (OME, "0/0"),  # bioformats2raw: a group for each series
    ],
    ids=["plain", "grey", "first", "group", "series"],
)
def test_zarr(tmp_path, data, place):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "a.zarr"
    for depth in range(len(Path(place).parts)):
        zarr.open_group(str(path.joinpath(*Path(place).parts[:depth])), mode="a")
    zarr.save_array(str(path / place), data)
    check(path, np.repeat(GREY[..., None], 3, axis=2) if data is GREY else RGB)


def test_a_zarr_group_without_an_array(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").create_group("0")
    with pytest.raises(ImageError, match="holds no Zarr array"):
        open_big_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("shape", [(0, 9), (9, 0, 3), (9, 9, 0), (0, 9, 9), (1, 0, 1, 9, 9), (9,), (9, 9, 5), (1,) * 6])
def test_a_zarr_array_that_is_no_picture(tmp_path, shape):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(tmp_path / "a.zarr"), shape=shape, dtype="uint8")
    with pytest.raises(ImageError, match=r"it must be a picture, as \(H, W, 3\)"):
        open_big_image(tmp_path / "a.zarr")


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
        (lambda d: cv2.imwrite(str(d / "map_3_4.png"), RGB[:20, :70]), "map_3_4.png.*the last may only be smaller"),
        (lambda d: cv2.imwrite(str(d / "map_3_4.png"), RGB[:70, :20]), "map_3_4.png.*the last may only be smaller"),
    ],
)
def test_a_folder_with_a_wrong_tile(tmp_path, spoil, said):
    tile_folder(tmp_path / "tiles")
    spoil(tmp_path / "tiles")
    with pytest.raises(ImageError, match=said), opened(tmp_path / "tiles") as image:
        image.read(0, 0, *SIZE)


def test_a_single_tile_is_a_folder_too(tmp_path):
    tile_folder(tmp_path / "tiles", *SIZE)
    check(tmp_path / "tiles", RGB)
