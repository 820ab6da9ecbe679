"""Mask R-CNN on any engine that runs graphs: three of them, and compiled code between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

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
        self.key = " ".join(graph.parts[part].key for part in (FEATURES, BOXES, MASKS))

    def detect(self, batch: np.ndarray) -> Detections:
        """As `ObjectEngine` says; from any thread, and from `concurrency` of them at once."""
        plan, size = self.plan, (batch.shape[2], batch.shape[3])
        check_objects_fit(self.bytes_per_pixel, size)
        images = _padded(batch, plan.multiple)
        padded = (images.shape[2], images.shape[3])
        with self._features.run(images, size) as found:
            levels, rest = [x[0] for x in found[: plan.num_pooled]], [x[0] for x in found[plan.num_pooled :]]
            candidates, _ = proposals(
                rest[: len(self._anchors)],
                rest[len(self._anchors) :],
                self._anchors,
                padded,
                size,
                most_per_level=plan.max_per_level,
                most=plan.max_proposals,
                max_iou=plan.proposal_iou,
            )
            if not len(candidates):
                return _nothing(plan.mask_side)
            with self._boxes.run(roi_align(levels, candidates, plan.box_side, padded), size) as (classes, offsets):
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
            with self._masks.run(roi_align(levels, boxes, plan.mask_side, padded), size) as (logits,):
                return Detections(boxes, labels, scores, object_masks(logits, labels))


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


def _nothing(mask_side: int) -> Detections:
    side = 2 * mask_side
    empty = np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.float32)
    return Detections(*empty, np.empty((0, side, side), np.float32))
