"""Tiles cover a picture, take no more memory than predicted, and the margin is what a network sees."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.errors import ConfigError, ResourceError
from segscape.predict.tiling import memory
from segscape.predict.tiling.blend import shares
from segscape.predict.tiling.memory import measured_bytes_per_pixel, parse_bytes
from segscape.predict.tiling.plan import TilePlan, plan_tiles
from segscape.predict.tiling.reach import UNBOUNDED_MARGIN, measured_margin


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    margin=st.integers(0, 5).map(lambda i: 32 * i),
    extra=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_tiles_cover_the_picture_and_no_point_lies_in_three_without_margins(size, margin, extra):
    tile = tuple(2 * margin + 128 + 64 * e for e in extra)
    plan = TilePlan(size, tile, margin)
    for spans, length, side in zip((plan.rows, plan.columns), size, tile, strict=True):
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(first % 64 == 0 and 0 < end - first <= side for first, end in spans)
        assert all(end - first == side for first, end in spans[:-1])
        assert all(a[1] - b[0] == plan.overlap for a, b in pairwise(spans))
        assert all(a[1] - margin <= c[0] + margin for a, c in zip(spans, spans[2:], strict=False))
        assert all(end - first > plan.overlap for first, end in spans[1:])


@settings(max_examples=30)
@given(memory=st.integers(200, 3000), side=st.integers(100, 40_000), margin=st.sampled_from([0, 64, 320]))
def test_a_plan_stays_within_its_memory(memory, side, margin):
    cost, scores = 500, {"num_classes": 11, "stride": 2}
    try:
        plan = plan_tiles((side, side), memory * 10**6, cost, margin=margin, **scores)
    except ResourceError:
        least = TilePlan((side, side), (2 * margin + 128,) * 2, margin)
        assert least.predicted_bytes(cost, **scores) > memory * 10**6
    else:
        assert plan.predicted_bytes(cost, **scores) <= memory * 10**6


def test_more_memory_means_less_work():
    def work(memory: int) -> int:
        plan = plan_tiles((20_000, 20_000), memory, 400, num_classes=11, stride=2, margin=320)
        return sum(b - a for a, b in plan.rows) * sum(b - a for a, b in plan.columns)

    assert work(700 * 10**6) > work(1000 * 10**6) > work(2000 * 10**6) > 20_000**2


def test_what_is_held_is_counted():
    plan, scores = TilePlan((9000, 9000), (512, 512), 0), {"num_classes": 3, "stride": 4}
    usual = plan.predicted_bytes(100, **scores)
    assert plan.predicted_bytes(100, **scores, wide=True) - usual == 3 * 9000 * 512
    twice = TilePlan((9000, 9000), (512, 512), 0, at_once=2).predicted_bytes(100, **scores)
    assert twice - usual == pytest.approx(1.05 * 103 * 512**2, abs=1)


@pytest.mark.parametrize(
    ("tile", "margin", "halves"),
    [((512, 512), 0, [(512, 256), (256, 256), (256, 128), (128, 128)]), ((512, 1024), 128, [(512, 512), (512, 384)])],
)
def test_halving(tile, margin, halves):
    plan = TilePlan((9000, 9000), tile, margin)
    for wanted in halves:
        plan = plan.halved()
        assert plan is not None
        assert plan.tile == wanted


def test_the_batch_is_halved_first_and_the_smallest_tile_not_at_all():
    plan = TilePlan((900, 900), (128, 128), 0, batch=4)
    assert plan.halved() == TilePlan((900, 900), (128, 128), 0, batch=2)
    assert TilePlan((900, 900), (128, 128), 0, at_once=2).halved() == TilePlan((900, 900), (128, 128), 0)
    assert TilePlan((900, 900), (128, 128), 0).halved() is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("800MB", 8 * 10**8), ("64k", 64_000), (12345, 12345), ("7", 7)],
)
def test_amounts_of_memory(text, wanted):
    assert parse_bytes(text) == wanted


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 XB", "0", "1e9", "inf"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ConfigError, match="memory must be given"):
        parse_bytes(text)


class Full:
    """A network that memory suffices for up to so many pixels."""

    name, stride, concurrency = "full", 2, 1

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[2] * batch.shape[3] > self.pixels:
            raise ResourceError("out of memory")
        return batch[:, :, ::2, ::2]


def test_the_rate_is_known_from_the_sizes_that_memory_sufficed_for(monkeypatch):
    monkeypatch.setattr(memory, "resident_bytes", lambda: 0)
    monkeypatch.setattr(memory, "peak_bytes", lambda work: (work(), 2**28)[1])
    assert measured_bytes_per_pixel(Full(512**2), 10**12, 10**9) == 2**28 / 512**2
    with pytest.raises(ResourceError, match="out of memory"):
        measured_bytes_per_pixel(Full(0), 10**12, 10**9)


@pytest.mark.parametrize(("blend", "step", "tile"), [(32, 400, 512), (16, 16, 64), (64, 64, 128)])
def test_shares_are_those_of_two_gaussians(blend, step, tile):
    x = np.arange(blend) - (blend - 1) / 2
    first = np.exp(-((x + step / 2) ** 2) / (2 * (tile / 8) ** 2))
    second = np.exp(-((x - step / 2) ** 2) / (2 * (tile / 8) ** 2))
    np.testing.assert_allclose(shares(blend, step, tile), second / (first + second), atol=1e-6)


class Sees:
    """Scores that see so many pixels to each side."""

    name, concurrency = "sees", 1

    def __init__(self, reach: int, stride: int = 2) -> None:
        self.reach, self.stride = reach, stride

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        side = 2 * self.reach + 1
        blurred = [cv2.blur(x, (side, side), borderType=cv2.BORDER_CONSTANT) for x in batch[0]]
        return np.stack(blurred)[None, :, :: self.stride, :: self.stride]


@pytest.mark.parametrize(("reach", "wanted"), [(0, 0), (20, 32), (31, 32), (40, 64), (90, 96)])
def test_the_margin_is_what_a_network_sees(reach, wanted):
    assert measured_margin(Sees(reach)) == wanted


def test_a_network_that_sees_everything():
    class All(Sees):
        def low_logits(self, batch: np.ndarray) -> np.ndarray:
            return batch[:, :, ::2, ::2] + 9 * batch.mean()

    assert measured_margin(All(0)) == UNBOUNDED_MARGIN


def test_scores_that_are_rounded_the_other_way_do_not_widen_the_margin():
    class Rounds(Sees):
        calls = 0

        def low_logits(self, batch: np.ndarray) -> np.ndarray:
            self.calls += 1
            scores = super().low_logits(batch)
            scores[:, :, 7, :: 40 + self.calls] += 0.1 * scores.std()
            return scores

    assert measured_margin(Rounds(40)) == measured_margin(Sees(40)) == 64


MEASURED = """
import sys
from itertools import pairwise
from pathlib import Path
sys.path.insert(0, {src!r})
import numpy as np
import tifffile
from segscape.predict.predictor import load
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.memory import give_back_freed, peak_bytes, resident_bytes

