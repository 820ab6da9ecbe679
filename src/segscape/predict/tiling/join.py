"""Objects that tile borders cut, joined again.

Neighbouring tiles overlap, and what lies in the overlap is seen by both. Two objects of one class whose masks agree
there (intersection over union of `JOIN_IOU`) are one, and so on through all tiles (union-find). Each tile has a core,
which ends in the middle of its overlaps, so that cores part the picture: of an object found in several tiles, each
gives the pixels in its own core, which it saw with the most around it. An object that one tile alone found counts if at
least half of it lies in that tile's core.

Nothing here depends on the order in which tiles were worked on, and work and memory are linear in the objects: of
masks, those of three rows of tiles at most are in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from segscape.bigimage.object_parts import ObjectParts, PackedObjects, WholeObject
from segscape.masks import Box, RunLengths
from segscape.predict.tiling.plan import TilePlan

JOIN_IOU = 0.5
_BAND_ROWS = 256

Spans = tuple[np.ndarray, np.ndarray, np.ndarray]


class JoinedObjects:
    """The objects of a picture, from those of its tiles.

    Args:
        parts: the tiles' objects, all there.
        plan: the tiles.

    Attributes:
        num_objects: of the whole picture.
    """

    def __init__(self, parts: ObjectParts, plan: TilePlan) -> None:
        self._parts, self._plan = parts, plan
        self._shape = (len(plan.rows), len(plan.columns))
        parent, inside, alone = array("q"), array("q"), array("q")
        above: list[tuple[int, PackedObjects]] = []
        self._first: list[list[int]] = []
        for row, tiles in enumerate(parts.rows(*self._shape)):
            here: list[tuple[int, PackedObjects]] = []
            for column, objects in enumerate(tiles):
                here.append((len(parent), objects))
                parent.extend(range(len(parent), len(parent) + len(objects)))
                core = self._core(row, column)
                for k in range(len(objects)):
                    spans = objects.spans(k)
                    area, own = _area(spans), _area(_clipped(spans, core))
                    inside.append(own)
                    alone.append(area if 2 * own >= area else 0)
                neighbours = [(row, column - 1, here)] if column else []
                neighbours += [(row - 1, c, above) for c in (column - 1, column, column + 1) if above]
                for r, c, line in neighbours:
                    if 0 <= c < self._shape[1]:
                        zone = _intersection(self._tile(row, column), self._tile(r, c))
                        for a, b in _same(here[column][1], line[c][1], zone):
                            _unite(parent, here[column][0] + a, line[c][0] + b)
            above = here
            self._first.append([first for first, _ in here])
        root = np.array([_root(parent, i) for i in range(len(parent))], np.int64)
        members = np.bincount(root, minlength=len(root))
        self._joined = members[root] > 1
        shares = np.where(self._joined, np.frombuffer(inside, np.int64), np.frombuffer(alone, np.int64))
        area = np.bincount(root, weights=shares, minlength=len(root))
        id_of_root = np.cumsum(area > 0) * (area > 0)
        self._ids = id_of_root[root] * (shares > 0)
        """Of every object of a tile: the id of what it is part of, 0 if it gives nothing."""
        self.num_objects = int(id_of_root.max(initial=0))
        self._last = np.zeros(self.num_objects + 1, np.int64)
        np.maximum.at(self._last, self._ids, np.arange(len(root)))

    def __iter__(self) -> Iterator[WholeObject]:
        """The objects, each when the last tile that has a part of it is reached."""
        open_parts: dict[int, list[tuple[int, float, Spans]]] = {}
        for row, tiles in enumerate(self._parts.rows(*self._shape)):
            for column, objects in enumerate(tiles):
                for k, number, spans in self._given(row, column, objects):
                    part = (int(objects.labels[k]), float(objects.scores[k]), spans)
                    open_parts.setdefault(number, []).append(part)
                    if self._last[number] == self._first[row][column] + k:
                        yield _whole(number, open_parts.pop(number))

    def bands(self) -> Iterator[np.ndarray]:
        """(rows, W) uint32 from the top: the id of each pixel's object, 0 where there is none.

        A pixel that several claim has the one of highest score, and of equal scores the lowest id.
        """
        lines: dict[int, list[PackedObjects]] = {}
        for row in range(self._shape[0]):
            for near in range(max(0, row - 1), min(row + 2, self._shape[0])):
                if near not in lines:
                    lines[near] = [self._parts.get((near, column)) for column in range(self._shape[1])]
            lines.pop(row - 2, None)
            _, y0, _, y1 = self._core(row, 0)
            found = []
            for near, line in lines.items():
                for column, objects in enumerate(line):
                    reach = objects.boxes[:, 1] < y1, objects.boxes[:, 3] > y0
                    for k in np.flatnonzero(reach[0] & reach[1]).tolist():
                        if number := int(self._ids[self._first[near][column] + k]):
                            score = float(np.nan_to_num(objects.scores[k], nan=1.0))
                            found.append((score, -number, near, column, k))
            found.sort()
            for top in range(y0, y1, _BAND_ROWS):
                yield self._painted(found, lines, top, min(top + _BAND_ROWS, y1))

    def _painted(
        self,
        found: list[tuple[float, int, int, int, int]],
        lines: dict[int, list[PackedObjects]],
        top: int,
        end: int,
    ) -> np.ndarray:
        band = np.zeros((end - top, self._plan.size[1]), np.uint32)
        for _, negative, row, column, k in found:
            box = lines[row][column].boxes[k]
            if box[1] >= end or box[3] <= top:
                continue
            spans = self._part(row, column, lines[row][column], k)
            x, y0, y1 = _clipped(spans, (0, top, self._plan.size[1], end))
            for a, b, c in zip(x.tolist(), (y0 - top).tolist(), (y1 - top).tolist(), strict=True):
                band[b:c, a] = -negative
        return band

    def _given(self, row: int, column: int, objects: PackedObjects) -> Iterator[tuple[int, int, Spans]]:
        """Of a tile's objects that count: place in it, id, and the part it gives."""
        first = self._first[row][column]
        for k in range(len(objects)):
            if number := int(self._ids[first + k]):
                yield k, number, self._part(row, column, objects, k)

    def _part(self, row: int, column: int, objects: PackedObjects, k: int) -> Spans:
        spans = objects.spans(k)
        return _clipped(spans, self._core(row, column)) if self._joined[self._first[row][column] + k] else spans

    def _tile(self, row: int, column: int) -> Box:
        (y0, y1), (x0, x1) = self._plan.rows[row], self._plan.columns[column]
        return x0, y0, x1, y1

    def _core(self, row: int, column: int) -> Box:
        x0, y0, x1, y1 = self._tile(row, column)
        half = self._plan.overlap // 2
        return (
            x0 + half * (column > 0),
            y0 + half * (row > 0),
            x1 - half * (column < self._shape[1] - 1),
            y1 - half * (row < self._shape[0] - 1),
        )


