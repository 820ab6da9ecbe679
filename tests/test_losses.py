from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segscape.errors import ConfigError, InputError
from segscape.ignore import valid_mask
from segscape.losses import LOSSES, SegmentationLoss, boundary_weight_map, build_loss, class_weights
from segscape.losses.overlap import lovasz_gradient

IGNORE = 255
# Every loss as it is, and each option that leads down another path.
VARIANTS = [{"name": name} for name in LOSSES] + [
    {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": "inverse_log"},
    {"name": "focal", "gamma": 0.5, "class_weights": "median_frequency"},
    {"name": "dice", "squared": True, "smooth": 0.0},
    {"name": "lovasz", "per_image": True},
    {"name": "ohem", "min_kept": 1.0, "class_weights": "auto"},
    {"name": "boundary_cross_entropy", "background": 0, "class_weights": "inverse_log"},
]
POOLED = ("cross_entropy", "focal", "boundary_cross_entropy")
every_variant = pytest.mark.parametrize("term", VARIANTS, ids=lambda t: "-".join(map(str, t.values())))


def build(term: dict | str, num_classes: int = 3):
    term = {"name": term} if isinstance(term, str) else term
    pixels = np.array([100.0, 1.0, 20.0])[:num_classes]
    return build_loss(
        [term], num_classes=num_classes, ignore_index=IGNORE, class_pixels=pixels, class_image_pixels=pixels * 2 + 30
    )


def batch(seed: int = 0, size: tuple[int, ...] = (2, 6, 7), num_classes: int = 3) -> tuple[Tensor, Tensor]:
    """Random logits (N, C, H, W) and a target (N, H, W) with every class and about a fifth ignored."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], num_classes, *size[1:], generator=g) * 2
    target = torch.randint(0, num_classes, size, generator=g)
    return logits, target.masked_fill(torch.rand(size, generator=g) < 0.2, IGNORE)


def row(*probabilities: tuple[float, ...]) -> Tensor:
    """Logits (1, C, 1, W) whose softmax is the given distribution of each pixel."""
    return torch.tensor(probabilities).log().T[None, :, None, :]


def gradient(loss, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.detach().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


# ---- what holds for every loss ----


@every_variant
def test_all_ignored_is_zero_with_zero_gradients(term):
    logits, target = batch()
    logits.requires_grad_()
    loss = build(term)(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every_variant
def test_ignored_pixels_count_for_nothing(term):
    logits, target = batch()
    other = torch.where(valid_mask(target, IGNORE)[:, None], logits, torch.randn(logits.shape) * 50)
    loss = build(term)
    assert loss(other, target).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)
    grad = gradient(loss, logits, target).movedim(1, -1)
    assert torch.all(grad[target == IGNORE] == 0)
    assert torch.any(grad[target != IGNORE] != 0)


@every_variant
def test_an_ignored_image_beside_a_labelled_one_changes_nothing(term):
    logits, target = batch()
    loss = build(term)
    both = loss(logits, torch.stack([target[0], torch.full_like(target[1], IGNORE)]))
    assert both.item() == pytest.approx(loss(logits[:1], target[:1]).item(), rel=1e-6)


@every_variant
def test_gradients_are_those_of_the_value(term):
    logits, target = batch(size=(2, 3, 3))
    loss = build(term)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.double().requires_grad_())


@every_variant
@pytest.mark.parametrize("scale", [0.0, 200.0, -200.0])
def test_saturated_and_uniform_logits_have_finite_gradients(term, scale):
    _, target = batch()
    logits = scale * F.one_hot(target.where(target != IGNORE, 0), 3).movedim(-1, 1).float()
    loss = build(term)
    assert torch.isfinite(loss(logits, target))
    assert torch.all(torch.isfinite(gradient(loss, logits, target)))


@every_variant
def test_half_precision_is_taken_to_float32(term):
    logits, target = batch()
    logits = logits.bfloat16()
    loss = build(term)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value.item() == loss(logits.float(), target).item()


def test_autocast_is_off_inside_a_loss():
    class Product(SegmentationLoss):
        def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
            return (logits @ logits.mT).sum()

    logits, target = batch()
    with torch.autocast("cpu", torch.bfloat16):
        assert Product(num_classes=3, ignore_index=IGNORE)(logits, target).dtype == torch.float32


@every_variant
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_target_types_are_equal(term, dtype):
    logits, target = batch()
    loss = build(term)
    assert loss(logits, target.to(dtype)).item() == loss(logits, target).item()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("ignore_index", [-100, 65535])
def test_an_ignore_index_outside_the_targets_type_is_not_wrapped(name, ignore_index):
    logits = torch.randn(1, 256, 1, 4)
    target = torch.tensor([[[0, 156, 255, 3]]])
    loss = build_loss([{"name": name}], num_classes=256, ignore_index=ignore_index, class_pixels=None)
    assert loss(logits, target.to(torch.uint8)).item() == loss(logits, target).item()


@pytest.mark.parametrize("name", LOSSES)
def test_better_predictions_cost_less(name):
    _, target = batch()
    truth = F.one_hot(target.where(target != IGNORE, 0), 3).movedim(-1, 1).float()
    costs = [build(name)(scale * truth, target).item() for scale in (-1, 0, 1, 4, 30)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [3, 37, -1])
def test_a_label_that_is_no_class_is_named(name, label):
    logits, target = batch()
    target[1, 2, 3] = label
    with pytest.raises(InputError, match=rf"label {label}, .*0…2.*255"):
        build(name)(logits, target)


@pytest.mark.parametrize(
    ("logits", "target"), [((2, 4, 6, 7), (2, 6, 7)), ((2, 3, 6, 7), (2, 7, 6)), ((3, 6, 7), (6, 7))]
)
def test_shapes_that_do_not_fit_are_refused(logits, target):
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        build("dice")(torch.zeros(logits), torch.zeros(target, dtype=torch.int64))


# ---- each loss ----


@pytest.mark.parametrize("kind", ["none", "inverse_log", "median_frequency"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(kind, smoothing):
    logits, target = batch()
    pixels = np.array([100.0, 1.0, 20.0])
    weight = class_weights(kind, pixels, pixels * 2 + 30)
    expected = F.cross_entropy(logits, target, weight, ignore_index=IGNORE, label_smoothing=smoothing)
    loss = build({"name": "cross_entropy", "class_weights": kind, "label_smoothing": smoothing})
    assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["none", "inverse_log"])
def test_focal_without_focus_is_cross_entropy(kind):
    logits, target = batch()
    focal = build({"name": "focal", "gamma": 0, "class_weights": kind})
    plain = build({"name": "cross_entropy", "class_weights": kind})
    assert focal(logits, target).item() == pytest.approx(plain(logits, target).item(), rel=1e-6)
    torch.testing.assert_close(gradient(focal, logits, target), gradient(plain, logits, target))


def test_focal_by_hand():
    logits = row((0.5, 0.25, 0.25), (0.1, 0.8, 0.1))
    expected = (0.5**2 * math.log(2) + 0.2**2 * -math.log(0.8)) / 2
    assert build("focal")(logits, torch.tensor([[[0, 1]]])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # class 0: p = 0.5, 0.1 with truth on the first pixel; class 1: p = 0.25, 0.8 with truth on the second
        ({"smooth": 0.0}, 1 - ((2 * 0.5) / (0.6 + 1) + (2 * 0.8) / (1.05 + 1)) / 2),
        ({"smooth": 1.0}, 1 - ((2 * 0.5 + 1) / (0.6 + 1 + 1) + (2 * 0.8 + 1) / (1.05 + 1 + 1)) / 2),
        ({"smooth": 0.0, "squared": True}, 1 - (1.0 / (0.26 + 1) + 1.6 / (0.7025 + 1)) / 2),
    ],
)
def test_dice_by_hand_over_the_classes_present(options, expected):
    logits = row((0.5, 0.25, 0.25), (0.1, 0.8, 0.1), (0.2, 0.2, 0.6))
    target = torch.tensor([[[0, 1, IGNORE]]])
    assert build({"name": "dice", **options})(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_dice_of_hard_predictions_is_one_minus_the_coefficient():
    predicted, truth = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 1, 0])
    logits = 200 * F.one_hot(predicted, 3).float().T[None, :, None, :]
    # each class: two of three pixels right on both sides: 2·2 / (3 + 3)
    loss = build({"name": "dice", "smooth": 0.0})(logits, truth[None, None])
    assert loss.item() == pytest.approx(1 - 4 / 6)


def jaccard_loss(wrong: set[int], truth: set[int]) -> float:
    """Berman et al. 2018, eq. 6: |M| / |{y = c} ∪ M| of the mispredicted pixels M."""
    return len(wrong) / len(truth | wrong) if wrong else 0.0


def lovasz_extension(errors: np.ndarray, truth: np.ndarray) -> float:
    """Berman et al. 2018, eq. 8 and 9, word for word."""
    inside, wrong = set(np.flatnonzero(truth).tolist()), set()
    value = 0.0
    for pixel in np.argsort(-errors).tolist():
        value += float(errors[pixel]) * (jaccard_loss(wrong | {pixel}, inside) - jaccard_loss(wrong, inside))
        wrong.add(pixel)
    return value


def lovasz_by_definition(logits: Tensor, target: Tensor) -> float:
    valid = target != IGNORE
    probabilities = logits.movedim(1, -1)[valid].double().softmax(1).numpy()
    labels = target[valid].numpy()
    values = [
        lovasz_extension(np.where(labels == c, 1 - probabilities[:, c], probabilities[:, c]), labels == c)
        for c in np.unique(labels)
    ]
    return float(np.mean(values))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), num_classes=st.integers(1, 4), height=st.integers(1, 5))
def test_lovasz_is_the_extension_by_definition(seed, num_classes, height):
    logits, target = batch(seed, (2, height, 5), num_classes)
    target[:, 0, 0] = 0
    loss = build_loss([{"name": "lovasz"}], num_classes=num_classes, ignore_index=IGNORE, class_pixels=None)
    assert loss(logits, target).item() == pytest.approx(lovasz_by_definition(logits, target), abs=1e-5)
    per_image = build_loss(
        [{"name": "lovasz", "per_image": True}], num_classes=num_classes, ignore_index=IGNORE, class_pixels=None
    )
    expected = np.mean([lovasz_by_definition(logits[i : i + 1], target[i : i + 1]) for i in range(2)])
    assert per_image(logits, target).item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12))
def test_lovasz_of_hard_predictions_is_one_minus_jaccard(pixels):
    predicted, truth = torch.tensor(pixels).T
    logits = 200 * F.one_hot(predicted, 3).float().T[None, :, None, :]
    jaccards = [
        ((predicted == c) & (truth == c)).sum() / ((predicted == c) | (truth == c)).sum() for c in truth.unique()
    ]
    expected = 1 - torch.stack(jaccards).mean()
    assert build("lovasz")(logits, truth[None, None]).item() == pytest.approx(expected.item(), abs=1e-6)


def test_lovasz_gradient_keeps_its_precision_over_a_million_pixels():
    errors = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0))
    truth = torch.rand(1_000_000, generator=torch.Generator().manual_seed(1)) < 0.3
    order = errors.argsort(descending=True)
    joined = truth[order].double()
    jaccard = 1 - (joined.sum() - joined.cumsum(0)) / (joined.sum() + (1 - joined).cumsum(0))
    expected = torch.empty_like(jaccard)
    expected[order] = jaccard.diff(prepend=torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(lovasz_gradient(errors, truth).double(), expected, rtol=1e-5, atol=1e-13)


@pytest.mark.parametrize(
    ("threshold", "min_kept", "kept"),
    [
        (0.7, 0.0, [0, 2]),  # those below the threshold
        (0.5, 0.0, [2]),
        (0.0, 0.0, []),
        (0.0, 0.25, [2]),  # the hardest quarter of four
        (0.0, 0.26, [0, 2]),  # a share is rounded up
        (0.5, 0.75, [0, 1, 2]),
        (0.7, 0.25, [0, 2]),  # the share is a floor, not a cap
        (0.0, 1.0, [0, 1, 2, 3]),
    ],
)
def test_ohem_keeps_the_hard_pixels(threshold, min_kept, kept):
    truth = [0.6, 0.8, 0.3, 0.9, 0.01]  # the last is ignored
    logits = row(*((p, 1 - p) for p in truth))
    target = torch.tensor([[[0, 0, 0, 0, IGNORE]]])
    loss = build({"name": "ohem", "threshold": threshold, "min_kept": min_kept}, num_classes=2)
    expected = np.mean([-math.log(truth[i]) for i in kept]) if kept else 0.0
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    touched = gradient(loss, logits, target).abs().sum((0, 1, 2)).nonzero().flatten().tolist()
    assert touched == kept


def test_ohem_keeps_pixels_that_tie():
    loss = build({"name": "ohem", "threshold": 0.1, "min_kept": 0.5}, num_classes=2)
    logits, target = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    assert torch.all(gradient(loss, logits, target) != 0)


def test_ohem_keeping_all_is_cross_entropy():
    logits, target = batch()
    ohem = build({"name": "ohem", "min_kept": 1.0, "class_weights": "inverse_log"})
    plain = build({"name": "cross_entropy", "class_weights": "inverse_log"})
    assert ohem(logits, target).item() == pytest.approx(plain(logits, target).item(), rel=1e-6)


# ---- the boundary map ----


def term(distance: float, w0: float = 10.0, sigma: float = 5.0) -> float:
    return w0 * math.exp(-(distance**2) / (2 * sigma**2))


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        # two cells: d1 + d2 is the gap, and the cells themselves get nothing
        ([[1, 0, 0, 1]], 0, [[0, term(3), term(3), 0]]),
        ([[0, 1, 0, 0, 0, 2]], 0, [[term(1 + 5), 0, term(4), term(4), term(4), 0]]),
        # one cell, or none: there is no second nearest
        ([[0, 1, 0]], 0, [[0, 0, 0]]),
        ([[0, 0, 0]], 0, [[0, 0, 0]]),
        # diagonal neighbours of one label are one cell; of two labels, two
        ([[1, 0], [0, 1]], 0, [[0, 0], [0, 0]]),
        ([[1, 0], [0, 2]], 0, [[0, term(2)], [term(2), 0]]),
        # d2 is diagonal
        (
            [[1, 0], [0, 0], [0, 2]],
            0,
            [[0, term(1 + 2)], [term(1 + math.sqrt(2)), term(math.sqrt(2) + 1)], [term(3), 0]],
        ),
        # of three cells the two nearest count
        ([[1, 0, 0, 2, 0, 3]], 0, [[0, term(3), term(3), 0, term(2), 0]]),
        # ignored pixels get nothing and are no cell, but fill the gap
        ([[1, IGNORE, 0, 2]], 0, [[0, 0, term(3), 0]]),
        ([[1, 0, IGNORE]], 0, [[0, 0, 0]]),
        # all labelled: d1 = 0 in the own class, both sides of a border gain
        ([[0, 0, 1, 1]], None, [[term(2), term(1), term(1), term(2)]]),
        ([[0, 0, 0]], None, [[0, 0, 0]]),
        ([[0, 0], [0, 2]], None, [[term(math.sqrt(2)), term(1)], [term(1), term(1)]]),
        # an ignored pixel makes no border, nor do two pieces of one class
        ([[0, IGNORE, 1]], None, [[term(2), 0, term(2)]]),
        ([[0, IGNORE, 0]], None, [[0, 0, 0]]),
        ([[IGNORE]], None, [[0]]),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_boundary_map_by_hand(labels, background, expected, dtype):
    weights = boundary_weight_map(np.array(labels, dtype), background=background, ignore_index=IGNORE)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), background=st.sampled_from([None, 0]), sigma=st.sampled_from([0.7, 2.0, 5.0]))
def test_boundary_map_is_the_formula(seed, background, sigma):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 0, 0, 0, 0, 1, 2, IGNORE], (9, 12))
    if background == 0:  # single pixels well apart, so that every cell is one pixel
        labels[np.indices(labels.shape).sum(0) % 3 > 0] = 0
        labels[1::2] = 0
    points = np.argwhere(np.ones(labels.shape, bool)).reshape(*labels.shape, 2)
    expected = np.zeros(labels.shape)
    for y, x in np.argwhere(labels != IGNORE):
        away = np.hypot(*np.moveaxis(points - (y, x), -1, 0))
        if background is None:
            other = away[(labels != IGNORE) & (labels != labels[y, x])]
            total = other.min(initial=np.inf)
        else:
            cells = np.sort(away[(labels != IGNORE) & (labels != 0)])
            total = cells[:2].sum() if labels[y, x] == 0 and len(cells) > 1 else np.inf
        expected[y, x] = term(total, 10.0, sigma)
    weights = boundary_weight_map(labels, sigma=sigma, background=background, ignore_index=IGNORE)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)


def test_boundary_cross_entropy_by_hand():
    logits = row((0.5, 0.3, 0.2), (0.6, 0.2, 0.2), (0.1, 0.8, 0.1))
    weights = class_weights("inverse_log", np.array([100.0, 1.0, 20.0])).tolist()
    w = [weights[0] + term(2, 3.0, 2.0), weights[0] + term(1, 3.0, 2.0), weights[1] + term(1, 3.0, 2.0)]
    expected = -(w[0] * math.log(0.5) + w[1] * math.log(0.6) + w[2] * math.log(0.8)) / sum(w)
    loss = build({"name": "boundary_cross_entropy", "w0": 3, "sigma": 2, "class_weights": "inverse_log"})
    assert loss(logits, torch.tensor([[[0, 0, 1]]])).item() == pytest.approx(expected, rel=1e-5)


def test_boundary_cross_entropy_between_cells_by_hand():
    logits = row((0.5, 0.3, 0.2), (0.6, 0.2, 0.2), (0.1, 0.8, 0.1))
    gap = 1 + term(2)
    expected = -(math.log(0.3) + gap * math.log(0.6) + math.log(0.8)) / (2 + gap)
    loss = build({"name": "boundary_cross_entropy", "background": 0})
    assert loss(logits, torch.tensor([[[1, 0, 1]]])).item() == pytest.approx(expected, rel=1e-5)


def test_boundary_cross_entropy_without_its_term_is_cross_entropy():
    logits, target = batch()
    loss = build({"name": "boundary_cross_entropy", "w0": 0})
    assert loss(logits, target).item() == pytest.approx(build("cross_entropy")(logits, target).item(), rel=1e-6)


# ---- class weights ----


@pytest.mark.parametrize(
    ("kind", "pixels", "image_pixels", "raw"),
    [
        ("none", [90, 10, 0], None, [1, 1, 1]),
        ("inverse_log", [90, 10, 0], None, [1 / math.log(1.92), 1 / math.log(1.12), 0]),
        # frequencies 0.5, 0.25, 0.1 with median 0.25
        ("median_frequency", [50, 25, 5], [100, 100, 50], [0.5, 1, 2.5]),
        # of the two present, 0.5 and 0.1, the median is 0.3
        ("median_frequency", [50, 0, 5], [100, 0, 50], [0.6, 0, 3]),
        ("auto", [100, 10, 0], None, [1, 1, 1]),
        ("auto", [101, 10, 0], None, [1 / math.log(1.02 + 101 / 111), 1 / math.log(1.02 + 10 / 111), 0]),
    ],
)
def test_class_weights_by_hand(kind, pixels, image_pixels, raw):
    raw = np.array(raw)
    expected = raw if np.all(raw == 1) else raw / raw[raw > 0].mean()
    counts = np.array(pixels), None if image_pixels is None else np.array(image_pixels)
    weights = class_weights(kind, *counts)
    assert weights.dtype == torch.float32
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
    tensors = (None if count is None else torch.from_numpy(count) for count in counts)
    assert torch.equal(weights, class_weights(kind, *tensors))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inverse", [1, 2]), "'inverse'.*none, inverse_log, median_frequency, auto"),
        (("inverse_log", [0, 0]), "not all 0"),
        (("inverse_log", [-1, 2]), "none negative"),
        (("inverse_log", [math.nan, 2]), "one count a class"),
        (("inverse_log", [[1, 2]]), "one count a class"),
        (("median_frequency", [1, 2]), "needs class_image_pixels"),
        (("median_frequency", [1, 2], [5]), "2 numbers"),
        (("median_frequency", [1, 9], [5, 5]), "no smaller than class_pixels"),
    ],
)
def test_class_weights_refuse(arguments, message):
    with pytest.raises(ConfigError, match=message):
        class_weights(*arguments)


# ---- sums from a recipe ----


def test_the_sum_is_weighted():
    logits, target = batch()
    terms = [{"name": "cross_entropy", "weight": 2}, {"name": "dice", "weight": 0.5}, {"name": "lovasz"}]
    loss = build_loss(terms, num_classes=3, ignore_index=IGNORE, class_pixels=None)
    parts = loss.parts(logits, target)
    assert list(parts) == ["cross_entropy", "dice", "lovasz"]
    assert {name: value.item() for name, value in parts.items()} == {
        name: build(name)(logits, target).item() for name in parts
    }
    expected = 2 * parts["cross_entropy"] + 0.5 * parts["dice"] + parts["lovasz"]
    assert loss(logits, target).item() == pytest.approx(expected.item())
    assert loss.weigh(parts).item() == loss(logits, target).item()
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "at least one term; there are cross_entropy, dice"),
        ([{"name": "tversky"}], "no 'tversky'; choose a name from cross_entropy, dice"),
        ([{"weight": 1.0}], "no None; choose a name"),
        ([{"name": ["dice"]}], "choose a name"),
        ([{"name": "dice", "start": 0.5}], "no term counts after 0%"),
        ([{"name": "dice", "end": 0.5}, {"name": "focal", "start": 0.6}], "no term counts after 50%"),
        ([{"name": "dice", "end": 1.5}], "dice: end must be a number in 0…1"),
        ([{"name": "dice", "gamma": 1}], "'dice' has no option 'gamma'; it has weight, start, end, smooth, squared"),
        ([{"name": "dice", "num_classes": 4}], "no option 'num_classes'"),
        ([{"name": "dice", "class_weights": "auto"}], "no option 'class_weights'"),
        ([{"name": "dice", "weight": -1}], "dice: weight must be a number of at least 0, got -1"),
        ([{"name": "dice", "weight": math.nan}], "dice: weight"),
        ([{"name": "dice", "weight": True}], "dice: weight"),
        ([{"name": "dice", "smooth": -0.1}], "dice: smooth"),
        ([{"name": "dice", "squared": 1}], "squared must be true or false, got 1"),
        ([{"name": "lovasz", "per_image": "yes"}], "per_image must be true or false"),
        ([{"name": "focal", "gamma": "2"}], "gamma must be a number of at least 0, got '2'"),
        ([{"name": "cross_entropy", "label_smoothing": 1.5}], r"label_smoothing must be a number in 0…1, got 1\.5"),
        ([{"name": "ohem", "threshold": 2}], "threshold must be a number in 0…1"),
        ([{"name": "ohem", "min_kept": 100000}], "min_kept must be a number in 0…1"),
        ([{"name": "boundary_cross_entropy", "sigma": 0}], "sigma must be a number of at least 0.1"),
        ([{"name": "boundary_cross_entropy", "w0": -1}], "w0 must be"),
        ([{"name": "boundary_cross_entropy", "background": 3}], "background must be a class id in 0…2, got 3"),
        (
            [{"name": "boundary_cross_entropy", "background": "road"}],
            "background must be a class id in 0…2, got 'road'",
        ),
        ([{"name": "boundary_cross_entropy", "background": True}], "background must be a class id"),
        ([{"name": "cross_entropy", "class_weights": "enet"}], "no 'enet'; choose one of none, inverse_log"),
    ],
)
def test_build_loss_refuses(terms, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(terms, num_classes=3, ignore_index=IGNORE, class_pixels=np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("pixels", "message"), [(None, "needs the training set's class frequencies"), ([1, 2], "2 counts for 3 classes")]
)
def test_class_weights_need_fitting_counts(pixels, message):
    terms = [{"name": "cross_entropy", "class_weights": "inverse_log"}]
    with pytest.raises(ConfigError, match=message):
        build_loss(terms, num_classes=3, ignore_index=IGNORE, class_pixels=pixels)


def test_an_ignore_index_that_is_a_class_is_refused():
    with pytest.raises(ConfigError, match="ignore index 1 must lie outside the 3 class ids"):
        build_loss([{"name": "dice"}], num_classes=3, ignore_index=1, class_pixels=None)


# ---- several processes ----


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("kind", ["none", "inverse_log"])
@pytest.mark.parametrize("empty", [False, True], ids=["uneven", "one all ignored"])
def test_two_processes_give_the_gradient_of_one(name, kind, empty):
    logits, target = batch()
    target[1, 2:] = IGNORE  # the halves differ in their valid pixels
    if empty:
        target[1] = IGNORE
    loss = build({"name": name, "class_weights": kind})
    whole = gradient(loss, logits, target)

    denominators: list[Tensor] = []
    loss.set_mean_over_processes(lambda d: denominators.append(d) or d)
    alone = torch.cat([gradient(loss, logits[i : i + 1], target[i : i + 1]) for i in range(2)]) / 2
    assert [d.shape for d in denominators] == [(), ()]
    assert not torch.allclose(alone, whole)

    loss.set_mean_over_processes(lambda _: torch.stack(denominators).mean())
    averaged = torch.cat([gradient(loss, logits[i : i + 1], target[i : i + 1]) for i in range(2)]) / 2
    torch.testing.assert_close(averaged, whole)


@pytest.mark.parametrize("name", POOLED)
def test_the_collective_is_called_even_when_all_is_ignored(name):
    # Were it skipped, the other processes would wait for this one for ever.
    calls = []
    loss = build(name)
    loss.set_mean_over_processes(lambda d: calls.append(d.item()) or d)
    logits, target = batch()
    loss(logits, torch.full_like(target, IGNORE))
    assert calls == [0]


# ---- the ignore mask ----


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_valid_mask(make):
    mask = valid_mask(make([[0, 255], [3, 254]]), 255)
    assert type(mask) is type(make([0]))
    assert mask.tolist() == [[True, False], [True, True]]


def test_the_ignore_mask_needs_no_torch():
    code = "import sys, segscape.ignore; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("done", "active"),
    [
        (0.0, ["cross_entropy"]),
        (0.49, ["cross_entropy"]),
        (0.5, ["cross_entropy 2", "dice"]),
        (0.8, ["cross_entropy 2"]),
        (0.99, ["cross_entropy 2"]),
    ],
)
def test_terms_count_in_their_part_of_the_run(done: float, active: list[str]):
    terms = [
        {"name": "cross_entropy", "end": 0.5, "class_weights": "inverse_log"},
        {"name": "cross_entropy", "start": 0.5, "weight": 2.0},
        {"name": "dice", "start": 0.5, "end": 0.8},
    ]
    pixels = np.array([100.0, 1.0, 20.0])
    loss = build_loss(terms, num_classes=3, ignore_index=IGNORE, class_pixels=pixels)
    loss.done = done
    logits, target = batch()
    assert loss.active() == active
    assert list(loss.parts(logits, target)) == active
    plain = F.cross_entropy(logits, target, ignore_index=IGNORE)
    if active == ["cross_entropy 2"]:
        torch.testing.assert_close(loss(logits, target), 2 * plain)
