"""Label files come out as they are stored, and become class ids by label set and value map."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segscape.data.label_files import LabelCoder, raw_counts, read_label_file, show_value
from segscape.errors import DataError
from segscape.labels import Label, LabelSet

THREE = LabelSet("three", (Label("a", (0, 0, 0)), Label("b", (255, 0, 0)), Label("c", (0, 0, 255))))


def palette_image(values):
    image = Image.fromarray(np.array(values, np.uint8), "L")
    image.putpalette([9, 9, 9, 200, 0, 0] + [77] * 30)
    return image


def indexed_png(bits, values):
    """A PNG of grey levels with 2 or 4 bits each, which Pillow cannot write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = sum(v << (8 - bits * (i + 1)) for i, v in enumerate(values))
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes([0, packed]))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.fromarray(np.array([[0, 7], [255, 1]], np.uint8)), "png", [[0, 7], [255, 1]]),
        (palette_image([[0, 1], [1, 3]]), "png", [[0, 1], [1, 3]]),
        (Image.fromarray(np.array([[0, 300], [65535, 1]], np.uint16)), "png", [[0, 300], [65535, 1]]),
        (Image.fromarray(np.array([[0, 300]], np.uint16)), "tif", [[0, 300]]),
        (Image.fromarray(np.array([[0, 70]], np.int32)), "tif", [[0, 70]]),
        (Image.fromarray(np.array([[False, True]])), "png", [[0, 1]]),
        (Image.fromarray(np.array([[3, 4]], np.uint8)), "bmp", [[3, 4]]),
        (Image.merge("LA", [Image.new("L", (1, 1), 5), Image.new("L", (1, 1), 255)]), "png", [[5]]),
        (Image.new("RGB", (1, 1), (1, 2, 3)), "png", [[[1, 2, 3]]]),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 255)), "png", [[[1, 2, 3]]]),
    ],
)
def test_what_is_stored_is_what_is_read(tmp_path, image, suffix, expected):
    image.save(tmp_path / f"x.{suffix}")
    raw = read_label_file(tmp_path / f"x.{suffix}")
    assert raw.tolist() == expected
    assert raw.dtype == (np.uint16 if image.mode.startswith("I") else np.uint8)
    assert raw.flags.c_contiguous


@pytest.mark.parametrize(("bits", "values"), [(2, [3, 0, 2, 1]), (4, [11, 2])])
def test_low_bit_depths_keep_their_levels(tmp_path, bits, values):
    (tmp_path / "x.png").write_bytes(indexed_png(bits, values))
    assert read_label_file(tmp_path / "x.png").tolist() == [values]


@pytest.mark.parametrize(
    ("image", "format_", "words"),
    [
        (Image.new("L", (8, 8)), "JPEG", "JPEG, which blurs class ids"),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 4)), "PNG", "transparent"),
        (Image.fromarray(np.array([[-1]], np.int32)), "TIFF", "cannot be class ids"),
        (Image.fromarray(np.array([[0.5]], np.float32)), "TIFF", "cannot be class ids"),
        (Image.new("L", (8, 8)), "WEBP", "no PNG, TIFF, BMP or GIF"),
    ],
)
def test_what_cannot_hold_classes_is_refused_by_name(tmp_path, image, format_, words):
    path = tmp_path / "labels.png"
    image.save(path, format_)
    with pytest.raises(DataError, match=words) as caught:
        read_label_file(path)
    assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "value_map", "labels", "strays"),
    [
        ([[0, 1, 2, 255]], {}, [[0, 1, 2, 255]], {}),
        ([[0, 3, 9, 9]], {}, [[0, 255, 255, 255]], {9: 2, 3: 1}),
        ([[0, 255]], {255: 1}, [[0, 1]], {}),
        ([[1, 2, 0]], {1: 0, 2: 1, 0: 255}, [[0, 1, 255]], {}),
        ([[[0, 0, 0], [255, 0, 0], [0, 0, 255]]], {}, [[0, 1, 2]], {}),
        ([[[1, 1, 1], [255, 0, 0], [1, 1, 1]]], {}, [[255, 1, 255]], {(1, 1, 1): 2}),
        ([[[1, 1, 1], [0, 0, 0]]], {(1, 1, 1): 2, (0, 0, 0): 255}, [[2, 255]], {}),
    ],
)
def test_encode(raw, value_map, labels, strays):
    got, found = LabelCoder(THREE, value_map).encode(np.array(raw, np.uint8))
    assert (got.tolist(), found, list(found)) == (labels, strays, list(strays))
    assert got.dtype == np.uint8


def test_ids_beyond_a_byte_are_16_bit():
    wide = LabelSet("wide", tuple(Label(f"c{i}", (0, 0, 0)) for i in range(300)), ignore_index=65535)
    got, strays = LabelCoder(wide, {}).encode(np.array([[299, 65535, 300]], np.uint16))
    assert (got.tolist(), got.dtype, strays) == ([[299, 65535, 65535]], np.uint16, {300: 1})


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)), st.integers(3, 255))
def test_every_pixel_is_a_class_an_ignored_one_or_a_counted_stray(raw, ignore):
    labels, strays = LabelCoder(LabelSet("t", THREE.labels, ignore), {}).encode(raw)
    kept = np.isin(raw, [0, 1, 2, ignore])
    assert np.array_equal(labels[kept], raw[kept])
    assert set(labels[~kept].tolist()) <= {ignore}
    assert sum(strays.values()) == np.count_nonzero(~kept)


def test_raw_counts_and_names():
    assert raw_counts(np.array([[3, 0, 3]], np.uint16)) == {0: 1, 3: 2}
    assert raw_counts(np.array([[[1, 2, 3], [0, 0, 9]]], np.uint8)) == {(0, 0, 9): 1, (1, 2, 3): 1}
    assert (show_value(37), show_value((255, 0, 9))) == ("37", "#ff0009")