def _same(a: PackedObjects, b: PackedObjects, zone: Box) -> Iterator[tuple[int, int]]:
    """The pairs of objects of two tiles that are one."""
    near_a, near_b = _near(a.boxes, zone), _near(b.boxes, zone)
    boxes_a, boxes_b = a.boxes[near_a, None], b.boxes[None, near_b]
    low = np.maximum(boxes_a[..., :2], boxes_b[..., :2])
    high = np.minimum(boxes_a[..., 2:], boxes_b[..., 2:])
    pairs = np.argwhere((low < high).all(2) & (a.labels[near_a, None] == b.labels[None, near_b]))
    dense: dict[tuple[int, int], np.ndarray] = {}
    for i, j in pairs.tolist():
        ka, kb = int(near_a[i]), int(near_b[j])
        for side, (objects, k) in enumerate(((a, ka), (b, kb))):
            if (side, k) not in dense:
                dense[side, k] = _dense(objects, k, zone)
        mask_a, mask_b = dense[0, ka], dense[1, kb]
        both = _overlap(mask_a, _intersection(_box(a, ka), zone), mask_b, _intersection(_box(b, kb), zone))
        if both > 0 and both >= JOIN_IOU * (np.count_nonzero(mask_a) + np.count_nonzero(mask_b) - both):
            yield ka, kb


def _overlap(a: np.ndarray, box_a: Box, b: np.ndarray, box_b: Box) -> int:
    """Pixels that two masks, each within its box, have in common."""
    x0, y0, x1, y1 = _intersection(box_a, box_b)
    if x0 >= x1 or y0 >= y1:
        return 0
    part_a = a[y0 - box_a[1] : y1 - box_a[1], x0 - box_a[0] : x1 - box_a[0]]
    part_b = b[y0 - box_b[1] : y1 - box_b[1], x0 - box_b[0] : x1 - box_b[0]]
    return int(np.count_nonzero(part_a & part_b))


def _near(boxes: np.ndarray, zone: Box) -> np.ndarray:
    """The boxes that have a share in a zone."""
    x0, y0, x1, y1 = zone
    return np.flatnonzero((boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0))


def _dense(objects: PackedObjects, k: int, zone: Box) -> np.ndarray:
    """Object k's mask in its box and the zone."""
    x0, y0, x1, y1 = _intersection(_box(objects, k), zone)
    counts = np.zeros((y1 - y0 + 1, x1 - x0), np.int8)
    x, top, bottom = _clipped(objects.spans(k), (x0, y0, x1, y1))
    counts[top - y0, x - x0] = 1
    np.subtract.at(counts, (bottom - y0, x - x0), 1)
    return np.cumsum(counts[:-1], axis=0, dtype=np.int8).astype(bool)


def _box(objects: PackedObjects, k: int) -> Box:
    x0, y0, x1, y1 = objects.boxes[k].tolist()
    return x0, y0, x1, y1


def _intersection(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _clipped(spans: Spans, box: Box) -> Spans:
    x, y0, y1 = spans
    y0, y1 = np.maximum(y0, box[1]), np.minimum(y1, box[3])
    kept = (x >= box[0]) & (x < box[2]) & (y0 < y1)
    return x[kept], y0[kept], y1[kept]


def _area(spans: Spans) -> int:
    return int((spans[2] - spans[1]).sum())


def _whole(number: int, parts: Iterable[tuple[int, float, Spans]]) -> WholeObject:
    """The union of an object's parts."""
    listed = list(parts)
    x, y0, y1 = (np.concatenate([spans[i] for _, _, spans in listed]) for i in range(3))
    box = (int(x.min()), int(y0.min()), int(x.max()) + 1, int(y1.max()))
    height = box[3] - box[1]
    starts, ends = (x - box[0]) * height + y0 - box[1], (x - box[0]) * height + y1 - box[1]
    order = np.argsort(starts, kind="stable")
    mask = RunLengths.from_intervals(starts[order], ends[order], (height, box[2] - box[0]))
    score = max(score for _, score, _ in listed)
    return WholeObject(number, listed[0][0], None if np.isnan(score) else score, box, mask)


def _root(parent: array[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _unite(parent: array[int], i: int, j: int) -> None:
    """Under the lower of both roots, so that the root is the first member whatever the order."""
    i, j = _root(parent, i), _root(parent, j)
    parent[max(i, j)] = min(i, j)
