import heapq
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.data.borders import BORDERS
from segscape.data.objects import Objects, objects_from_numbers
from segscape.errors import ConfigError, InputError
from segscape.labels import Label, LabelSet
from segscape.masks import uncrop
from segscape.refine.watershed import WatershedParameters, fit, objects_from_probabilities
from segscape.refine.watershed_kernels import flood

P = WatershedParameters
CLASSES = {
    ".": (1, 0, 0),
    "#": (0, 1, 0),
    "+": (0, 0, 1),
    "o": (0.25, 0.75, 0),
    "x": (0.5, 0, 0.5),
    "-": (0, 0.25, 0.75),
}


def picture(*rows: str) -> np.ndarray:
    return np.array([[CLASSES[c] for c in row] for row in rows], np.float32).transpose(2, 0, 1)


def drawn(regions, size) -> list[str]:
    """Rows with the regions' ids, "." where there is none."""
    canvas = np.full(size, ".")
    for region in regions:
        canvas[uncrop(region.mask, region.box, size).to_dense()] = str(region.id)
    return ["".join(row) for row in canvas]


@pytest.mark.parametrize(
    ("rows", "parameters", "expected"),
    [
        (["#"], P(0.5, 0.5, 1), ["1"]),
        (["."], P(0.5, 0.5, 1), ["."]),
        (["+"], P(0.5, 0.5, 1), ["."]),  # foreground without a seed is no object
        (["##+##"], P(0.5, 0.5, 1), ["11122"]),  # what lies between goes to the one that comes first
        (["##---+##"], P(0.5, 0.5, 1), ["11111222"]),  # they meet where border is surest, not half-way
        (["##+---##"], P(0.5, 0.5, 1), ["22211111"]),
        (["##----##"], P(0.5, 0.5, 1), ["11112222"]),  # half-way where all is equal
        (["#.", ".#"], P(0.5, 0.5, 1), ["1.", ".1"]),  # pixels that touch at a corner are one seed
        (["#o#"], P(0.8, 0.5, 1), ["112"]),  # o is no seed at 0.8
        (["#o#"], P(0.7, 0.5, 1), ["111"]),
        (["#xx"], P(0.5, 0.5, 1), ["111"]),  # at the threshold is foreground
        (["#xx"], P(0.5, 0.6, 1), ["1.."]),
        (["o..#"], P(0.5, 0.8, 1), ["...1"]),  # a seed that is no foreground is none
        (["#o#"], P(0.5, 0.8, 1), ["1.2"]),  # nor does it join others
        (["##.#"], P(0.5, 0.5, 2), ["11.."]),
        (["##.#"], P(0.5, 0.5, 3), ["...."]),
        (["#.##", "#.##"], P(0.5, 0.5, 1), ["2.11", "2.11"]),  # largest first
    ],
)
def test_objects_by_hand(rows, parameters, expected):
    regions = objects_from_probabilities(picture(*rows), BORDERS, parameters)
    assert drawn(regions, (len(rows), len(rows[0]))) == expected
    assert [r.id for r in regions] == list(range(1, len(regions) + 1))


def test_scores_are_the_mean_foreground_and_labels_as_asked():
    [region] = objects_from_probabilities(picture("#o+x"), BORDERS, P(0.5, 0.5, 1), label=7)
    assert region.score == pytest.approx((1 + 0.75 + 1 + 0.5) / 4)
    assert region.label == 7


def test_classes_are_found_by_name():
    turned = LabelSet("turned", tuple(Label(name, (0, 0, 0)) for name in ("border", "background", "inside")))
    probabilities = picture("#+.#")
    expected = objects_from_probabilities(probabilities, BORDERS, P(min_area_px=1))
    assert objects_from_probabilities(probabilities[[2, 0, 1]], turned, P(min_area_px=1)) == expected


def flood_with_a_heap(levels, labels):
    """The same by a priority queue of (level, age)."""
    labels, queue, age = labels.copy(), [], 0
    for y, x in np.argwhere(labels > 0).tolist():
        heapq.heappush(queue, (int(levels[y, x]), age := age + 1, y, x))
    while queue:
        level, _, y, x = heapq.heappop(queue)
        for v, u in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
            if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1] and labels[v, u] == 0:
                labels[v, u] = labels[y, x]
                heapq.heappush(queue, (max(level, int(levels[v, u])), age := age + 1, v, u))
    return labels


