"""Scenes whose truth is known: circles, boxes and stripes painted over one another from a seed.

Every shape is one region: one is left out if, with it, any shape would be seen less than half or in two pieces, or two
of one class would meet. What lies in front of what is the order of painting, and known of a pair wherever a junction of
their outlines is plain to see (`GeneratedScene.plain_junctions`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cc3d
import numpy as np

from segscape.labels import Label, LabelSet
from segscape.result import Segmentation

SHAPES = LabelSet(
    "shapes",
    (
        Label("background", (40, 40, 40), "背景"),
        Label("circle", (220, 60, 60), "圆", thing=True),
        Label("box", (60, 160, 220), "方块", thing=True),
        Label("stripe", (240, 200, 60), "条纹"),
    ),
)
KINDS = SHAPES.names
_CLEAR_PX = 10.0  # around a plain junction lies nothing else
_PLAIN_DEG = 60.0  # between the two outlines


@dataclass(frozen=True)
class Shape:
    """A circle of diameter width, or a box of width × height turned by turn_deg (counter-clockwise as seen).

    A stripe is a box that is longer than the picture.
    """

    kind: str
    x: float
    y: float
    width: float
    height: float
    turn_deg: float = 0.0

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far inside points are, in pixels; below 0 outside."""
        dx, dy = x - self.x, y - self.y
        if self.kind == "circle":
            return self.width / 2 - np.hypot(dx, dy)
        turn = np.radians(self.turn_deg)
        along, across = dx * np.cos(turn) - dy * np.sin(turn), dx * np.sin(turn) + dy * np.cos(turn)
        return np.minimum(self.width / 2 - np.abs(along), self.height / 2 - np.abs(across))

    def corners(self) -> np.ndarray:
        """(4, 2) x, y of a box, (0, 2) of a circle."""
        if self.kind == "circle":
            return np.empty((0, 2))
        turn = np.radians(self.turn_deg)
        along, across = np.array([np.cos(turn), -np.sin(turn)]), np.array([np.sin(turn), np.cos(turn)])
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        return np.array(
            [(self.x, self.y) + i * self.width / 2 * along + j * self.height / 2 * across for i, j in signs]
        )

    def outline(self, step: float = 0.25) -> np.ndarray:
        """(n, 2) x, y of points along the outline, about ``step`` pixels apart."""
        if self.kind == "circle":
            turns = np.arange(0, 2 * np.pi, 2 * step / self.width)
            return np.stack((np.cos(turns), np.sin(turns)), axis=1) * self.width / 2 + (self.x, self.y)
        corners = self.corners()
        sides = []
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            shares = np.arange(0, 1, step / np.hypot(*(end - start)))[:, None]
            sides.append(start + shares * (end - start))
        return np.concatenate(sides)

    def normal(self, point: np.ndarray) -> np.ndarray:
        """(2,) unit vector to the inside of the outline at ``point``."""
        (x, y), e = point, 1e-3
        slope = self.depth(np.array([x + e, x, x - e, x]), np.array([y, y + e, y, y - e]))
        return (slope[:2] - slope[2:]) / np.hypot(*(slope[:2] - slope[2:]))


