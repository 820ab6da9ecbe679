"""Mask R-CNN on any engine that runs graphs: three of them, and compiled code between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from segscape.errors import ModelError
from segscape.runtime.detections import detections, object_masks
from segscape.runtime.detector_graphs import BOXES, FEATURES, MASKS, DetectorGraph
from segscape.runtime.engine import Detections, RunnableGraph
from segscape.runtime.graphs import Graph
from segscape.runtime.memory import check_objects_fit
from segscape.runtime.proposals import proposals
from segscape.runtime.roi_align import roi_align


class SplitDetector:
    """Runs a `DetectorGraph`; see `segscape.runtime.engine.ObjectEngine`.

    Args:
        graph: the network.
        load: makes one part of it ready to run, e.g. `OnnxNetwork`.

    Attributes:
        plan: the graph's.

    Raises:
        as ``load``.
    """

    def __init__(self, graph: DetectorGraph, load: Callable[[Graph], RunnableGraph]) -> None:
        self.plan = graph.plan
        self._features, self._boxes, self._masks = (load(graph.parts[part]) for part in (FEATURES, BOXES, MASKS))
        self._anchors = [np.array(level, np.float32) for level in graph.plan.anchors]
        self.name, self.concurrency = self._features.name, self._features.concurrency
        self.bytes_per_pixel = graph.plan.bytes_per_pixel
        self._num_classes = graph.parts[BOXES].num_classes
        self.key = " ".join(graph.parts[part].key for part in (FEATURES, BOXES, MASKS))

    def detect(self, batch: np.ndarray) -> Detections:
        """As `ObjectEngine` says; from any thread, and from `concurrency` of them at once."""
        plan, size = self.plan, (batch.shape[2], batch.shape[3])
        check_objects_fit(self.bytes_per_pixel, size)
        images = _padded(batch, plan.multiple)
        padded = (images.shape[2], images.shape[3])
        with self._features.run(images, size) as found:
            levels, objectness, moves = self._checked_features(found, padded)
            candidates, _ = proposals(
                objectness,
                moves,
                self._anchors,
                padded,
                size,
                most_per_level=plan.max_per_level,
                most=plan.max_proposals,
                max_iou=plan.proposal_iou,
            )
            if not len(candidates):
                return _nothing(plan.mask_side)
            with self._boxes.run(roi_align(levels, candidates, plan.box_side, padded), size) as found_classes:
                classes, offsets = self._checked_boxes(found_classes, len(candidates))
                boxes, labels, scores = detections(
                    classes,
                    offsets,
                    candidates,
                    size,
                    min_score=plan.min_score,
                    max_iou=plan.max_iou,
                    most=plan.max_objects,
                )
            if not len(boxes):
                return _nothing(plan.mask_side)
            with self._masks.run(roi_align(levels, boxes, plan.mask_side, padded), size) as found_masks:
                wanted = (len(boxes), classes.shape[1], 2 * plan.mask_side, 2 * plan.mask_side)
                _check(MASKS, found_masks, [wanted])
                return Detections(boxes, labels, scores, object_masks(found_masks[0], labels))

    def _checked_features(
        self, found: Sequence[np.ndarray], padded: tuple[int, int]
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """The levels that are pooled from, objectness and offsets of an image, as the plan says they are."""
        pooled, anchors = self.plan.num_pooled, [len(level) for level in self._anchors]
        channels = next((x.shape[3] for x in found[:1] if x.ndim == 4), 1)  # alike in all levels
        depths = [*([channels] * pooled), *anchors, *(4 * number for number in anchors)]
        sizes = [_size_within(x, padded) for x in found]
        num = len(anchors)
        sizes[pooled + num :] = sizes[pooled : pooled + num]  # there are offsets where there is objectness
        _check(FEATURES, found, [(1, *size, depth) for size, depth in zip(sizes, depths, strict=False)], len(depths))
        levels = [x[0] for x in found]
        _check_finite(levels[pooled:])
        return levels[:pooled], levels[pooled : pooled + num], levels[pooled + num :]

    def _checked_boxes(self, found: Sequence[np.ndarray], count: int) -> Sequence[np.ndarray]:
        """Class logits and offsets of ``count`` boxes."""
        num = self._num_classes + 1 if self._num_classes else next((x.shape[1] for x in found if x.ndim == 2), 0)
        _check(BOXES, found, [(count, num), (count, 4 * num)])
        _check_finite(found)
        return found


def part_inputs(
    graph: DetectorGraph, load: Callable[[Graph], RunnableGraph], batches: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """What each part takes while the objects of images are found, by which parts are quantised.

    Args:
        graph, load: as of `SplitDetector`.
        batches: (1, 3, H, W) float32 normalised images; see `SplitDetector.detect`.

    Yields:
        of each image the input of each part that ran: masks' has none where no object was found.
    """
    seen: dict[str, np.ndarray] = {}
    parts = {id(part): name for name, part in graph.parts.items()}
    detector = SplitDetector(graph, lambda part: _Recording(load(part), parts[id(part)], seen))
    for batch in batches:
        seen.clear()
        detector.detect(batch)
        yield dict(seen)


class _Recording:
    """A graph whose inputs are kept in ``seen``."""

    def __init__(self, graph: RunnableGraph, part: str, seen: dict[str, np.ndarray]) -> None:
        self._graph, self._part, self._seen = graph, part, seen
        self.name, self.concurrency = graph.name, graph.concurrency

    @contextmanager
    def run(self, x: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, ...]]:
        self._seen[self._part] = x
        with self._graph.run(x, size) as found:
            yield found


def _padded(batch: np.ndarray, multiple: int) -> np.ndarray:
    """(1, 3, H, W) grown to multiples at the right and bottom by zeros, which are mean grey."""
    height, width = batch.shape[2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return np.ascontiguousarray(batch)
    out = np.zeros((*batch.shape[:2], height + bottom, width + right), np.float32)
    out[:, :, :height, :width] = batch
    return out


def _size_within(level: np.ndarray, padded: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a level (1, h, w, C), held to 1 and the input's, so that another does not fit."""
    height, width = (*level.shape, 0, 0, 0)[1:3]
    return min(max(height, 1), padded[0]), min(max(width, 1), padded[1])


def _check(part: str, found: Sequence[np.ndarray], wanted: Sequence[tuple[int, ...]], count: int | None = None) -> None:
    """Refuse what another graph than the model's gives: a stranger may have put it there."""
    count = len(wanted) if count is None else count
    shapes = [x.shape for x in found]
    if len(found) != count or shapes != list(wanted) or any(x.dtype != np.float32 for x in found):
        raise ModelError(
            f"the model's graph {part!r} gives {_said(shapes)} of {', '.join({str(x.dtype) for x in found})}, where "
            f"its plan and its card say {count} of float32, {_said(wanted)}: it is another model's; export it again"
        )


def _said(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"


def _check_finite(found: Iterable[np.ndarray]) -> None:
    """Before any threshold: none holds of what is not a number, so that all of it would vanish unseen."""
    if not all(np.isfinite(x).all() for x in found):
        raise ModelError("the network's objects are not finite: its weights are damaged, or its training diverged")


def _nothing(mask_side: int) -> Detections:
    side = 2 * mask_side
    empty = np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.float32)
    return Detections(*empty, np.empty((0, side, side), np.float32))
