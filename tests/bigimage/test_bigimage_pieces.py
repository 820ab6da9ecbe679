"""Decoded pieces of a file: how large they are said to be, and how many are kept."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from window_help import DEEP, RGB, SIZE, check_windows, opened, rasterio_file

from segscape.bigimage import ArrayImage, windowed
from segscape.bigimage.windowed import LastPieces


def zarr_file(path: Path, data: np.ndarray, chunks: tuple[int, ...]) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(path), data=data, chunks=chunks)


def tiles(path: Path) -> None:
    path.mkdir()
    for number, x in enumerate((0, 100)):
        PIL.Image.fromarray(RGB[:, x : x + 100]).save(path / f"t_0_{number}.png")


PLANES = RGB.transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda p: tifffile.imwrite(p, RGB, tile=(64, 32), photometric="rgb"), 64 * 32 * 3),
        (lambda p: tifffile.imwrite(p, RGB[..., 0], rowsperstrip=7), 7 * 197 * 3),
        (lambda p: tifffile.imwrite(p, DEEP, tile=(64, 64), photometric="rgb"), 64 * 64 * 6),
        (lambda p: rasterio_file(p, compress="lzw", tiled=True, blockxsize=64, blockysize=32), 64 * 32 * 3),
        (tiles, 131 * 100 * 3),
    ],
)
def test_the_bytes_of_a_piece(tmp_path, write, wanted):
    write(tmp_path / "a.tif")
    with opened(tmp_path / "a.tif") as image:
        assert image.piece_bytes == wanted


def test_an_array_has_no_pieces():
    assert ArrayImage(RGB).piece_bytes == 0


@pytest.mark.parametrize(
    ("data", "chunks", "wanted"),
    [
        (RGB, (50, 40, 3), 50 * 40 * 3),
        (RGB, (50, 40, 1), 50 * 40 * 3),
        (PLANES, (1, 50, 40), 50 * 40 * 3),
        (PLANES, (3, 50, 40), 50 * 40 * 3),
        (np.stack((PLANES, PLANES)), (2, 1, 50, 40), 2 * 50 * 40 * 3),
        (DEEP, (50, 40, 3), 50 * 40 * 6),
    ],
)
@pytest.mark.parametrize(("least", "kept"), [(0, 10**6), (0, 1000), (40_000, 10**6)])
def test_pieces_of_zarr_arrays(tmp_path, monkeypatch, data, chunks, wanted, least, kept):
    monkeypatch.setattr("segscape.bigimage.chunks._ZARR_KEPT_BYTES", kept)
    monkeypatch.setattr("segscape.bigimage.chunks._ZARR_PIECE_BYTES", least)
    zarr_file(tmp_path / "a.zarr", data, chunks)
    with opened(tmp_path / "a.zarr") as image:
        assert image.size == SIZE
        if least:
            assert least / 2 < image.piece_bytes <= least
            assert image.piece_bytes % wanted == 0
        else:
            assert image.piece_bytes == wanted
        if data is not DEEP:
            check_windows(image, RGB)


def test_pieces_are_kept_by_their_bytes(monkeypatch):
    monkeypatch.setattr(windowed, "_KEPT_BYTES", 100)
    kept, decoded = LastPieces(), []

    def piece(place: tuple[int, int]) -> np.ndarray:
        decoded.append(place)
        return np.zeros(place[0], np.uint8)

    for place in [(40, 0), (40, 1), (40, 0), (40, 2), (40, 0), (40, 1), (300, 0), (300, 0), (40, 1), (40, 1)]:
        assert len(kept.get(place, piece)) == place[0]
    assert decoded == [(40, 0), (40, 1), (40, 2), (40, 1), (300, 0), (40, 1)]
