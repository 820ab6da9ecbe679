"""Objects of tiles on disk: what was stopped goes on, tiles are chosen within the budget, and damage is told."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from tiling_help import discs, equal_but_for_names, picture

from segscape.bigimage.object_parts import ObjectParts, PackedObjects
from segscape.errors import ResourceError
from segscape.predict.tiling import objects
from segscape.predict.tiling.huge import predict_huge
from segscape.preprocess import Preprocess

OPTIONS = {"tile": 192, "margin": 32}  # tiles overlap by 128: their step is 64
PIXELS = picture(discs(420, 600))


@pytest.fixture
def stopped(detector, tmp_path):
    """stopped(after, …) is a run that ends at its n-th tile; gives how many tiles were finished."""

    def run(after: int, **options) -> int:
        detector.errors[after] = RuntimeError("stop")
        with pytest.raises(RuntimeError, match="stop"):
            predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", **options)
        detector.seen.clear()
        detector.errors.clear()
        return num_finished(tmp_path)

    return run


def num_finished(folder) -> int:
    return len(list((folder / ".x.tif.parts").glob("objects-*")))


def num_tiles(plan) -> int:
    return len(plan.rows) * len(plan.columns)


@pytest.fixture
def measured(detector, monkeypatch):
    """Finding objects takes nothing, so that plans are the same everywhere."""
    detector.blind = 185  # noise, in which each pixel would be an object
    monkeypatch.setattr(objects, "resident_bytes", lambda: 0)
    monkeypatch.setattr(objects, "peak_bytes", lambda work: (work(), 0)[1])


@pytest.mark.parametrize("after", [1, 20, 35])
def test_what_was_stopped_goes_on_and_gives_the_same_bytes(detector, stopped, tmp_path, after):
    whole = predict_huge(detector.predictor, PIXELS, tmp_path / "whole.tif", **OPTIONS)
    detector.seen.clear()
    finished = stopped(after, **OPTIONS)
    assert not (tmp_path / "x.tif").exists()
    result = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", **OPTIONS)
    assert result.labels.read_bytes() == whole.labels.read_bytes()
    assert len(detector.seen) == num_tiles(result.plan) - finished
    assert not (tmp_path / ".x.tif.parts").exists()


def test_another_job_starts_anew(detector, stopped, tmp_path):
    stopped(20, **OPTIONS)
    plan = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", min_score=0.6, **OPTIONS).plan
    assert len(detector.seen) == num_tiles(plan)


def test_a_damaged_part_is_found_again(detector, stopped, tmp_path):
    finished = stopped(20, **OPTIONS)
    (tmp_path / ".x.tif.parts" / "objects-000000-000001").write_bytes(b"PK\3\4")
    plan = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", **OPTIONS).plan
    assert len(detector.seen) == num_tiles(plan) - finished + 1


@pytest.mark.parametrize(("memory", "side"), [("1GB", 384), ("2GB", 384), ("500MB", 192)])
def test_tiles_of_an_earlier_run_are_taken_again_unless_they_take_too_much(
    detector, stopped, tmp_path, monkeypatch, memory, side
):
    detector.predictor.card = replace(detector.predictor.card, preprocess=Preprocess(long_side=384))
    monkeypatch.setattr(objects, "_needed_bytes", lambda *_: 9 * 10**8)
    finished = stopped(4, margin=32, max_memory="1GB")
    # What is measured now differs, as it does from run to run.
    monkeypatch.setattr(objects, "_needed_bytes", lambda _, plan, *__: 10**8 if plan.tile[0] == 192 else 3 * 10**9)
    result = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", margin=32, max_memory=memory)
    assert result.plan.tile == (side, side)
    assert len(detector.seen) == num_tiles(result.plan) - (finished if side == 384 else 0)
    assert equal_but_for_names(tifffile.imread(result.labels), discs(420, 600))


def test_out_of_memory_halves_the_tiles_and_what_was_stopped_then_goes_on_with_those(detector, stopped, tmp_path):
    detector.errors[2] = ResourceError("out of memory")
    finished = stopped(9, tile=384, margin=32)
    assert finished
    result = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", tile=384, margin=32)
    assert result.plan.tile == (384, 192)
    assert len(detector.seen) == num_tiles(result.plan) - finished
    assert equal_but_for_names(tifffile.imread(result.labels), discs(420, 600))


def test_a_full_disk_is_no_lack_of_memory(detector, tmp_path, monkeypatch):
    put = ObjectParts.put

    def full(self, tile, found):
        if num_finished(tmp_path) == 3:
            raise ResourceError("no space left")
        put(self, tile, found)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectParts, "put", full)
        with pytest.raises(ResourceError, match="no space left"):
            predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", tile=384, margin=32)
    assert num_finished(tmp_path) == 3
    detector.seen.clear()
    plan = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", tile=384, margin=32).plan
    assert plan.tile == (384, 384)
    assert len(detector.seen) == num_tiles(plan) - 3


def test_what_the_budget_forbids_is_not_tried(detector, measured, tmp_path):
    plan = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", max_memory="300MB").plan  # 1000 bytes a pixel
    assert plan.tile == (384, 384)
    assert max(shape[0] * shape[1] for shape in detector.seen) * 1000 < 300e6


def test_nor_for_a_watershed_whose_network_is_measured(detector, measured, monkeypatch):
    monkeypatch.setattr(objects, "measured_bytes_per_pixel", lambda *_: 1000.0)
    detector.predictor.card = replace(detector.predictor.card, task="semantic")
    plan, _ = objects._plan(detector.predictor, (420, 600), 300 * 10**6, None, 64)
    assert plan.tile == (384, 384)
    assert [shape[:2] for shape in detector.seen] == [(384, 384)]


@pytest.mark.parametrize("error", [ResourceError("2 GB are free"), MemoryError()])
def test_a_tile_that_memory_does_not_suffice_for_is_too_large(detector, measured, tmp_path, error):
    detector.errors[1] = error
    plan = predict_huge(detector.predictor, PIXELS, tmp_path / "x.tif", max_memory="1GB").plan
    assert plan.tile == (384, 384)
    detector.errors = dict.fromkeys(range(1000), error)
    with pytest.raises(ResourceError, match=r"tiles of 256 × 256 .* cannot be smaller"):
        predict_huge(detector.predictor, PIXELS, tmp_path / "y.tif", max_memory="1GB")


def test_outlines_that_failed_are_all_that_is_left_to_do(detector, tmp_path, monkeypatch):
    def fails(*_):
        raise ResourceError("no space left")

    out, vectors = tmp_path / "x.tif", tmp_path / "x.geojson"
    with monkeypatch.context() as patch:
        patch.setattr("segscape.bigimage.vectors.write_object_outlines", fails)
        with pytest.raises(ResourceError, match="no space left"):
            predict_huge(detector.predictor, PIXELS, out, vectors=vectors, **OPTIONS)
    assert equal_but_for_names(tifffile.imread(out), discs(420, 600))
    detector.seen.clear()
    predict_huge(detector.predictor, PIXELS, out, vectors=vectors, **OPTIONS)
    assert vectors.stat().st_size
    assert not detector.seen


def test_each_flipped_bit_of_a_part_is_told(tmp_path):
    parts = ObjectParts(tmp_path / "parts", {}, resume=False)
    parts.put((0, 0), PackedObjects.of((), (0, 0)))
    assert len(parts.get((0, 0))) == 0
    path = tmp_path / "parts" / "objects-000000-000000"
    sound = path.read_bytes()
    for place in np.linspace(0, len(sound) - 1, 50).astype(int).tolist():
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert (0, 0) not in parts
        with pytest.raises(ResourceError, match="cannot be read again"):
            parts.get((0, 0))
