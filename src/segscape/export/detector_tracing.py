"""From a Mask R-CNN in torch to the three graphs of `segscape.runtime.detector_graphs`."""

from __future__ import annotations

import json
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from segscape.errors import ConfigError
from segscape.export.tracing import to_onnx
from segscape.models.mask_rcnn import MaskRCNN
from segscape.runtime.detector_graphs import BOXES, FEATURES, MASKS, PLAN, DetectorPlan
from segscape.runtime.graphs import INPUT, packed_graph


def trace_parts(network: nn.Module) -> dict[str, bytes]:
    """Its three graphs without their weights, the first with the network's `DetectorPlan` beside it.

    Raises:
        ConfigError: not a `MaskRCNN`, or one that torch cannot export.
    """
    if not isinstance(network, MaskRCNN):
        raise ConfigError(f"no graph can be made of a {type(network).__name__}")
    state, plan = network.state_dict(), _plan(network)
    heads, m = network.roi_heads, network.multiple

    def features(images: Tensor) -> tuple[Tensor, ...]:
        levels, _ = network._features(images)
        objectness, offsets = network.rpn.head(list(network._proposing(levels).values()))
        pooled = [levels[name] for name in heads.box_roi_pool.featmap_names]
        return tuple(x.permute(0, 2, 3, 1) for x in (*pooled, *objectness, *offsets))

    def boxes(pooled: Tensor) -> Any:
        return heads.box_predictor(_box_head(heads.box_head, pooled))

    def masks(pooled: Tensor) -> Any:
        return heads.mask_predictor(heads.mask_head(pooled.permute(0, 3, 1, 2)))  # type: ignore[misc]

    proposing = range(len(plan.anchors))
    given = [f"level{i}" for i in range(plan.num_pooled)]
    given += [f"{what}{i}" for what in ("objectness", "offsets") for i in proposing]
    channels = network.fpn.layer_blocks[0][0].out_channels
    any_size = {name: {1: f"{name}_height", 2: f"{name}_width"} for name in given}
    parts = {
        FEATURES: (features, (1, 3, 2 * m, 3 * m), {INPUT: {2: "height", 3: "width"}, **any_size}),
        BOXES: (boxes, (2, plan.box_side, plan.box_side, channels), _of_any_number("classes", "offsets")),
        MASKS: (masks, (2, plan.mask_side, plan.mask_side, channels), _of_any_number("masks")),
    }
    packed = {}
    for part, (forward, shape, axes) in parts.items():
        said = {"multiple": str(m if part == FEATURES else 1), "stride": "1"}
        if part == FEATURES:
            said[PLAN] = json.dumps(plan.to_dict())
        packed[part] = packed_graph(to_onnx(network, forward, torch.zeros(shape), axes), state, said)
    return packed


def _of_any_number(*given: str) -> dict[str, dict[int, str]]:
    return {name: {0: "n"} for name in ("pooled", *given)}


def _box_head(head: nn.Module, pooled: Tensor) -> Tensor:
    """Of features (N, side, side, C): the head's are (N, C, side, side)."""
    if not isinstance(head, TwoMLPHead):
        return head(pooled.permute(0, 3, 1, 2))
    # Turning the weights, which the runtime does once, instead of the features of every box.
    weight = head.fc6.weight
    turned = weight.reshape(len(weight), pooled.shape[3], -1).permute(0, 2, 1).flatten(1)
    return F.relu(head.fc7(F.relu(F.linear(pooled.flatten(1), turned, head.fc6.bias))))


def _plan(network: MaskRCNN) -> DetectorPlan:
    rpn, heads = cast(Any, network.rpn), cast(Any, network.roi_heads)
    cells = cast("list[Tensor]", rpn.anchor_generator.cell_anchors)
    return DetectorPlan(
        multiple=network.multiple,
        anchors=tuple(tuple(map(tuple, level.tolist())) for level in cells),  # type: ignore[misc]
        num_pooled=len(heads.box_roi_pool.featmap_names),
        max_per_level=rpn.pre_nms_top_n(),
        max_proposals=rpn.post_nms_top_n(),
        proposal_iou=rpn.nms_thresh,
        min_score=heads.score_thresh,
        max_iou=heads.nms_thresh,
        max_objects=heads.detections_per_img,
        box_side=heads.box_roi_pool.output_size[0],
        mask_side=heads.mask_roi_pool.output_size[0],
        bytes_per_pixel=network.bytes_per_pixel,
    )
