"""The size of an image file is that of its upright pixels."""

import numpy as np
import pytest
from PIL import Image

from segscape.data.image_size import upright_size
from segscape.errors import ImageError
from segscape.image import read_image


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif"])
@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_it_is_that_of_the_pixels(tmp_path, suffix, turn):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path, exif=exif)
    assert upright_size(path) == read_image(path).pixels.shape[:2]
    if suffix in ("png", "jpg"):
        assert upright_size(path) == ((6, 4) if turn in (6, 8) else (4, 6))


@pytest.mark.parametrize("content", [b"", b"\x89PNG no more", b"\xff\xd8\xff no more", b"text"])
def test_damaged_files_are_explained(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png"):
        upright_size(tmp_path / "a.png")


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        upright_size(tmp_path / "a.png")
