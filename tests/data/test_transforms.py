"""Augmentation: image and labels stay together, and one generator decides everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.data.transforms import TrainTransform

PLAIN = {"scale": (1.0, 1.0), "flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "blur": 0.0}


def picture(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and an image that shows them: class c is grey level 10 + 40 c."""
    labels = np.random.default_rng(3).integers(0, 5, (height, width)).astype(np.uint8)
    return np.repeat((10 + 40 * labels)[..., None], 3, axis=2).astype(np.uint8), labels


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_image_and_labels_are_cut_alike(flip: float, seed: int) -> None:
    pixels, labels = picture(20, 30)
    image, target = TrainTransform((8, 12), 255, **{**PLAIN, "flip": flip})(pixels, labels, rng(seed))
    assert (image.shape, target.shape, image.dtype, target.dtype) == ((3, 8, 12), (8, 12), torch.uint8, torch.int64)
    assert torch.equal(image[0], (10 + 40 * target).to(torch.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(labels[:, ::-1] if flip else labels, (8, 12))
    assert (windows == target.numpy()).all(axis=(2, 3)).any(), "the crop is a window of the photo"


def test_outside_of_the_photo_is_ignored() -> None:
    pixels, labels = picture(4, 6)
    image, target = TrainTransform((10, 10), 255, **PLAIN)(pixels, labels, rng(1))
    inside = target != 255
    assert inside.sum() == 24
    assert (image[:, ~inside] == 128).all()
    assert torch.equal(image[0][inside], (10 + 40 * target[inside]).to(torch.uint8))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_any_size_gives_the_crop_and_only_known_ids(h: int, w: int, ch: int, cw: int, seed: int) -> None:
    pixels, labels = picture(h, w)
    transform = TrainTransform((ch, cw), 255, rare=0.5, rare_weights=[1.0] * 5, hue=0.1)
    image, target = transform(pixels, labels, rng(seed))
    assert (image.shape, target.shape) == ((3, ch, cw), (ch, cw))
    assert set(target.unique().tolist()) <= {*range(5), 255}
    assert (target != 255).any()


def test_zoom_enlarges_objects_by_its_factor() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 10:20] = 1
    pixels = np.zeros((40, 40, 3), np.uint8)
    for zoom, area in ((1.0, 100), (2.0, 400), (0.5, 25)):
        transform = TrainTransform((80, 80), 255, **{**PLAIN, "scale": (zoom, zoom)})
        assert int((transform(pixels, labels, rng())[1] == 1).sum()) == pytest.approx(area, rel=0.15)


def test_long_side_sets_the_size_before_the_zoom() -> None:
    pixels, labels = picture(20, 40)
    transform = TrainTransform((60, 100), 255, long_side=80, **PLAIN)
    assert int((transform(pixels, labels, rng())[1] != 255).sum()) == 40 * 80


def test_rare_crops_show_the_rare_class() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[77, 31] = 1
    pixels = np.zeros((100, 100, 3), np.uint8)
    always = TrainTransform((16, 16), 255, rare=1.0, rare_weights=[0.0, 1.0, 1.0], **PLAIN)
    assert all((always(pixels, labels, rng(seed))[1] == 1).any() for seed in range(30))
    never = TrainTransform((16, 16), 255, rare=0.0, **PLAIN)
    assert sum(bool((never(pixels, labels, rng(seed))[1] == 1).any()) for seed in range(30)) < 6


def test_same_generator_same_sample() -> None:
    pixels, labels = picture(30, 30)
    transform = TrainTransform((16, 16), 255, hue=0.1, blur=0.5)
    one, two, other = (transform(pixels, labels, rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_quarter_turns_and_vertical_flips_give_the_eight_views_of_a_square() -> None:
    pixels, labels = picture(6, 6)
    views = {np.rot90(m, k).tobytes() for m in (labels, labels[::-1]) for k in range(4)}
    transform = TrainTransform((6, 6), 255, quarter_turns=True, vertical_flip=0.5, **PLAIN)
    seen = set()
    for seed in range(60):
        image, target = transform(pixels, labels, rng(seed))
        assert torch.equal(image[0], (10 + 40 * target).to(torch.uint8))
        seen.add(target.numpy().astype(np.uint8).tobytes())
    assert seen == views


def test_rotation_turns_about_the_centre_and_mirrors_at_the_edge() -> None:
    labels = np.zeros((41, 41), np.uint8)
    labels[20, 5:36] = 1  # a bar across the centre
    pixels = np.repeat((200 * labels)[..., None], 3, axis=2)
    for seed in range(8):
        angle = np.deg2rad(np.random.default_rng(seed).uniform(-90, 90))
        _, target = TrainTransform((41, 41), 255, rotate=90, **PLAIN)(pixels, labels, rng(seed))
        ends = [(round(20 - side * 12 * np.sin(angle)), round(20 + side * 12 * np.cos(angle))) for side in (-1, 1)]
        assert all((target[y - 1 : y + 2, x - 1 : x + 2] == 1).any() for y, x in ends), (seed, ends)
        assert target[20, 20] == 1
        assert (target != 255).all()


@pytest.mark.parametrize("elastic_grid", [2, 3, 6])
def test_elastic_deformation_moves_image_and_labels_alike(elastic_grid: int) -> None:
    y, x = np.mgrid[:48, :64]
    labels = ((x // 16 + y // 16) % 2).astype(np.uint8)
    pixels = np.repeat((200 * labels)[..., None], 3, axis=2).astype(np.uint8)
    transform = TrainTransform((48, 64), 255, elastic=3.0, elastic_grid=elastic_grid, **PLAIN)
    for seed in range(5):
        image, target = transform(pixels, labels, rng(seed))
        assert ((image[0] > 100) == (target == 1)).float().mean() > 0.98
        assert 0.02 < (target.numpy() != labels).mean() < 0.5


def test_elastic_shifts_have_the_sigma_asked_for() -> None:
    """Photo (y, x) = (0, x): where a pixel comes from can be read off its value."""
    pixels = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    labels = np.zeros((200, 200), np.uint8)
    transform = TrainTransform((200, 200), 255, elastic=6.0, **PLAIN)
    corner = [float(transform(pixels, labels, rng(seed))[0][0, 100, 100]) - 100 for seed in range(150)]
    assert np.std(corner) == pytest.approx(6.0, rel=0.2)
    assert abs(np.mean(corner)) < 1.5
