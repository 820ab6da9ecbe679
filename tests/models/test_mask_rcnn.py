"""Mask R-CNN against torchvision's: the same weights give the same losses, boxes, scores and masks."""

import numpy as np
import pytest
import torch
from detector_help import IMAGENET, first_version, lively, photo
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.roi_heads import paste_masks_in_image

from segscape.data.instance_transforms import make_target
from segscape.errors import ConfigError
from segscape.models import build_model
from segscape.models.mask_rcnn import MaskRCNN
from segscape.models.published import PUBLISHED, under_our_names
from segscape.models.roi_heads import in_crowd, mask_targets
from segscape.predict.objects import detect, object_regions
from segscape.preprocess import Preprocess
from segscape.runtime.torch_engine import TorchDetector

CLASSES = 3
NAMES = PUBLISHED["coco-maskrcnn"].names
SMALL = {"channels": 16, "box_channels": 32, "anchor_sizes": (8, 16, 32), "anchor_stride": 4, "pool_stride": 2}


def second_version() -> nn.Module:
    return maskrcnn_resnet50_fpn_v2(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, min_size=160, max_size=267
    )


VERSIONS = [
    pytest.param("resnet50_fpn", lambda: first_version(CLASSES)),
    pytest.param("resnet50_fpn_v2", second_version),
]


def both(backbone: str, make) -> tuple[MaskRCNN, nn.Module]:
    torch.manual_seed(0)
    theirs = make()
    lively(theirs)
    ours = MaskRCNN(CLASSES, backbone=backbone)
    ours.load_state_dict(under_our_names(theirs.state_dict(), NAMES))
    return ours, theirs


@pytest.mark.parametrize(("backbone", "make"), VERSIONS)
def test_objects_equal_torchvisions(backbone, make):
    ours, theirs = both(backbone, make)
    engine = TorchDetector(ours, "cpu")
    theirs.eval()
    preprocess = Preprocess(*IMAGENET, long_side=267, short_side=160)
    for seed in range(5):
        pixels = photo(seed)
        with torch.inference_mode():
            wanted = theirs([torch.from_numpy(pixels).permute(2, 0, 1) / 255])[0]
        found = detect(engine, preprocess, pixels)
        assert len(found.scores) == len(wanted["scores"]) > 5
        np.testing.assert_allclose(found.boxes, wanted["boxes"], atol=1e-4)
        np.testing.assert_allclose(found.scores, wanted["scores"], atol=1e-4)
        np.testing.assert_array_equal(found.labels + 1, wanted["labels"])
        regions = object_regions(found, pixels.shape[:2], 0.0)
        dense = np.zeros(wanted["masks"].shape, bool)[:, 0]
        for mask, region in zip(dense, regions, strict=True):
            x0, y0, x1, y1 = region.box
            mask[y0:y1, x0:x1] = region.mask.to_dense()
        np.testing.assert_array_equal(dense, (wanted["masks"][:, 0] > 0.5).numpy())


