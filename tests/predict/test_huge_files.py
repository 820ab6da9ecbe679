import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from segscape.bigimage import Georeference, open_big_image
from segscape.errors import ConfigError, ImageError
from segscape.image import MAX_PIXELS
from segscape.predict import huge_files
from segscape.predict.huge_files import MemoryLimit, memory_limit, predict_huge_file, split_inputs, too_large
from segscape.predict.predictor import load
from segscape.predict.tiling import huge as tiling

SIZE = (200, 300)
PLACE = Georeference.of((0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0), 32633, geographic=False)


@pytest.fixture(autouse=True)
def _not_measured(monkeypatch):
    """What networks take of memory is another test's affair."""
    monkeypatch.setattr(tiling, "measured_bytes_per_pixel", lambda *_: 200.0)
    monkeypatch.setattr(tiling, "measured_margin", lambda *_: 32)


@pytest.fixture
def make_tiff(tmp_path):
    def make(name: str = "big.tif", **options) -> Path:
        pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", tile=(64, 64), **options)
        return tmp_path / name

    return make


@pytest.mark.parametrize(("wanted", "limit"), [("2GB", (2 * 10**9, 10**8)), ("1.5KiB", (1536, 76)), ("1B", (1, 1))])
def test_the_limit_of_memory_is_one_of_pixels_too(wanted, limit):
    got = memory_limit(wanted)
    assert (got.num_bytes, got.max_pixels) == limit


def test_unless_told_half_of_what_is_free_may_be_taken(monkeypatch):
    for free, half in ((10**9, 5 * 10**8), (None, 10**9)):  # None: the system does not say
        monkeypatch.setattr(huge_files, "available_bytes", lambda free=free: free)
        got = memory_limit("auto")
        assert (got.num_bytes, got.max_pixels) == (half, MAX_PIXELS)


def test_no_amount_of_memory():
    with pytest.raises(ConfigError, match="memory must be given as"):
        memory_limit("half")


def test_folders_that_are_one_picture_are_told_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scan").mkdir()
    Path("scan/zarr.json").write_text("{}")
    Path("photos").mkdir()
    assert split_inputs(["a.png", "scan", "photos", "tiles:map"]) == (["a.png", "photos"], [Path("scan"), Path("map")])


def test_what_is_too_large_is_read_by_windows_or_left_to_fail(make_tiff, make_photo, tmp_path, tiny_predictor):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0")
    files = [make_tiff(), make_photo("a.png"), make_photo("small.tif"), broken, tmp_path / "none.tif"]
    assert too_large(files, memory_limit("1MB"), tiny_predictor) == files[:1]
    assert too_large(files, memory_limit("auto"), tiny_predictor) == []


def test_finding_objects_takes_more(make_tiff, make_photo, tiny_objects, tiny_predictor):
    files = [make_tiff(), make_photo("a.png")]
    objects = load(tiny_objects)
    needed = objects.object_engine.bytes_per_pixel * SIZE[0] * SIZE[1]
    for share, huge in ((0.9, files[:1]), (1.1, [])):
        limit = MemoryLimit(int(share * needed), 10**6)
        assert too_large(files, limit, objects) == huge
        assert too_large(files, limit, tiny_predictor) == []


@pytest.mark.parametrize(("long_side", "shrink"), [("model", 1), ("native", 1), (300, 1), (150, 2), ("110", 3)])
def test_a_huge_file_is_written_as_a_label_map_and_json(
    tiny_predictor, make_tiff, tmp_path, monkeypatch, long_side, shrink
):
    asked = {}
    original = tiling.predict_huge

    def predict_huge(*arguments, **options):
        asked.update(options)
        return original(*arguments, **options)

    monkeypatch.setattr(tiling, "predict_huge", predict_huge)
    document = predict_huge_file(
        tiny_predictor, make_tiff(), tmp_path / "out", "a/b", max_memory=2 * 10**9, long_side=long_side
    )
    assert asked["shrink"] == shrink
    written = document.pop("written")
    assert {kind: Path(path).name for kind, path in written.items()} == {
        "labels": "a_b.labels.tif",
        "json": "a_b.json",
    }
    assert json.loads(Path(written["json"]).read_text("utf-8")) == document
    assert document["size"] == {"height": 200, "width": 300}
    assert sum(entry["area_px"] for entry in document["classes"]) == 200 * 300
    assert tifffile.imread(written["labels"]).shape == SIZE


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_what_lies_on_the_ground_gets_outlines(tiny_predictor, make_tiff, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(huge_files, "_outlines_suffix", lambda: suffix)
    source = make_tiff(extratags=PLACE.tags)
    written = predict_huge_file(tiny_predictor, source, tmp_path, "a", max_memory=2 * 10**9)["written"]
    assert Path(written["outlines"]).name == f"a{suffix}"
    assert Path(written["outlines"]).stat().st_size
    labels = open_big_image(written["labels"])
    labels.close()
    assert labels.georeference is not None


def test_two_models_are_not_joined_by_tiles(make_tiff, tmp_path):
    with pytest.raises(ConfigError, match="two models are not joined by tiles"):
        predict_huge_file(object(), make_tiff(), tmp_path, "a", max_memory=10**9)


def test_what_cannot_be_read_says_so(tiny_predictor, tmp_path):
    with pytest.raises(ImageError, match="none"):
        predict_huge_file(tiny_predictor, tmp_path / "none.tif", tmp_path, "a", max_memory=10**9)
