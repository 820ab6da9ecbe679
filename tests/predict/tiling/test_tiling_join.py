"""Objects cut by tile borders are one again: a detector that knows the truth finds them tile by tile."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from segscape.bigimage.object_parts import ObjectParts, PackedObjects
from segscape.errors import ConfigError, ResourceError
from segscape.masks import crop_to_box
from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.predict.tiling import join, objects
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.join import JoinedObjects
from segscape.predict.tiling.plan import TilePlan
from segscape.result import Region

OPTIONS = {"tile": 192, "margin": 32}  # tiles overlap by 128: their step is 64


class Nothing:
    """An engine of which only what it is like is asked."""

    name, stride, concurrency = "nothing", 1, 1


def found(ids: np.ndarray, blind: int = 0) -> tuple[Region, ...]:
    """The objects of a map of ids, without what lies within ``blind`` pixels of its edges."""
    if blind:
        ids = np.pad(ids[blind:-blind, blind:-blind], blind)
    regions = []
    for number in np.unique(ids[ids > 0]).tolist():
        box, mask = crop_to_box(ids == number)
        regions.append(Region(len(regions) + 1, 1, (number % 50 + 50) / 100, box, mask.area, mask))
    return tuple(regions)


@pytest.fixture
def detector(tiny_bundle, monkeypatch):
    """A predictor whose objects are written in the pixels: their ids, red + 256 · green."""
    seen = []

    def detect(_predictor, pixels, _min_score):
        seen.append(pixels.shape)
        if len(seen) == detect.fails_at:
            raise detect.error
        return found(pixels[..., 0] + 256 * pixels[..., 1].astype(np.int64), detect.blind)

    detect.fails_at, detect.error, detect.blind, detect.seen = -1, RuntimeError("stop"), 0, seen
    monkeypatch.setattr(objects, "tile_objects", detect)
    detect.predictor = Predictor(Nothing(), replace(read_card(tiny_bundle), task="instance"))
    return detect


def discs(height: int, width: int, seed: int = 0, radii: tuple[int, int] = (4, 70)) -> np.ndarray:
    """(H, W) ids of discs that touch and cover one another: what is left of each is one object, in pieces maybe."""
    rng, ids = np.random.default_rng(seed), np.zeros((height, width), np.int64)
    y, x = np.ogrid[:height, :width]
    for number in range(1, height * width // 4000 + 2):
        cy, cx, r = rng.integers(height), rng.integers(width), rng.integers(*radii)
        ids[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = number
    return ids


def picture(ids: np.ndarray) -> np.ndarray:
    return np.stack((ids % 256, ids // 256, 0 * ids), axis=2).astype(np.uint8)


def equal_but_for_names(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two maps of ids say the same, whatever the ids."""
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] and not pairs[:, 0].any()


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


@pytest.mark.parametrize("after", [1, 20, 35])
def test_what_was_stopped_goes_on_and_gives_the_same_bytes(detector, tmp_path, after):
    pixels = picture(discs(420, 600))
    whole = predict_huge(detector.predictor, pixels, tmp_path / "whole.tif", **OPTIONS).labels.read_bytes()
    tiles = len(detector.seen)
    detector.seen.clear()
    detector.fails_at = after
    with pytest.raises(RuntimeError, match="stop"):
        predict_huge(detector.predictor, pixels, tmp_path / "x.tif", **OPTIONS)
    assert not (tmp_path / "x.tif").exists()
    kept = tmp_path / ".x.tif.parts"
    finished = len(list(kept.glob("*.npz")))
    detector.seen.clear()
    detector.fails_at = -1
    assert predict_huge(detector.predictor, pixels, tmp_path / "x.tif", **OPTIONS).labels.read_bytes() == whole
    assert len(detector.seen) == tiles - finished
    assert not kept.exists()


def test_another_job_starts_anew(detector, tmp_path):
    pixels = picture(discs(420, 600))
    detector.fails_at = 20
    with pytest.raises(RuntimeError, match="stop"):
        predict_huge(detector.predictor, pixels, tmp_path / "x.tif", **OPTIONS)
    detector.seen.clear()
    detector.fails_at = -1
    plan = predict_huge(detector.predictor, pixels, tmp_path / "x.tif", min_score=0.6, **OPTIONS).plan
    assert len(detector.seen) == len(plan.rows) * len(plan.columns)


def test_out_of_memory_halves_the_tiles(detector, tmp_path):
    ids = discs(300, 420)
    detector.fails_at, detector.error = 2, ResourceError("out of memory")
    result = predict_huge(detector.predictor, picture(ids), tmp_path / "x.tif", tile=384, margin=32)
    assert result.plan.tile == (384, 192)
    assert equal_but_for_names(tifffile.imread(result.labels), ids)


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


def test_a_part_that_is_damaged_is_told(tmp_path):
    parts = ObjectParts(tmp_path / "parts", {}, resume=False)
    parts.put((0, 0), PackedObjects.of((), (0, 0)))
    assert len(parts.get((0, 0))) == 0
    (tmp_path / "parts" / "objects-000000-000000.npz").write_bytes(b"PK\3\4")
    with pytest.raises(ResourceError, match="cannot be read again"):
        parts.get((0, 0))


def test_objects_are_not_shrunk(detector, tmp_path):
    with pytest.raises(ConfigError, match="shrink is for label maps"):
        predict_huge(detector.predictor, picture(discs(64, 64)), tmp_path / "x.tif", shrink=2)