def batch() -> tuple[Tensor, list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """Two images, one with four objects and one with none: images, our targets, torchvision's."""
    numbers = torch.zeros(2, 96, 128, dtype=torch.int32)
    for i, (y0, x0, y1, x1) in enumerate([(5, 6, 40, 50), (50, 10, 90, 40), (20, 70, 60, 120), (70, 60, 92, 100)]):
        numbers[0, y0:y1, x0:x1] = i + 1
    labels, crowd = np.array([0, 1, 2, 0]), np.zeros(4, bool)
    ours = [make_target(numbers[0], labels, crowd), make_target(numbers[1], labels[:0], crowd[:0])]
    theirs = [
        {"boxes": t["boxes"], "labels": t["labels"], "masks": (n == t["ids"][:, None, None]).to(torch.uint8)}
        for t, n in zip(ours, numbers, strict=True)
    ]
    return torch.rand(2, 3, 96, 128), ours, theirs


@pytest.mark.parametrize(("backbone", "make"), VERSIONS)
def test_losses_equal_torchvisions(backbone, make):
    ours, theirs = both(backbone, make)
    images, target, their_target = batch()
    theirs.transform.image_mean, theirs.transform.image_std = [0.0] * 3, [1.0] * 3
    theirs.transform.min_size, theirs.transform.max_size = (96,), 128
    ours.train()
    theirs.train()
    torch.manual_seed(1)  # both draw the same anchors and proposals, after torchvision has drawn a size for each image
    torch.empty(2).uniform_()
    found = ours(images, target)
    torch.manual_seed(1)
    wanted = theirs(list(images), their_target)
    names = {"objectness": "loss_objectness", "proposal": "loss_rpn_box_reg", "class": "loss_classifier"}
    names |= {"box": "loss_box_reg", "mask": "loss_mask"}
    assert found.keys() == names.keys()
    for ours_name, theirs_name in names.items():
        assert float(found[ours_name].detach()) == pytest.approx(float(wanted[theirs_name].detach()), abs=1e-5)


def test_mask_targets_are_torchvisions_in_parts_of_any_size(monkeypatch):
    from torchvision.models.detection.roi_heads import project_masks_on_boxes

    _, ours, theirs = batch()
    rois = torch.tensor([[4.0, 3, 52, 44], [68, 18, 121, 61], [0, 0, 20, 20], [11.5, 49, 41, 91]])
    objects = torch.tensor([0, 2, 0, 1])
    wanted = project_masks_on_boxes(theirs[0]["masks"], rois, objects, 28)
    for at_once in (1, 2, 16):
        monkeypatch.setattr("segscape.models.roi_heads._MASKS_AT_ONCE", at_once)
        torch.testing.assert_close(mask_targets(ours[0], rois, objects, 28), wanted)


@pytest.mark.parametrize("with_objects", [0, 1, 2])
def test_images_without_objects_can_be_learned_from(with_objects):
    torch.manual_seed(0)
    model = MaskRCNN(1, **SMALL)
    model.train()
    images, target, _ = batch()
    target[0]["labels"][:] = 1
    chosen = [target[0] if i < with_objects else target[1] for i in range(2)]
    losses = model(images, chosen)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert (float(losses["mask"].detach()) > 0) == (with_objects > 0)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_four_hundred_objects_can_be_learned_and_found():
    torch.manual_seed(0)
    model = MaskRCNN(1, **SMALL, max_objects=450)
    numbers = torch.zeros(256, 256, dtype=torch.int32)
    for i in range(400):
        y, x = divmod(i, 20)
        numbers[y * 12 + 2 : y * 12 + 11, x * 12 + 2 : x * 12 + 11] = i + 1
    target = make_target(numbers, np.zeros(400, np.int64), np.zeros(400, bool))
    assert len(target["boxes"]) == 400
    losses = model.train()(torch.rand(1, 3, 256, 256), [target])
    assert all(torch.isfinite(loss) for loss in losses.values())
    model.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        found = model.eval().detect(torch.rand(1, 3, 256, 256))[0]
    assert found["masks"].shape == (450, 28, 28)


@pytest.mark.parametrize(
    ("boxes", "crowd", "inside"),
    [
        ([[0, 0, 10, 10]], [[0, 0, 10, 10]], [True]),
        ([[0, 0, 10, 10]], [[5, 0, 20, 20]], [False]),  # half is not more than half
        ([[0, 0, 10, 10]], [[4, 0, 20, 20]], [True]),
        ([[0, 0, 10, 10], [30, 30, 40, 40]], [[20, 20, 50, 50]], [False, True]),
        ([[0, 0, 10, 10]], [], [False]),
        ([], [[0, 0, 10, 10]], []),
    ],
)
def test_in_crowd(boxes, crowd, inside):
    tensors = (torch.tensor(x, dtype=torch.float32).reshape(-1, 4) for x in (boxes, crowd))
    assert in_crowd(*tensors).tolist() == inside


def test_nothing_is_learned_about_the_background_in_a_crowd():
    """With the whole image a crowd, no anchor and no proposal is a negative example."""
    torch.manual_seed(0)
    model = MaskRCNN(1, **SMALL).train()
    images, target, _ = batch()
    crowd = {**target[1], "crowd_boxes": torch.tensor([[0.0, 0.0, 128.0, 96.0]])}
    features, padded = model._features(images[:1])
    anchors = model.rpn.anchor_generator(
        type("List", (), {"tensors": padded, "image_sizes": [(96, 128)]})(), list(model._proposing(features).values())
    )
    labels, _ = model.rpn.assign_targets_to_anchors(anchors, [crowd])
    inside = in_crowd(anchors[0], crowd["crowd_boxes"])
    assert inside.float().mean() > 0.8
    assert (labels[0][inside] == -1).all()
    assert (model.rpn.assign_targets_to_anchors(anchors, [target[1]])[0][0] == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (64, 31)])
def test_any_size_goes_in(size):
    torch.manual_seed(0)
    model = MaskRCNN(2, **SMALL).eval()
    with torch.inference_mode():
        found = model.detect(torch.rand(2, 3, *size))
    for image in found:
        assert image["masks"].shape == (len(image["boxes"]), 28, 28)
        assert (image["boxes"][:, 2] <= size[1]).all()
        assert (image["boxes"][:, 3] <= size[0]).all()


@pytest.mark.parametrize("first", [(33, 40), (40, 40), (96, 66)])
def test_what_is_found_does_not_depend_on_the_image_before(first):
    """RoIAlign takes the strides of its levels from the first image; a padded one must not mislead it."""

    def detected(*sizes: tuple[int, int]) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = MaskRCNN(2, **SMALL)
        lively(model)
        model.eval()
        torch.manual_seed(1)
        images = {size: torch.rand(1, 3, *size) for size in ((96, 128), *sizes)}
        with torch.inference_mode():
            return [model.detect(images[size])[0] for size in (*sizes, (96, 128))][-1]

    alone, after = detected(), detected(first)
    assert len(alone["boxes"]) > 0
    for key, value in alone.items():
        torch.testing.assert_close(after[key], value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool_stride": 3}, "pool_stride must be 2, 4 or 8"),
        ({"anchor_stride": 2, "pool_stride": 4}, "pool_stride must be"),
        ({"anchor_sizes": ()}, "anchor_sizes"),
        ({"anchor_sizes": (8,) * 7}, "5 levels"),
        ({"anchor_sizes": (8, 0)}, "above 0"),
        ({"backbone": "resnet50_fpn", "channels": 64}, "takes max_objects, samples and nms"),
        ({"backbone": "no_such_backbone"}, "no_such_backbone"),
        ({"depth": 3}, "has no option depth"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_model("mask_rcnn", 2, options)


def test_pasted_masks_never_need_an_image_sized_array():
    """The same objects in a picture a thousand times larger: paste_masks_in_image would take 4 GB for them."""
    masks = np.random.default_rng(0).random((100, 28, 28), np.float32)
    boxes = np.tile(np.array([[100, 200, 180, 260]], np.float32), (100, 1))
    from segscape.runtime.engine import Detections

    found = Detections(boxes, np.zeros(100, np.int64), np.ones(100, np.float32), masks)
    regions = object_regions(found, (30000, 40000))
    small = paste_masks_in_image(torch.from_numpy(masks[:1])[:, None], torch.from_numpy(boxes[:1]), (300, 300))
    assert regions[0].area_px == int((small > 0.5).sum())
