import io
import json
import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from picture_help import CAR, HALVES, LABELS, ROAD, SKY, grey, result
from segscape import result_files
from segscape.errors import InputError
from segscape.image import Image
from segscape.predict.regions import regions_from_label_map


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (17, 31)])
def test_label_pngs_are_lossless(tmp_path, dtype, shape):
    label_map = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    result_files.write_label_png(tmp_path / "x.png", label_map, LABELS)
    with PIL.Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == ("P" if dtype == np.uint8 else "I;16")
        np.testing.assert_array_equal(np.array(picture), label_map)
    if dtype == np.uint16:
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED), label_map)


def test_label_pngs_show_the_colors_of_the_classes(tmp_path):
    label_map = np.array([[0, 1, 2, 255]], np.uint8)
    result_files.write_label_png(tmp_path / "x.png", label_map, LABELS)
    with PIL.Image.open(tmp_path / "x.png") as picture:
        assert np.array(picture.convert("RGB")).tolist() == [[[*ROAD], [*CAR], [*SKY], [0, 0, 0]]]


def test_pngs_are_lossless_and_jpegs_nearly_and_both_are_rgb(tmp_path):
    y, x = np.mgrid[:40, :60]
    pixels = np.stack([y * 6, x * 4, np.full_like(x, 30)], 2).astype(np.uint8)
    result_files.write_png(tmp_path / "x.png", pixels)
    result_files.write_jpeg(tmp_path / "x.jpg", pixels)
    for name, most in (("x.png", 0), ("x.jpg", 12)):
        with PIL.Image.open(tmp_path / name) as picture:
            assert picture.mode == "RGB"
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}  # and no metadata
            assert np.abs(np.array(picture).astype(int) - pixels).max() <= most
            if name == "x.jpg":
                assert [part[1:3] for part in picture.layer] == [(1, 1)] * 3  # colours at full resolution


@pytest.mark.parametrize(("shape", "size"), [((1, 70000), (65500, 1)), ((70000, 3), (2, 65500))])
def test_jpegs_too_long_for_the_format_are_scaled_down(tmp_path, shape, size):
    result_files.write_jpeg(tmp_path / "x.jpg", grey(*shape))
    with PIL.Image.open(tmp_path / "x.jpg") as picture:
        assert picture.size == size


@pytest.mark.parametrize("write", [result_files.write_png, result_files.write_jpeg])
@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3))])
def test_only_rgb_pictures_are_written(tmp_path, write, pixels):
    with pytest.raises(InputError, match="RGB"):
        write(tmp_path / "x", pixels)
    assert not list(tmp_path.iterdir())


def test_save_writes_overlay_labels_and_json(tmp_path):
    segmentation = result(HALVES, regions=regions_from_label_map(HALVES, LABELS), source="天空/photo.v2.jpeg")
    paths = result_files.save_segmentation(segmentation, tmp_path / "new" / "folder")
    assert {k: p.name for k, p in paths.items()} == {
        "overlay": "photo.v2.overlay.jpg",
        "labels": "photo.v2.labels.png",
        "json": "photo.v2.json",
    }
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in paths.values())
    assert json.loads(paths["json"].read_text("utf-8")) == segmentation.to_dict()
    assert "天空" in paths["json"].read_text("utf-8")
    with PIL.Image.open(paths["overlay"]) as picture:
        np.testing.assert_allclose(np.array(picture).astype(int), segmentation.plot(), atol=60)
    with PIL.Image.open(paths["labels"]) as picture:
        np.testing.assert_array_equal(np.array(picture), HALVES)


@pytest.mark.parametrize(
    ("changes", "kinds", "stem"),
    [
        ({"image": None}, {"labels", "json"}, "image"),
        ({"label_map": None}, {"overlay", "json"}, "photo"),
        ({"image": None, "label_map": None}, {"json"}, "image"),
    ],
)
def test_save_writes_only_what_there_is(tmp_path, changes, kinds, stem):
    paths = result_files.save_segmentation(result(HALVES, **changes), tmp_path)
    assert set(paths) == kinds
    assert paths["json"].name == f"{stem}.json"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("a", "a"),
        ("a.b", "a.b"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("/abs", "_abs"),
        ("c:\\x", "c:_x"),
        ("new\nline", "new\nline"),
        ("<img src=x onerror=y>", "<img src=x onerror=y>"),
        ("-dash", "-dash"),
        ("nul\0", "nul_"),
        ("", "image"),
        (".", "image"),
        ("..", "image"),
        (" ", "image"),
    ],
)
def test_stems_stay_in_their_folder(tmp_path, stem, name):
    paths = result_files.save_segmentation(result(HALVES), tmp_path / "out", stem)
    assert {k: p.name for k, p in paths.items()} == {
        "overlay": f"{name}.overlay.jpg",
        "labels": f"{name}.labels.png",
        "json": f"{name}.json",
    }
    assert all(p.parent == tmp_path / "out" and p.is_file() for p in paths.values())
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_long_stems_are_cut_but_stay_different(tmp_path):
    names = [result_files.save_segmentation(result(HALVES), tmp_path, "天" * 100 + end)["json"].name for end in "ab"]
    assert names[0] != names[1]
    assert all(name.startswith("天" * 66 + "-") and len(name.encode()) < 220 for name in names)


@pytest.mark.parametrize(
    ("source", "stem"),
    [("<array>", "image"), ("<bytes>", "image"), ("dir/new\nline.png", "new\nline"), ("", "image"), ("..", "image")],
)
def test_the_stem_is_that_of_the_source(tmp_path, source, stem):
    assert result_files.save_segmentation(result(HALVES, source), tmp_path)["json"].name == f"{stem}.json"


def test_a_source_that_is_not_utf8_is_kept_exactly(tmp_path):
    source = os.fsdecode(b"caf\xe9.png")
    paths = result_files.save_segmentation(result(HALVES, source), tmp_path)
    assert os.fsencode(paths["json"].name) == b"caf\xe9.json"
    assert json.loads(paths["json"].read_text("utf-8"))["source"] == source


@pytest.mark.parametrize("regions", [(), regions_from_label_map(HALVES, LABELS)])
def test_the_json_is_that_of_the_dict_whatever_its_texts_say(regions):
    segmentation = result(HALVES, '"polygons": 0}.png', regions=regions, model='a\\"polygons": 0}')
    assert result_files.result_json(segmentation) == json.dumps(segmentation.to_dict(), ensure_ascii=False)


def test_no_nan_gets_into_the_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        result_files.save_segmentation(result(HALVES, timings_ms={"decode": float("nan")}), tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_metadata_of_the_input_reaches_no_output(tmp_path):
    buffer = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    PIL.Image.fromarray(grey(20, 40)).save(buffer, "JPEG", exif=exif, comment=b"SECRET-PLACE")
    assert b"SECRET-PLACE" in buffer.getvalue()
    with PIL.Image.open(buffer) as picture:
        image = Image(np.ascontiguousarray(picture), "photo.jpg")
    paths = result_files.save_segmentation(result(HALVES, image=image), Path(tmp_path))
    assert not any(b"SECRET" in p.read_bytes() or b"Exif" in p.read_bytes() for p in paths.values())
