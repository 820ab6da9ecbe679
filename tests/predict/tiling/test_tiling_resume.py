"""What was stopped goes on: after an error, kill -9 or too little memory; another job starts anew."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiling_help import Dies, Stop, noise

from segscape.bigimage import ArrayImage
from segscape.errors import ResourceError
from segscape.predict.predictor import Predictor
from segscape.predict.tiling import huge
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.memory import parse_bytes
from segscape.preprocess import Preprocess


def stopped(predictor: Predictor, after: int, *arguments, **options) -> None:
    """A run that ends at a tile."""
    predictor.engine = Dies(after)
    with pytest.raises(Stop):
        predict_huge(predictor, *arguments, **options)


@pytest.mark.parametrize("after", [1, 5, 8, 13])
def test_what_was_stopped_goes_on_and_gives_the_same_bytes(make, tmp_path, after):
    pixels, options = noise(700, 500), {"tile": 192, "margin": 0}
    reference = predict_huge(make(), pixels, tmp_path / "reference.tif", **options)
    stopped(make(), after, pixels, tmp_path / "x.tif", **options)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read_", "network_"))]
    assert not (tmp_path / "x.tif").exists()
    again = make()
    result = predict_huge(again, pixels, tmp_path / "x.tif", **options)
    assert result.labels.read_bytes() == reference.labels.read_bytes()
    assert result.class_areas == reference.class_areas
    num_tiles = len(result.plan.rows) * len(result.plan.columns)
    assert len(again.engine.shapes) < num_tiles if after > 5 else len(again.engine.shapes) == num_tiles
    assert sorted(path.name for path in tmp_path.iterdir() if "tif" in path.name) == ["reference.tif", "x.tif"]


@pytest.mark.parametrize("change", ["pixels", "margin", "resume", "damage"])
def test_another_job_or_a_damaged_band_starts_anew(make, tmp_path, change):
    pixels, options = noise(700, 500), {"tile": 192, "margin": 0}
    stopped(make(), 13, pixels, tmp_path / "x.tif", **options)
    if change == "pixels":
        pixels = noise(700, 500, seed=1)
    elif change == "margin":
        options["margin"] = 32
    elif change == "resume":
        options["resume"] = False
    else:
        band = tmp_path / ".x.tif.parts" / "rows-0000000000"
        band.write_bytes(band.read_bytes()[:-1] + b"\0")
    again = make()
    result = predict_huge(again, pixels, tmp_path / "x.tif", **options)
    assert len(again.engine.shapes) == len(result.plan.rows) * len(result.plan.columns)
    fresh = predict_huge(make(), pixels, tmp_path / "fresh.tif", **options)
    assert result.labels.read_bytes() == fresh.labels.read_bytes()


def test_parts_of_another_job_that_cannot_be_removed_are_not_taken_for_this_one(make, tmp_path, monkeypatch):
    stopped(make(), 13, noise(700, 500), tmp_path / "x.tif", tile=192, margin=0)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as where another program has a file open
    with pytest.raises(ResourceError, match=r"x\.tif\.parts'.* cannot be removed"):
        predict_huge(make(), noise(700, 500, seed=1), tmp_path / "x.tif", tile=192, margin=0)


@pytest.mark.parametrize("change", ["nothing", "card", "graph", "pixels"])
def test_another_model_or_array_of_the_same_name_starts_anew(make, tmp_path, change):
    pixels, options, again = noise(700, 500), {"tile": 192, "margin": 0}, make()
    stopped(make(), 13, ArrayImage(pixels), tmp_path / "x.tif", **options)
    if change == "card":
        again.card = replace(again.card, preprocess=Preprocess(std=(0.6, 0.6, 0.6)))
    elif change == "graph":
        again.engine.key = "in int8"
    elif change == "pixels":
        pixels = noise(700, 500, seed=1)
    plan = predict_huge(again, ArrayImage(pixels), tmp_path / "x.tif", **options).plan
    assert (len(again.engine.shapes) == len(plan.rows) * len(plan.columns)) == (change != "nothing")


@pytest.mark.parametrize(("memory", "same"), [("2GB", True), ("600MB", True), ("300MB", False)])
def test_tiles_of_an_earlier_run_are_taken_again_unless_they_take_too_much(make, tmp_path, monkeypatch, memory, same):
    monkeypatch.setattr(huge, "measured_bytes_per_pixel", lambda *_: 4000.0)
    pixels, again = noise(900, 500), make()
    stopped(make(), 7, pixels, tmp_path / "x.tif", margin=32, max_memory="600MB")
    assert list((tmp_path / ".x.tif.parts").glob("rows-*"))
    tile = json.loads((tmp_path / ".x.tif.parts" / "job.json").read_text("utf-8"))["state"]["tile"]
    result = predict_huge(again, pixels, tmp_path / "x.tif", margin=32, max_memory=memory)
    assert (list(result.plan.tile) == tile) == same
    assert result.predicted_bytes <= parse_bytes(memory)
    assert len(again.engine.shapes) < len(result.plan.rows) * len(result.plan.columns)
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(pixels).label_map)


def test_outlines_that_failed_are_all_that_is_left_to_do(make, tmp_path, monkeypatch):
    def fails(*_):
        raise ResourceError("too many regions")

    pixels, out, vectors = noise(300, 400), tmp_path / "x.tif", tmp_path / "x.geojson"
    with monkeypatch.context() as patch:
        patch.setattr("segscape.bigimage.vectors.write_vectors", fails)
        with pytest.raises(ResourceError, match="too many regions"):
            predict_huge(make(), pixels, out, vectors=vectors, tile=192, margin=32)
    np.testing.assert_array_equal(tifffile.imread(out), make().predict(pixels).label_map)
    again = make()
    predict_huge(again, pixels, out, vectors=vectors, tile=192, margin=32)
    assert vectors.stat().st_size
    assert not again.engine.shapes


KILLED = """
import sys, time
sys.path[:0] = [{tests!r}, {src!r}]
import numpy as np
from tiling_help import Boxes, noise
from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.predict.tiling.huge import predict_huge