@settings(deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_flooding_is_that_of_a_priority_queue(data, height, width):
    levels = data.draw(arrays(np.uint8, (height, width), elements=st.sampled_from([0, 1, 2, 7, 254, 255])))
    labels = data.draw(arrays(np.int32, (height, width), elements=st.sampled_from([-1, 0, 0, 0, 1, 2, 3])))
    expected = flood_with_a_heap(levels, labels)
    flood(levels, labels)
    np.testing.assert_array_equal(labels, expected)


def discs(size: int, seed: int) -> tuple[np.ndarray, Objects]:
    """Touching discs: what a network might say of them, and the truth."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    centres = [(r, c) for r in range(8, size, 14) for c in range(8, size, 14)]
    distance = np.stack([np.hypot(y - r, x - c) for r, c in centres])
    nearest = distance.min(axis=0)
    truth = np.where(nearest < 7.5, distance.argmin(axis=0) + 1, 0).astype(np.int32)
    logits = np.stack((nearest - 7.5, np.minimum(5.5 - nearest, 3), 1.5 - abs(nearest - 6.5)))
    logits += rng.normal(0, 0.2, logits.shape)
    odds = np.exp(logits)
    return (odds / odds.sum(axis=0)).astype(np.float32), objects_from_numbers(truth)


def mean_iou(pairs) -> float:
    """Of each true object with what covers it most."""
    ious = []
    for regions, truth in pairs:
        found = np.zeros(truth.size, int)
        for region in regions:
            found[uncrop(region.mask, region.box, truth.size).to_dense()] = region.id
        true = truth.numbered()
        for number in range(1, len(truth) + 1):
            mine = true == number
            match = np.bincount(found[mine]).argmax()
            ious.append((mine & (found == match)).sum() / (mine | (found == match)).sum() if match else 0)
    return float(np.mean(ious))


def test_touching_discs_are_told_apart():
    probabilities, truth = discs(64, 0)
    regions = objects_from_probabilities(probabilities, BORDERS, P())
    assert len(regions) == len(truth) == 16
    assert mean_iou([(regions, truth)]) > 0.9


def test_fit_finds_the_best_of_the_grid():
    samples = [discs(40, seed) for seed in range(3)]
    best, trials = fit(samples, BORDERS, mean_iou, seed_thresholds=(-0.9, 0.3, 0.99), min_areas_px=(1, 1000))
    assert len(trials) == 3 * 5 * 2
    assert len({parameters for parameters, _ in trials}) == 30
    assert max(trials, key=lambda trial: trial[1])[0] == best
    assert (best.seed_threshold, best.min_area_px) == (0.3, 1)
    again = [(objects_from_probabilities(p, BORDERS, best), truth) for p, truth in samples]
    assert mean_iou(again) == dict(trials)[best]


def test_fit_gives_the_score_what_prediction_gives():
    samples = [discs(40, 0)]
    seen = []
    values = {"seed_thresholds": (0.3,), "foreground_thresholds": (0.5,), "min_areas_px": (150,)}
    best, _ = fit(samples, BORDERS, lambda pairs: seen.append(pairs) or 0.0, **values)
    assert seen == [[(objects_from_probabilities(samples[0][0], BORDERS, best), samples[0][1])]]


def test_fit_without_images_is_refused():
    with pytest.raises(InputError, match="at least one image"):
        fit([], BORDERS, mean_iou)


def test_parameters_survive_json_and_are_checked():
    parameters = P(0.25, 0.75, 3)
    assert P.from_dict(parameters.to_dict()) == parameters
    for wrong in ({}, {"seed_threshold": 0.5}, {**parameters.to_dict(), "other": 1}):
        with pytest.raises(ConfigError, match="watershed parameters must be seed_threshold"):
            P.from_dict(wrong)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ((1.5, 0.5, 1), "seed_threshold must be a number in -1…1"),
        ((float("nan"), 0.5, 1), "seed_threshold"),
        ((0.5, -0.1, 1), "foreground_threshold"),
        ((0.5, True, 1), "foreground_threshold"),
        ((0.5, 0.5, 0), "min_area_px must be a whole number"),
        ((0.5, 0.5, 2.0), "min_area_px"),
        ((0.5, "0.5", 2), "foreground_threshold"),
    ],
)
def test_parameters_out_of_range(values, match):
    with pytest.raises(ConfigError, match=match):
        P(*values)


@pytest.mark.parametrize(
    ("probabilities", "label_set", "match"),
    [
        (np.zeros((3, 2, 2)), BORDERS, "float64"),
        (np.zeros((2, 2, 2), np.float32), BORDERS, "shape"),
        (np.zeros((3, 2), np.float32), BORDERS, "shape"),
        (np.zeros((3, 0, 2), np.float32), BORDERS, "one pixel"),
        (np.full((3, 2, 2), np.nan, np.float32), BORDERS, "0…1"),
        (np.full((3, 2, 2), 2, np.float32), BORDERS, "0…1"),
        (np.zeros((1, 2, 2), np.float32), LabelSet("sky", (Label("sky", (0, 0, 0)),)), "'inside'"),
    ],
)
def test_wrong_input_is_refused(probabilities, label_set, match):
    with pytest.raises(InputError, match=match):
        objects_from_probabilities(probabilities, label_set, P())


def test_time_is_linear_in_the_pixels():
    small = discs(128, 0)[0]
    large = np.tile(small, (1, 4, 4))
    objects_from_probabilities(small, BORDERS, P())
    times = []
    for probabilities in (small, large):
        turns = []
        for _ in range(5):
            start = time.process_time()
            objects_from_probabilities(probabilities, BORDERS, P())
            turns.append(time.process_time() - start)
        times.append(min(turns))
    assert times[1] < 16 * 2.5 * times[0]
