"""Terraced houses: brick or plaster, with windows, doors, shop fronts and roofs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from raycast import Array, Color, noise, unit, vec

WALL = 7.4  # distance of the house fronts from the middle of the road in metres


@dataclass
class House:
    side: int  # -1 left, +1 right
    start: float
    end: float
    height: float
    wall: Color
    brick: bool
    shop: bool
    seed: int
    bays: int = field(init=False)

    def __post_init__(self) -> None:
        self.bays = max(1, round((self.end - self.start) / 2.6))

    @property
    def box(self) -> tuple[Array, Array]:
        x = sorted((self.side * WALL, self.side * (WALL + 9)))
        return vec(x[0], 0, self.start), vec(x[1], self.height, self.end)

    def surface(self, p: Array, axis: Array) -> tuple[Array, Array]:
        u, v = np.where(axis == 0, p[:, 2] - self.start, np.abs(p[:, 0]) - WALL), p[:, 1]
        front = axis == 0
        grime = 1 + 0.07 * noise(p, 0.9) + 0.05 * noise(p, 0.1) - 0.16 * np.exp(-v / 0.5)
        albedo, gloss = np.tile(vec(*self.wall), (len(p), 1)), np.zeros(len(p), np.float32)
        if self.brick:
            row = np.floor(v / 0.075)
            tone = np.sin(row * 12.9898 + np.floor((u + 0.11 * (row % 2)) / 0.22) * 78.233) * 43758.5
            albedo *= (0.88 + 0.26 * (tone - np.floor(tone)))[:, None]
            joint = (v % 0.075 < 0.012) | ((u + 0.11 * (row % 2)) % 0.22 < 0.012)
            albedo[joint] = albedo[joint] * 0.6 + vec(0.25, 0.24, 0.22) * 0.4
        albedo *= grime[:, None]

        bay = (self.end - self.start) / self.bays
        column, storey = np.floor(u / bay), np.floor((v - 0.1) / 2.9)
        s, t = (u - column * bay) / bay - 0.5, (v - 0.1) - storey * 2.9
        s *= bay
        ground = storey == 0
        door = ground & (column % 3 == self.seed % 3) & (not self.shop)

        def put(where: Array, color: Color, shine: float = 0.0) -> None:
            albedo[front & where], gloss[front & where] = color, shine

        def opening(inside: Array, s: Array, low: Array | float, high: Array | float, half: float, bars: int) -> None:
            """A window: lintel and sill, a white frame, glass behind with curtains, shade under the lintel."""
            put(inside & (np.abs(s) < half + 0.14) & (t > low - 0.14) & (t < low), (0.42, 0.41, 0.38))
            put(inside & (np.abs(s) < half + 0.16) & (t > high) & (t < high + 0.2), (0.4, 0.37, 0.32))
            hole = inside & (np.abs(s) < half) & (t > low) & (t < high)
            put(hole, (0.6, 0.6, 0.58))
            pane = (
                hole
                & (np.abs(s) < half - 0.07)
                & (t > low + 0.08)
                & (t < high - 0.07)
                & (np.abs(t - (low + high) / 2) > 0.03)
            )
            pane &= np.abs((s / half + 1) * bars % 2 - 1) < 1 - 0.1 * bars
            put(pane, (0.025, 0.027, 0.03), 0.35)
            lit = np.sin(column * 7.1 + storey * 3.3 + self.seed) > 0.1
            put(pane & lit & (np.abs(s) > half * 0.55), (0.28, 0.26, 0.23), 0.2)
            put(hole & (t > high - 0.13), (0.03, 0.03, 0.03))

        upper = (storey >= 1) & (v < self.height - 0.9)
        opening(upper, s, 0.75, 2.3, 0.5, 2)
        if self.shop:
            sign = vec(*[(0.3, 0.03, 0.03), (0.03, 0.09, 0.16), (0.04, 0.15, 0.08), (0.4, 0.33, 0.2)][self.seed % 4])
            put(ground, tuple(sign * 0.6))
            opening(ground, s, 0.55, 2.15, bay / 2 - 0.12, 1)
            goods = np.clip(0.11 + 0.09 * noise(p * vec(1, 1, 1), 0.22) + 0.07 * noise(p, 0.7), 0.02, 0.4)
            display = front & ground & (np.abs(s) < bay / 2 - 0.2) & (t > 0.62) & (t < 1.95)
            albedo[display] = goods[display, None] * (1 + 0.5 * noise(p[display], 0.3)[:, None] * vec(0.7, -0.2, -0.5))
            board = ground & (t > 2.3) & (t < 2.85)
            put(board, tuple(sign))
            letters = (
                board
                & (np.abs(t - 2.57) < 0.13)
                & (noise(np.stack([u, t * 0, t * 0], 1), 0.07) + 0.5 * noise(p, 0.06) > 0.1)
            )
            put(letters & (np.abs((u / bay) % 2 - 1) < 0.75), (0.6, 0.58, 0.5))
        else:
            opening(ground & ~door, s, 0.8, 2.35, 0.65, 2)
            put(door & (np.abs(s) < 0.62) & (t < 2.42), (0.55, 0.54, 0.5))
            put(
                door & (np.abs(s) < 0.48) & (t < 2.28),
                [(0.05, 0.09, 0.18), (0.2, 0.03, 0.03), (0.03, 0.1, 0.06)][self.seed % 3],
            )
            put(door & (np.abs(s) < 0.36) & (np.abs(t - 1.75) < 0.28), (0.05, 0.05, 0.055), 0.3)
        put((v > self.height - 0.28), (0.36, 0.35, 0.33))
        put((np.abs(v - self.height + 0.33) < 0.05), (0.07, 0.07, 0.07))
        put((u < 0.06) & (np.abs(u) < 0.1), (0.05, 0.05, 0.05))
        return np.maximum(albedo, 0.008), gloss

    def roof(self, origin: Array, rays: Array) -> tuple[Array, Array]:
        """Depth and normal where rays meet the slope that rises from the eaves, or the gable; inf where they do not."""
        slope, reach = 0.75, 4.5
        n = unit(vec(-self.side * slope, 1, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = ((vec(self.side * (WALL - 0.2), self.height, 0) - origin) @ n) / (rays @ n)
            g = (self.start - origin[2]) / rays[:, 2]
        p, q = origin + t[:, None] * rays, origin + g[:, None] * rays
        out, up = np.abs(p[:, 0]) - WALL, np.abs(q[:, 0]) - WALL
        on = (
            (t > 0)
            & (out > -0.25)
            & (out < reach)
            & (p[:, 2] > self.start)
            & (p[:, 2] < self.end)
            & (p[:, 0] * self.side > 0)
        )
        rise = np.minimum(up, 2 * reach - up) * slope
        gable = (
            (g > 0) & (up > 0) & (q[:, 1] > self.height) & (q[:, 1] < self.height + rise) & (q[:, 0] * self.side > 0)
        )
        t, g = np.where(on, t, np.inf), np.where(gable, g, np.inf)
        return np.minimum(t, g), np.where((t < g)[:, None], n, vec(0, 0, -1))


def terrace(side: int, start: float, end: float, shops: float, rng: np.random.Generator) -> list[House]:
    walls = [(0.3, 0.17, 0.11), (0.42, 0.36, 0.25), (0.5, 0.48, 0.43), (0.36, 0.25, 0.17), (0.46, 0.44, 0.36)]
    houses, last = [], -1
    while start < end:
        length, kind = float(rng.uniform(7, 14)), int(rng.integers(len(walls)))
        kind = (kind + 1) % len(walls) if kind == last else kind
        height, shop = 2.9 * int(rng.integers(2, 4)) + 0.7, bool(rng.random() < shops)
        brick, seed = kind in (0, 1, 3), int(rng.integers(100))
        houses.append(House(side, start, start + length, height, walls[kind], brick, shop, seed))
        start, last = start + length, kind
    return houses
