"""Proposals, RoIAlign, suppression and detections equal torchvision's, on random weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, batched_nms

from segscape.models.mask_rcnn import MaskRCNN
from segscape.runtime import boxes as boxes_module
from segscape.runtime.boxes import clip_boxes, decode_boxes, nms, sigmoid
from segscape.runtime.detections import detections, object_masks
from segscape.runtime.proposals import proposals
from segscape.runtime.roi_align import box_levels, roi_align


def random_boxes(num, size, rng, large=True):
    """Most within the image, some at its border, some tiny."""
    side = np.exp(rng.uniform(np.log(0.3), np.log(min(size) * (0.9 if large else 0.2)), (num, 2)))
    corner = rng.random((num, 2)) * np.array(size[::-1])
    return np.concatenate((corner, corner + side), 1).clip(0, [size[1], size[0]] * 2).astype(np.float32)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("side", [7, 14])
@pytest.mark.parametrize(("num_levels", "finest"), [(1, 4), (4, 4), (5, 2)])
def test_roi_align_is_torchvisions(monkeypatch, threads, side, num_levels, finest):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    rng = np.random.default_rng(side)
    padded = (96, 128)
    features = [
        rng.normal(size=(24, padded[0] // (finest << i), padded[1] // (finest << i))).astype(np.float32)
        for i in range(num_levels)
    ]
    boxes = np.concatenate((random_boxes(60, padded, rng), [[0, 0, 128, 96], [5, 5, 5, 5], [127, 95, 128, 96]]))
    boxes = np.concatenate((boxes, [[-40, -30, 10, 20], [120, 90, 190, 150]])).astype(np.float32)  # not clipped
    names = [str(i) for i in range(num_levels)]
    pyramid = {n: torch.from_numpy(f)[None] for n, f in zip(names, features, strict=True)}
    expected = MultiScaleRoIAlign(names, side, 2)(pyramid, [torch.from_numpy(boxes)], [padded]).numpy()
    found = roi_align([f.transpose(1, 2, 0) for f in features], boxes, side, padded)
    assert found.shape == (len(boxes), side, side, 24)
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), expected, atol=1e-4)


def test_no_boxes_have_no_features():
    level = np.zeros((4, 4, 3), np.float32)
    assert roi_align([level], np.empty((0, 4), np.float32), 7, (16, 16)).shape == (0, 7, 7, 3)


@pytest.mark.parametrize(
    ("side", "level"), [(0, 0), (1, 0), (111, 0), (112, 1), (223, 1), (224, 2), (448, 3), (896, 3), (5000, 3)]
)
def test_a_box_is_pooled_from_the_level_of_its_size(side, level):
    assert box_levels(np.array([[10, 10, 10 + side, 10 + side]], np.float32), 2, 4).tolist() == [level]


@pytest.mark.parametrize("shifted", [True, False])
@settings(deadline=None, max_examples=60)
@given(
    num=st.integers(0, 120),
    num_groups=st.integers(1, 4),
    levels=st.sampled_from([3, 1000]),
    max_iou=st.sampled_from([0.0, 0.3, 0.5, 0.7]),
    seed=st.integers(0, 999),
)
def test_suppression_is_torchvisions(shifted, num, num_groups, levels, max_iou, seed):
    rng = np.random.default_rng(seed)
    # Coordinates and scores on a grid: doubles, ties, and IoUs that are max_iou itself.
    boxes = np.round(random_boxes(num, (40, 40), rng) / 4) * 4
    scores = (rng.integers(0, levels, num) / levels).astype(np.float32)
    groups = rng.integers(0, num_groups, num)
    if shifted:
        expected = batched_nms(*map(torch.from_numpy, (boxes, scores, groups)), max_iou)
    else:
        from torchvision.ops.boxes import _batched_nms_vanilla

        expected = _batched_nms_vanilla(*map(torch.from_numpy, (boxes, scores, groups)), max_iou)
    with pytest.MonkeyPatch.context() as patch:
        if not shifted:
            patch.setattr(boxes_module, "_MOST_SHIFTED", -1)
        found = nms(boxes, scores, groups, max_iou)
    if shifted:
        assert found.tolist() == expected.tolist()
    else:  # torchvision leaves the order of equal scores open here
        assert sorted(found.tolist()) == sorted(expected.tolist())
        assert found.tolist() == sorted(found.tolist(), key=lambda i: (-scores[i], i))


def test_many_boxes_are_suppressed_as_torchvision_does():
    rng = np.random.default_rng(0)
    for num in (1000, 1001, 3000):
        boxes, scores = random_boxes(num, (600, 800), rng), rng.random(num).astype(np.float32)
        groups = rng.integers(0, 5, num)
        expected = batched_nms(*map(torch.from_numpy, (boxes, scores, groups)), 0.3)
        assert nms(boxes, scores, groups, 0.3).tolist() == expected.tolist()
        assert 0 < len(expected) < num


def test_small_parts():
    assert decode_boxes(np.zeros((1, 8), np.float32), np.float32([[1, 2, 5, 10]])).tolist() == [[[1, 2, 5, 10]] * 2]
    huge = decode_boxes(np.float32([[0, 0, 99, 99]]), np.float32([[0, 0, 16, 16]]))
    np.testing.assert_allclose(huge, [[[-492, -492, 508, 508]]], rtol=1e-5)
    assert clip_boxes(np.float32([[-1, 2, 50, 60]]), (20, 30)).tolist() == [[0, 2, 30, 20]]
    np.testing.assert_allclose(sigmoid(np.float32([-200, -1, 0, 1, 200])), [0, 0.268941, 0.5, 0.731059, 1], rtol=1e-5)


@pytest.fixture(scope="module", params=["lite", "few"])
def network(request):
    torch.manual_seed(3)
    small = {"channels": 16, "box_channels": 32, "pool_stride": 2, "anchor_sizes": (8, 16, 32), "anchor_stride": 4}
    net = MaskRCNN(4, max_objects=100 if request.param == "lite" else 7, **small).eval()
    if request.param == "few":  # fewer than there are, so that both cuts bite
        net.rpn._pre_nms_top_n = {"training": 50, "testing": 50}
        net.rpn._post_nms_top_n = {"training": 40, "testing": 40}
    with torch.no_grad():
        for module in (net.rpn.head, net.roi_heads.box_predictor, net.roi_heads.mask_predictor):
            for weight in module.parameters():
                weight.normal_(std=0.1)
    return net


@torch.inference_mode()
def test_the_split_network_finds_what_the_whole_one_finds(network):
    torch.manual_seed(0)
    images = torch.randn(1, 3, 90, 150)
    size = (90, 150)
    features, padded_images = network._features(images)
    padded = (padded_images.shape[2], padded_images.shape[3])
    expected, _ = network.rpn(ImageList(padded_images, [size]), network._proposing(features))

    levels = list(network._proposing(features).values())
    objectness, offsets = network.rpn.head(levels)
    found, scores = proposals(
        [o[0].permute(1, 2, 0).numpy() for o in objectness],
        [o[0].permute(1, 2, 0).numpy() for o in offsets],
        [c.numpy() for c in network.rpn.anchor_generator.cell_anchors],
        padded,
        size,
        most_per_level=network.rpn.pre_nms_top_n(),
        most=network.rpn.post_nms_top_n(),
        max_iou=network.rpn.nms_thresh,
    )
    assert (np.diff(scores) <= 0).all()
    assert len(found) > 30
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-3)

    heads = network.roi_heads
    pooled_names = heads.box_roi_pool.featmap_names
    pyramid = [features[n][0].permute(1, 2, 0).numpy() for n in pooled_names if n in features]
    box_features = torch.from_numpy(roi_align(pyramid, found, 7, padded)).permute(0, 3, 1, 2)
    class_logits, moves = heads.box_predictor(heads.box_head(box_features))
    boxes, labels, scores = detections(
        class_logits.numpy(),
        moves.numpy(),
        found,
        size,
        min_score=heads.score_thresh,
        max_iou=heads.nms_thresh,
        most=heads.detections_per_img,
    )
    mask_features = torch.from_numpy(roi_align(pyramid, boxes, 14, padded)).permute(0, 3, 1, 2)
    masks = object_masks(heads.mask_predictor(heads.mask_head(mask_features)).numpy(), labels)

    whole = {k: v.numpy() for k, v in network.detect(images)[0].items()}
    assert len(boxes) == len(whole["boxes"]) > 5
    np.testing.assert_array_equal(labels + 1, whole["labels"])
    np.testing.assert_allclose(boxes, whole["boxes"], atol=1e-3)
    np.testing.assert_allclose(scores, whole["scores"], atol=1e-5)
    np.testing.assert_allclose(masks, whole["masks"], atol=1e-4)


def test_nothing_found_is_empty():
    boxes, labels, scores = detections(
        np.float32([[9, 0, 0]]), np.zeros((1, 12), np.float32), np.float32([[0, 0, 5, 5]]), (10, 10)
    )
    assert (boxes.shape, labels.shape, scores.shape) == ((0, 4), (0,), (0,))
    assert object_masks(np.empty((0, 3, 28, 28), np.float32), labels).shape == (0, 28, 28)