@dataclass(frozen=True, eq=False)
class GeneratedScene:
    """Shapes in the order in which they were painted, each over those before it.

    Attributes:
        size: (height, width).
        shapes: what was painted on the background.
        owner: (H, W) int32, the shape seen at each pixel, -1 where it is the background.
    """

    size: tuple[int, int]
    shapes: tuple[Shape, ...]
    owner: np.ndarray

    @property
    def label_map(self) -> np.ndarray:
        """(H, W) uint8 ids of `SHAPES`."""
        classes = np.array([KINDS.index(shape.kind) for shape in self.shapes] + [0], np.uint8)
        return classes[self.owner]

    def segmentation(self) -> Segmentation:
        return Segmentation(self.size, SHAPES, self.label_map)

    def plain_junctions(self) -> dict[tuple[int, int], int]:
        """(shape in front, shape behind) -> number of points where the latter's outline ends at the former's, both run
        straight on or bend slowly, at a wide angle, and nothing else is within `_CLEAR_PX`, the frame neither."""
        found: dict[tuple[int, int], int] = {}
        height, width = self.size
        for front, a in enumerate(self.shapes):
            points = a.outline()
            for behind, b in enumerate(self.shapes[:front]):
                depth = b.depth(*points.T)
                for i in np.flatnonzero(np.sign(depth) != np.sign(np.roll(depth, -1))):
                    x, y = points[i]
                    if not (_CLEAR_PX < x < width - _CLEAR_PX and _CLEAR_PX < y < height - _CLEAR_PX):
                        continue
                    corners = np.concatenate((a.corners(), b.corners()))
                    if len(corners) and np.hypot(*(corners - (x, y)).T).min() < _CLEAR_PX:
                        continue
                    others = (c for k, c in enumerate(self.shapes) if k not in (front, behind))
                    if any(abs(c.depth(x, y)) < _CLEAR_PX for c in others):
                        continue
                    if any(c.depth(x, y) > 0 for c in self.shapes[front + 1 :]):
                        continue
                    if any(c.depth(x, y) > 0 for c in self.shapes[behind + 1 : front]):
                        continue
                    cosine = abs(float(a.normal(points[i]) @ b.normal(points[i])))
                    if np.degrees(np.arccos(min(cosine, 1.0))) >= _PLAIN_DEG:
                        found[front, behind] = found.get((front, behind), 0) + 1
        return found


def paint(shapes: tuple[Shape, ...], size: tuple[int, int]) -> GeneratedScene:
    """The scene of exactly these shapes; a pixel is a shape's when its centre is inside."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    owner = np.full(size, -1, np.int32)
    for i, shape in enumerate(shapes):
        owner[shape.depth(x, y) > 0] = i
    return GeneratedScene(size, shapes, owner)


@functools.cache
def generated(seed: int, *, size: tuple[int, int] = (160, 200), most: int = 7) -> GeneratedScene:
    """A scene of up to ``most`` shapes."""
    rng = np.random.default_rng(seed)
    scene = paint((), size)
    for _ in range(8 * most):
        candidate = paint((*scene.shapes, _drawn(rng, size)), size)
        if _is_clear(candidate):
            scene = candidate
        if len(scene.shapes) == most:
            break
    return scene


def _drawn(rng: np.random.Generator, size: tuple[int, int]) -> Shape:
    height, width = size
    kind = str(rng.choice(KINDS[1:], p=(0.45, 0.4, 0.15)))
    x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
    if kind == "circle":
        diameter = float(rng.uniform(36, 76))
        return Shape(kind, x, y, diameter, diameter)
    turn = float(rng.choice((0.0, 90.0, rng.uniform(0, 180))))
    if kind == "stripe":
        return Shape(kind, x, y, 2.0 * (height + width), float(rng.uniform(14, 30)), turn)
    return Shape(kind, x, y, float(rng.uniform(30, 90)), float(rng.uniform(30, 70)), turn)


def _is_clear(scene: GeneratedScene) -> bool:
    y, x = np.mgrid[: scene.size[0], : scene.size[1]] + 0.5
    for i, shape in enumerate(scene.shapes):
        seen = scene.owner == i
        if 2 * seen.sum() < max((shape.depth(x, y) > 0).sum(), 400):
            return False
        if cc3d.connected_components(seen.astype(np.uint8), connectivity=4).max() != 1:
            return False
    pieces = cc3d.connected_components(scene.label_map + 1, connectivity=8)
    return all(len(np.unique(pieces[scene.owner == i])) == 1 for i in range(len(scene.shapes))) and len(
        {int(pieces[scene.owner == i][0]) for i in range(len(scene.shapes))}
    ) == len(scene.shapes)
