"""Augmentation of objects: masks and boxes move with the photo, whatever is done to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.data.instance_transforms import InstanceTransform, make_target, objects_of_target
from segscape.data.objects import Objects, objects_from_numbers
from segscape.data.sample import InstanceSample
from segscape.data.transforms import TrainTransform

PLAIN: dict[str, Any] = dict.fromkeys(("flip", "brightness", "contrast", "saturation", "blur"), 0.0)


def transform(size: tuple[int, int], copy_paste: float = 0.0, **options: Any) -> InstanceTransform:
    """One that changes nothing but what is asked for."""
    base = {"scale": (1.0, 1.0), **PLAIN, **options}
    return InstanceTransform(TrainTransform(crop=size, ignore_index=0, **base), copy_paste)


def sample(numbers: np.ndarray, labels: Any = None, crowd: Any = ()) -> InstanceSample:
    """Each object is of the grey that is its place, times 10, on black."""
    found = objects_from_numbers(numbers)
    labels = np.zeros(len(found), np.int64) if labels is None else np.array(labels)
    crowd = np.array(crowd, bool) if len(crowd) else found.crowd
    objects = Objects(found.size, labels, found.boxes, found.masks, crowd, found.ids)
    pixels = np.repeat(10 * objects.numbered()[..., None], 3, axis=2).astype(np.uint8)
    return InstanceSample("a", pixels, objects)


def no_other() -> InstanceSample:
    raise AssertionError("copy-paste was not asked for")


def boxes_of(numbers: np.ndarray, number: int) -> list[float]:
    ys, xs = np.nonzero(numbers == number)
    return [float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1]


FOUR = np.zeros((24, 32), np.uint16)
FOUR[2:9, 3:10] = 5
FOUR[4:12, 12:24] = 9
FOUR[14:23, 2:13] = 7
FOUR[13:22, 18:31] = 300
ALL = {"flip": 1.0, "vertical_flip": 1.0, "quarter_turns": True, "rotate": 30.0, "elastic": 2.0, "scale": (0.5, 2.0)}


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    flips=st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])),
    turns=st.booleans(),
    rotate=st.sampled_from([0.0, 45.0]),
    elastic=st.sampled_from([0.0, 3.0]),
    zoom=st.sampled_from([(1.0, 1.0), (0.3, 0.6), (0.5, 2.5)]),
)
def test_boxes_are_tight_around_numbers_and_pixels(seed, size, flips, turns, rotate, elastic, zoom) -> None:
    moved = transform(
        size,
        flip=flips[0],
        vertical_flip=flips[1],
        quarter_turns=turns,
        rotate=rotate,
        elastic=elastic,
        scale=zoom,
    )
    image, target = moved(sample(FOUR, [3, 1, 2, 0]), np.random.default_rng(seed), no_other)
    numbers = target["numbers"].numpy()
    assert image.shape == (3, *size)
    assert numbers.shape == size
    assert {key: value.dtype for key, value in target.items()} == {
        "boxes": torch.float32,
        "labels": torch.int64,
        "numbers": torch.int32,
        "ids": torch.int32,
        "crowd_boxes": torch.float32,
    }
    ids = target["ids"].tolist()
    assert target["boxes"].tolist() == [boxes_of(numbers, i) for i in ids]
    assert target["labels"].tolist() == [[3, 1, 2, 0][i - 1] + 1 for i in ids]  # 0 is background
    slivers = sorted(set(np.unique(numbers).tolist()) - {0, *ids})
    assert target["crowd_boxes"].tolist() == [boxes_of(numbers, i) for i in slivers]
    if not rotate and not elastic and zoom == (1.0, 1.0):  # nothing is resampled: the photo says where each object is
        inside = image[0].numpy() != 128
        np.testing.assert_array_equal(image[0].numpy()[inside], 10 * numbers[inside])


def test_without_any_change_the_objects_come_back() -> None:
    given_sample = sample(FOUR, [3, 1, 2, 0])
    _, target = transform((24, 32))(given_sample, np.random.default_rng(0), no_other)
    found = objects_of_target(target)
    assert found.boxes.tolist() == given_sample.objects.boxes.tolist()
    assert found.labels.tolist() == [3, 1, 2, 0]
    assert [mask.to_dense().tolist() for mask in found.masks] == [
        mask.to_dense().tolist() for mask in given_sample.objects.masks
    ]
    _, flipped = transform((24, 32), flip=1.0)(given_sample, np.random.default_rng(0), no_other)
    assert flipped["boxes"][0].tolist() == [32 - 10, 2, 32 - 3, 9]


@pytest.mark.parametrize(
    ("rows", "boxes", "vague"),
    [
        pytest.param((slice(5, 8), slice(5, 8)), [[5, 5, 8, 8]], [], id="nine pixels are enough"),
        pytest.param((slice(5, 9), slice(5, 7)), [], [[5, 5, 7, 9]], id="eight are not"),
        pytest.param((slice(0, 3), slice(2, 12)), [], [[2, 0, 12, 3]], id="a strip that the border cut"),
        pytest.param((slice(0, 4), slice(2, 12)), [[2, 0, 12, 4]], [], id="a broader one"),
        pytest.param((slice(2, 12), slice(13, 16)), [], [[13, 2, 16, 12]], id="at the right border"),
        pytest.param((slice(9, 12), slice(2, 9)), [], [[2, 9, 9, 12]], id="at the lower border"),
        pytest.param((slice(4, 7), slice(2, 12)), [[2, 4, 12, 7]], [], id="a thin object that is whole"),
    ],
)
def test_slivers_are_no_examples_of_objects_nor_of_background(rows, boxes, vague) -> None:
    numbers = torch.zeros(12, 16, dtype=torch.int64)
    numbers[rows] = 1
    target = make_target(numbers, np.array([4]), np.array([False]))
    assert target["boxes"].tolist() == boxes
    assert target["labels"].tolist() == [5] * len(boxes)
    assert target["ids"].tolist() == [1] * len(boxes)
    assert target["crowd_boxes"].tolist() == vague


def test_crowds_are_places_where_nothing_is_learned() -> None:
    _, target = transform((24, 32))(sample(FOUR, None, [False, True, False, False]), np.random.default_rng(0), no_other)
    assert target["ids"].tolist() == [1, 3, 4]
    assert target["crowd_boxes"].tolist() == [boxes_of(FOUR, 7)]


@pytest.mark.parametrize("copy_paste", [0.0, 1.0])
def test_an_image_without_objects(copy_paste) -> None:
    empty = sample(np.zeros((24, 32), np.uint8))
    image, target = transform((24, 32), copy_paste)(empty, np.random.default_rng(0), lambda: empty)
    assert {key: tuple(value.shape) for key, value in target.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "numbers": (24, 32),
        "ids": (0,),
        "crowd_boxes": (0, 4),
    }
    assert not image.any()


# --- copy-paste

DONOR = np.zeros((24, 32), np.uint16)
for place in range(12):
    DONOR[2 + 7 * (place // 4) : 8 + 7 * (place // 4), 1 + 8 * (place % 4) : 7 + 8 * (place % 4)] = place + 1


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_pasted_objects_lie_on_top_and_hide_what_is_below(seed) -> None:
    below, donor = sample(FOUR, [0, 1, 2, 3]), sample(DONOR, [7] * 12)
    image, target = transform((24, 32), 1.0)(below, np.random.default_rng(seed), lambda: donor)
    numbers = target["numbers"].numpy()
    pasted = numbers > 4
    # Each pasted object is there whole, with its own pixels; the rest is as it was.
    for i in np.unique(numbers[pasted]).tolist():
        np.testing.assert_array_equal(numbers == i, donor.objects.numbered() == i - 4)
    np.testing.assert_array_equal(numbers[~pasted], below.objects.numbered()[~pasted])
    wanted = np.where(pasted, donor.pixels[..., 0], below.pixels[..., 0])
    np.testing.assert_array_equal(image[0].numpy(), wanted)
    ids = target["ids"].tolist()
    assert target["labels"].tolist() == [([0, 1, 2, 3] + [7] * 12)[i - 1] + 1 for i in ids]
    assert target["boxes"].tolist() == [boxes_of(numbers, i) for i in ids]
    assert set(np.unique(numbers[pasted]).tolist()) <= set(ids)


def test_up_to_half_of_the_other_image_is_pasted() -> None:
    below, donor = sample(np.zeros((24, 32), np.uint8)), sample(DONOR)
    made = transform((24, 32), 1.0)
    counts = [len(made(below, np.random.default_rng(seed), lambda: donor)[1]["ids"]) for seed in range(300)]
    assert min(counts) == 0
    assert np.mean(counts) == pytest.approx(12 * 0.25, abs=0.4)
    assert max(counts) <= 10


def test_an_object_that_is_hidden_is_gone() -> None:
    whole = np.ones((24, 32), np.uint8)
    made = transform((24, 32), 1.0)
    seen = [made(sample(FOUR), np.random.default_rng(s), lambda: sample(whole))[1]["ids"].tolist() for s in range(60)]
    assert {tuple(ids) for ids in seen} == {(1, 2, 3, 4), (5,)}


def test_crowds_are_not_pasted_but_stay_below() -> None:
    donor = sample(np.ones((24, 32), np.uint8), None, [True])
    below = sample(FOUR, None, [True, False, False, False])
    for seed in range(20):
        _, target = transform((24, 32), 1.0)(below, np.random.default_rng(seed), lambda: donor)
        assert target["ids"].tolist() == [2, 3, 4]
        assert len(target["crowd_boxes"]) == 1


def test_how_often_objects_are_pasted() -> None:
    asked = []
    made = transform((24, 32), 0.25)
    for seed in range(200):
        made(sample(FOUR), np.random.default_rng(seed), lambda: asked.append(1) or sample(DONOR))
    assert 30 < len(asked) < 70


@pytest.mark.parametrize("copy_paste", [0.0, 1.0])
def test_the_generator_decides_everything(copy_paste) -> None:
    made = transform((20, 20), copy_paste, **ALL, brightness=0.3, hue=0.1, blur=0.5)
    first, second, other = (
        made(sample(FOUR), np.random.default_rng(seed), lambda: sample(DONOR)) for seed in (3, 3, 4)
    )
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(first[1][key], second[1][key]) for key in first[1])
    assert not torch.equal(first[0], other[0])
