"""Rays against boxes and distance fields, and the noise that every surface is made of: what `render_street` draws with.

World coordinates in metres: x to the right, y up, z down the road. Points and rays are (N, 3) float32 arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Color = tuple[float, float, float]  # linear red, green, blue: the share of light that a surface sends back
RAY_EPSILON = 2e-3

_noise = np.random.default_rng(0).standard_normal((64, 64, 64)).astype(np.float32)
for _axis in range(3):  # a periodic blur, so that neighbouring cells are alike and the texture tiles
    _noise = sum(np.roll(_noise, s, _axis) * w for s, w in ((-1, 0.25), (0, 0.5), (1, 0.25)))
_noise /= _noise.std()


def vec(*values: float) -> Array:
    return np.array(values, np.float32)


def unit(v: Array) -> Array:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def noise(p: Array, scale: float) -> Array:
    """Smooth noise of unit variance at points ``p`` (N, 3); one cell is ``scale`` metres."""
    q = p / scale
    base = np.floor(q).astype(np.int32)
    f, (i, j, k) = q - base, (base & 63).T
    x, y, z = f.T
    i1, j1, k1 = (i + 1) & 63, (j + 1) & 63, (k + 1) & 63
    low = (_noise[i, j, k] * (1 - x) + _noise[i1, j, k] * x) * (1 - y)
    low += (_noise[i, j1, k] * (1 - x) + _noise[i1, j1, k] * x) * y
    high = (_noise[i, j, k1] * (1 - x) + _noise[i1, j, k1] * x) * (1 - y)
    high += (_noise[i, j1, k1] * (1 - x) + _noise[i1, j1, k1] * x) * y
    return low * (1 - z) + high * z


def slabs(origin: Array, rays: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Where rays enter and leave a box, and the axis of the entry face."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - origin) / rays, (high - origin) / rays
    near = np.fmin(a, b)
    return near.max(1), np.fmax(a, b).min(1), near.argmax(1)


@dataclass
class Body:
    """Something rays march into: a distance field and its surface, in its own coordinates (y up, z forward)."""

    at: tuple[float, float, float]
    low: Array
    high: Array
    distance: Callable[[Array], Array]
    surface: Callable[[Array, Array], tuple[Array, Array]]  # points, normals -> albedo (N, 3), gloss (N,)
    turn: float = 0.0  # radians about y
    steps: int = 48
    contact: float = 0.0  # metres around the footprint that lie in its shade; 0: none

    def local(self, v: Array, *, direction: bool = False) -> Array:
        c, s = math.cos(self.turn), math.sin(self.turn)
        x, y, z = (v if direction else v - vec(*self.at)).T
        return np.stack([c * x - s * z, y, s * x + c * z], 1)

    def world(self, n: Array) -> Array:
        c, s = math.cos(self.turn), math.sin(self.turn)
        return np.stack([c * n[:, 0] + s * n[:, 2], n[:, 1], -s * n[:, 0] + c * n[:, 2]], 1)

    def march(self, origin: Array, rays: Array, limit: Array) -> tuple[Array, Array]:
        """Indices of the rays that hit nearer than ``limit``, and their depths."""
        o, d = self.local(np.broadcast_to(origin, rays.shape)), self.local(rays, direction=True)
        enter, leave, _ = slabs(o, d, self.low, self.high)
        active = np.flatnonzero((enter < leave) & (leave > 0) & (enter < limit))
        t, found, depths = np.maximum(enter[active], 0), [], []
        for _ in range(self.steps):
            step = self.distance(o[active] + t[:, None] * d[active])
            hit = step < RAY_EPSILON
            found.append(active[hit])
            depths.append(t[hit])
            t = t + step
            keep = ~hit & (t < np.minimum(leave, limit)[active])
            active, t = active[keep], t[keep]
            if not len(active):
                break
        index, depth = np.concatenate(found), np.concatenate(depths)
        near = depth < limit[index]
        return index[near], depth[near]

    def normals(self, p: Array) -> Array:
        taps = vec(1, -1, -1), vec(-1, -1, 1), vec(-1, 1, -1), vec(1, 1, 1)
        return unit(sum(k * self.distance(p + 0.004 * k)[:, None] for k in taps))


def smooth_max(a: Array, b: Array, r: float) -> Array:
    h = np.maximum(r - np.abs(a - b), 0)
    return np.maximum(a, b) + h * h / (4 * r)


def polygon_distance(u: Array, v: Array, corners: list[tuple[float, float]]) -> Array:
    """Signed distance to a polygon (Quilez, "2D distance functions")."""
    best, sign = np.full(len(u), 1e9, np.float32), np.ones(len(u), np.float32)
    for (ax, ay), (bx, by) in zip(corners, corners[-1:] + corners[:-1], strict=True):
        ex, ey, wx, wy = bx - ax, by - ay, u - ax, v - ay
        h = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        best = np.minimum(best, (wx - ex * h) ** 2 + (wy - ey * h) ** 2)
        above, below, left = v >= ay, v < by, ex * wy > ey * wx
        sign = np.where((above & below & left) | (~above & ~below & ~left), -sign, sign)
    return sign * np.sqrt(best)


@dataclass
class Panel:
    """A thin upright sheet across ("z") or along ("x") the road, cut out by its own picture."""

    axis: int  # 0: at x = place; 2: at z = place
    place: float
    picture: Callable[[Array], tuple[Array, Array]]  # points -> inside (N,), albedo (N, 3)