rng = np.random.default_rng(0)
band = rng.integers(0, 256, (256, {side}, 3), np.uint8)
def tiles():
    for y in range(0, {side}, 256):
        for x in range(0, {side}, 256):
            yield band[:, x : x + 256]
tifffile.imwrite({path!r}, tiles(), shape=({side}, {side}, 3), dtype=np.uint8, tile=(256, 256), photometric="rgb")
predictor = load({bundle!r}, device="cpu", mode={mode!r})
predict_huge(predictor, band[:, :256], {path!r} + ".warm.tif", tile=192, margin=32)
give_back_freed()
before, results = resident_bytes(), []
def go():
    results.append(predict_huge(predictor, {path!r}, {path!r} + ".out.tif", max_memory={memory}, margin=32))
peak = peak_bytes(go)
print("peak", peak - before, results[0].predicted_bytes, *results[0].plan.tile)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell the peak")
@pytest.mark.parametrize(("memory", "mode"), [(140_000_000, "latency"), (250_000_000, "throughput")])
def test_the_peak_of_memory_stays_below_what_was_allowed(tiny_bundle, tmp_path, memory, mode):
    code = MEASURED.format(
        src=str(Path(__file__).parents[3] / "src"),
        side=3072,
        path=str(tmp_path / "big.tif"),
        bundle=str(tiny_bundle),
        memory=memory,
        mode=mode,
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    peak, predicted, height, width = map(int, done.stdout.split()[1:])
    assert peak <= predicted <= memory
    assert height * width < 3072**2
