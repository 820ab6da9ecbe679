import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from segscape.bigimage import Georeference, open_big_image
from segscape.errors import ConfigError, ImageError, ResourceError
from segscape.image import MAX_PIXELS
from segscape.predict import huge_files
from segscape.predict.huge_files import MemoryLimit, memory_limit, predict_huge_file, split_inputs, too_large
from segscape.predict.predictor import Predictor, load
from segscape.predict.tiling import huge as tiling
from segscape.predict.tiling.plan import TilePlan
from segscape.progress import Progress
from segscape.refine.watershed import WatershedParameters

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


def test_finding_objects_takes_more(make_tiff, make_photo, tiny_objects):
    files = [make_tiff(), make_photo("a.png")]
    objects = load(tiny_objects)
    needed = objects.object_engine.bytes_per_pixel * SIZE[0] * SIZE[1]
    for share, huge in ((0.9, files[:1]), (1.1, [])):
        limit = MemoryLimit(int(share * needed), 10**6)
        assert too_large(files, limit, objects) == huge


def test_what_the_network_sees_counts_too(make_tiff, tiny_predictor):
    path = make_tiff()
    seen = {side: tiny_predictor.preprocess_at(side).network_size(SIZE) for side in (60, "native")}
    takes = {side: 20 * 200 * 300 + 300 * height * width for side, (height, width) in seen.items()}
    assert takes[60] < takes["native"] == 320 * 200 * 300
    limit = MemoryLimit(takes["native"] - 1, 10**6)
    assert too_large([path], limit, tiny_predictor, long_side="native") == [path]
    assert too_large([path], limit, tiny_predictor, long_side=60) == []


def test_what_has_a_place_on_the_ground_keeps_it_if_wanted(make_tiff, make_photo, tiny_predictor):
    placed, other = make_tiff("placed.tif", extratags=PLACE.tags), make_tiff()
    files, limit = [placed, other, make_photo("a.png")], memory_limit("auto")
    assert too_large(files, limit, tiny_predictor, placed=True) == [placed]
    assert too_large(files, limit, tiny_predictor) == []


def test_what_gives_itself_only_whole_can_be_done_by_tiles(tiny_predictor, make_photo, tmp_path):
    path = make_photo("a.png", height=200, width=300)
    written = predict_huge_file(tiny_predictor, path, tmp_path / "out", "a", max_memory=2 * 10**9)["written"]
    whole = tiny_predictor.predict(path, long_side="native").label_map
    np.testing.assert_array_equal(tifffile.imread(written["labels"]), whole)


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


def test_what_is_read_by_windows_alone_is_done_by_tiles_whatever_its_size(make_photo, tmp_path, tiny_predictor):
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "small.jp2"
    facts = {"height": 64, "width": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    place = rasterio.Affine(*PLACE.transform)
    with rasterio.Env(), rasterio.open(path, "w", driver="JP2OpenJPEG", transform=place, **facts) as file:
        file.write(np.zeros((3, 64, 64), np.uint8))
    named_so = make_photo("a.png").rename(tmp_path / "photo.jp2")
    assert too_large([path, named_so], memory_limit("auto"), tiny_predictor) == [path]


def test_what_would_read_jpeg_2000_is_named_where_it_is_missing(tmp_path, tiny_predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    path = tmp_path / "a.jp2"
    path.write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n")
    assert too_large([path], memory_limit("auto"), tiny_predictor) == [path]
    with pytest.raises(ImageError, match=r"segscape\[geo\]"):
        predict_huge_file(tiny_predictor, path, tmp_path, "a", max_memory=10**9)


def test_the_json_of_flooded_objects_has_their_label_set(tiny_predictor, make_tiff, tmp_path, monkeypatch):
    label = {"name": "nucleus", "zh": "细胞核", "color": [9, 8, 7]}
    card = replace(tiny_predictor.card, objects={"watershed": WatershedParameters().to_dict(), "label": label})
    result = tiling.HugeResult(
        tmp_path / "a.labels.tif", None, SIZE, {"nucleus": 7}, TilePlan(SIZE, (192, 192), 32), None, 1.0, num_objects=1
    )
    monkeypatch.setattr(tiling, "predict_huge", lambda *_, **__: result)
    document = predict_huge_file(Predictor(tiny_predictor.engine, card), make_tiff(), tmp_path, "a", max_memory=10**9)
    assert [entry["name"] for entry in document["label_set"]["labels"]] == ["nucleus"]


def test_outlines_that_memory_does_not_suffice_for_are_left_out(
    tiny_predictor, make_tiff, tmp_path, monkeypatch, capsys
):
    def fails(*_):
        raise ResourceError("the regions would take about 3000 MB")

    monkeypatch.setattr("segscape.bigimage.vectors.write_vectors", fails)
    source = make_tiff(extratags=PLACE.tags)
    document = predict_huge_file(
        tiny_predictor, source, tmp_path / "out", "a", max_memory=2 * 10**9, progress=Progress(quiet=False)
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "a.labels.tif"]
    assert sorted(document["written"]) == ["json", "labels"]
    assert document["outlines_left_out"] == "the regions would take about 3000 MB"
    assert json.loads((tmp_path / "out/a.json").read_text("utf-8"))["outlines_left_out"]
    assert f"{source}: outlines were left out: the regions would take about 3000 MB" in capsys.readouterr().err


def test_two_models_are_not_joined_by_tiles(make_tiff, tmp_path):
    with pytest.raises(ConfigError, match="two models are not joined by tiles"):
        predict_huge_file(object(), make_tiff(), tmp_path, "a", max_memory=10**9)


def test_what_cannot_be_read_says_so(tiny_predictor, tmp_path):
    with pytest.raises(ImageError, match="none"):
        predict_huge_file(tiny_predictor, tmp_path / "none.tif", tmp_path, "a", max_memory=10**9)