class Slow(Boxes):
    def low_logits(self, batch):
        time.sleep(0.1)
        return super().low_logits(batch)

from dataclasses import replace
from segscape.preprocess import Preprocess
predictor = Predictor(Slow(), replace(read_card({bundle!r}), preprocess=Preprocess()))
predict_huge(predictor, noise(900, 500), {out!r}, tile=192, margin=0)
"""


def test_kill_9_and_again_gives_the_same_bytes(make, tiny_bundle, tmp_path):
    here = Path(__file__)
    out = tmp_path / "x.tif"
    code = KILLED.format(
        tests=str(here.parent), src=str(here.parents[3] / "src"), bundle=str(tiny_bundle), out=str(out)
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / ".x.tif.parts").glob("rows-*"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    again = make()
    result = predict_huge(again, noise(900, 500), out, tile=192, margin=0)
    reference = predict_huge(make(), noise(900, 500), tmp_path / "reference.tif", tile=192, margin=0)
    assert len(again.engine.shapes) < len(reference.plan.rows) * len(reference.plan.columns)
    assert result.labels.read_bytes() == reference.labels.read_bytes()


def test_out_of_memory_halves_the_tile_and_goes_on(make, tmp_path):
    pixels = noise(700, 900)
    predictor = make(fail_above=256 * 320)
    result = predict_huge(predictor, pixels, tmp_path / "x.tif", tile=512, margin=32)
    assert result.plan.tile == (256, 256)
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(pixels).label_map)


def test_out_of_memory_with_the_smallest_tiles_says_so(make, tmp_path):
    with pytest.raises(ResourceError, match=r"out of memory with tiles of 192 × 192 \(out of memory on the test\)"):
        predict_huge(make(fail_above=100), noise(300, 300), tmp_path / "x.tif", tile=256, margin=32)
