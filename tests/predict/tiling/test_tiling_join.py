"""Objects cut by tile borders are one again: a detector that knows the truth finds them tile by tile."""

import json

import numpy as np
import pytest
import tifffile
from tiling_help import discs, equal_but_for_names, found, picture

from segscape.bigimage.object_parts import ObjectParts, PackedObjects
from segscape.errors import ConfigError
from segscape.predict.tiling import join
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.join import JoinedObjects
from segscape.predict.tiling.plan import TilePlan

OPTIONS = {"tile": 192, "margin": 32}  # tiles overlap by 128: their step is 64


@pytest.mark.parametrize("size", [(100, 130), (192, 500), (500, 192), (450, 610)])
@pytest.mark.parametrize("blind", [0, 9])
def test_objects_are_those_of_the_whole_picture(detector, tmp_path, size, blind):
    ids = discs(*size)
    inner = ids.copy()
    if blind:  # at the picture's own edges nothing makes up for what the detector does not see
        inner = np.pad(ids[blind:-blind, blind:-blind], blind)
        detector.blind = blind
    result = predict_huge(detector.predictor, picture(ids), tmp_path / "x.tif", **OPTIONS)
    written = tifffile.imread(result.labels)
    assert written.dtype == np.uint32
    assert equal_but_for_names(written, inner)
    assert result.num_objects == written.max() == len(np.unique(inner)) - 1
    assert sum(result.class_areas.values()) == np.count_nonzero(inner)


def test_an_object_over_all_tiles_and_ones_that_touch_within_it(detector, tmp_path):
    ids = np.zeros((400, 400), np.int64)
    ids[20:380, 20:380] = 7
    ids[100:300:40, 60:340] = 8
    ids[150:250, 150:200], ids[150:250, 200:260] = 9, 300
    result = predict_huge(detector.predictor, picture(ids), tmp_path / "x.tif", **OPTIONS)
    assert equal_but_for_names(tifffile.imread(result.labels), ids)


def test_the_order_of_tiles_changes_nothing(detector, tmp_path):
    ids, files = discs(420, 600), []
    detector.blind = 40  # tiles disagree, so that the order could matter
    for number, order in enumerate((range, lambda n: range(n - 1, -1, -1))):
        out, vectors = tmp_path / f"{number}.tif", tmp_path / f"{number}.geojson"
        predict_huge(detector.predictor, picture(ids), out, vectors=vectors, order=order, **OPTIONS)
        files.append(out.read_bytes() + vectors.read_bytes())
    assert files[0] == files[1]


def test_outlines_are_those_of_the_objects(detector, tmp_path):
    ids = discs(300, 420)
    result = predict_huge(
        detector.predictor, picture(ids), tmp_path / "x.tif", vectors=tmp_path / "x.geojson", **OPTIONS
    )
    written = tifffile.imread(result.labels)
    features = json.loads(result.vectors.read_text("utf-8"))["features"]
    areas = {f["id"]: f["properties"]["area_px"] for f in features}
    assert areas == dict(enumerate(np.bincount(written.ravel()).tolist()[1:], start=1))
    for feature in features:
        xy = np.array([p for rings in feature["geometry"]["coordinates"] for ring in rings for p in ring])
        y, x = np.nonzero(written == feature["id"])
        np.testing.assert_array_equal((xy.min(0), xy.max(0)), ((x.min(), y.min()), (x.max() + 1, y.max() + 1)))


@pytest.mark.parametrize("num", [0, 1, 3])
def test_geopackage_by_batches(detector, tmp_path, monkeypatch, num):
    raw = pytest.importorskip("pyogrio").raw
    monkeypatch.setattr("segscape.bigimage.vectors._BATCH", 2)
    ids = np.zeros((200, 300), np.int64)
    for number in range(1, num + 1):
        ids[20:50, 80 * number - 40 : 80 * number] = number
    vectors = tmp_path / "x.gpkg"
    predict_huge(detector.predictor, picture(ids), tmp_path / "x.tif", vectors=vectors, **OPTIONS)
    meta, _, geometry, fields = raw.read(vectors)
    assert len(geometry) == num
    assert dict(zip(meta["fields"], (list(f) for f in fields), strict=True))["area_px"] == [1200] * num


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        # Tiles are columns 0…191 and 64…299; their cores part at 128.
        ((slice(20, 40), None), [20]),
        ((slice(100, 140), slice(100, 140)), [40]),
        ((slice(100, 140), slice(101, 160)), [60]),  # joined: 100…127 of the first, 128…159 of the second
        ((slice(80, 120), None), [40]),  # found by one: in its core,
        ((slice(110, 130), None), [20]),  # most of it in its core, so all of it
        ((slice(130, 150), None), []),  # in the other's, where it was not found
        ((slice(70, 120), slice(110, 190)), [50, 80]),  # two that agree on too little
    ],
)
def test_what_two_tiles_say(tmp_path, columns, wanted):
    plan = TilePlan((100, 300), (192, 192), 32)
    plan = TilePlan((100, plan.columns[1][1]), (192, 192), 32)
    parts = ObjectParts(tmp_path / "parts", {}, resume=False)
    for column, span in enumerate(columns):
        ids = np.zeros((100, plan.size[1]), np.int64)
        if span is not None:
            ids[40:41, span] = 1
        first, end = plan.columns[column]
        parts.put((0, column), PackedObjects.of(found(ids[:, first:end]), (0, first)))
    joined = JoinedObjects(parts, plan)
    assert [whole.mask.area for whole in joined] == wanted
    assert joined.num_objects == len(wanted)


def test_four_times_the_tiles_take_four_times_the_work(detector, tmp_path, monkeypatch):
    counts, dense = [], join._dense
    for side in (512, 1024):
        counter: list[int] = []
        monkeypatch.setattr(join, "_dense", lambda *a, c=counter: (c.append(1), dense(*a))[1])
        ids = np.kron(np.arange(1, (side // 32) ** 2 + 1).reshape(side // 32, -1), np.ones((32, 32), np.int64))
        ids[::32], ids[:, ::32] = 0, 0
        predict_huge(detector.predictor, picture(ids), tmp_path / "x.tif", **OPTIONS)
        counts.append((len(counter), len(detector.seen)))
        detector.seen.clear()
    assert counts[1][0] / counts[0][0] == pytest.approx(counts[1][1] / counts[0][1], rel=0.25)


def test_objects_are_not_shrunk(detector, tmp_path):
    with pytest.raises(ConfigError, match="shrink is for label maps"):
        predict_huge(detector.predictor, picture(discs(64, 64)), tmp_path / "x.tif", shrink=2)
