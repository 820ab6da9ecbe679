"""What stands in a street: cars, people, poles, trees, signs and fences, as bodies and panels to cast rays at."""

from __future__ import annotations

import itertools
import math

import numpy as np
from raycast import Array, Body, Color, Panel, noise, polygon_distance, smooth_max, unit, vec

PAVEMENT = 0.13  # height of the pavement in metres

HATCHBACK = [(-1.95, 0.3), (-2.0, 0.72), (-1.86, 1.02), (-1.5, 1.4), (-1.1, 1.47), (-0.1, 1.47), (0.3, 1.4),
             (1.05, 0.98), (1.8, 0.82), (2.0, 0.62), (2.0, 0.3)]  # fmt: skip
VAN = [(-2.4, 0.35), (-2.42, 1.0), (-2.3, 2.1), (-2.1, 2.2), (0.9, 2.2), (1.2, 2.1), (1.75, 1.25), (2.3, 1.05),
       (2.45, 0.8), (2.45, 0.35)]  # fmt: skip


def car(at: tuple[float, float, float], turn: float, paint: tuple[float, float, float], *, van: bool = False) -> Body:
    profile, tall, sill = (VAN, 2.25, 1.3) if van else (HATCHBACK, 1.5, 0.98)
    half, axle, end = (0.95, 1.5, 2.45) if van else (0.86, 1.25, 2.0)

    def width(y: Array) -> Array:
        return half - 0.32 * np.maximum(y - sill + 0.05, 0) * (0.35 if van else 1) - 0.1 * np.maximum(0.6 - y, 0)

    def wheels(p: Array) -> tuple[Array, Array]:
        return np.hypot(np.abs(p[:, 2]) - axle, p[:, 1] - 0.31), np.abs(np.abs(p[:, 0]) - half + 0.13)

    def distance(p: Array) -> Array:
        side = np.abs(p[:, 0]) - width(p[:, 1])
        shell = smooth_max(polygon_distance(p[:, 2], p[:, 1], profile), side, 0.16)
        r, across = wheels(p)
        arch = np.maximum(r - 0.37, half - 0.3 - np.abs(p[:, 0]))
        wheel = smooth_max(r - 0.31, across - 0.1, 0.04)
        ear = np.stack([np.abs(p[:, 0]) - half - 0.06, p[:, 1] - sill - 0.06, p[:, 2] - 0.72 - 0.6 * van], 1)
        mirror = np.linalg.norm(ear, axis=1) - 0.085
        return np.minimum(np.minimum(np.maximum(shell, -arch), wheel), mirror) * 0.85

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        albedo, gloss = np.tile(vec(*paint), (len(p), 1)), np.full(len(p), 0.12, np.float32)

        def put(where: Array, color: tuple[float, float, float], shine: float) -> None:
            albedo[where], gloss[where] = color, shine

        inside = polygon_distance(z, y, profile)
        seams = (np.abs(z - 0.62) < 0.012) | (np.abs(z + 0.35) < 0.012) | (np.abs(y - 0.55) < 0.012)
        put((np.abs(n[:, 0]) > 0.6) & seams, (0.03, 0.03, 0.03), 0)
        put(y < 0.4, (0.03, 0.03, 0.032), 0.02)
        panes = (inside < -0.09) & (np.abs(z + 0.35) > 0.05) & ((z > 0.2) | (not van))
        put((np.abs(n[:, 0]) > 0.5) & (y > sill) & panes, (0.012, 0.014, 0.016), 0.22)
        screen = (np.abs(n[:, 0]) < 0.6) & (x < width(y) - 0.1) & (y > sill + 0.06) & (y < tall - 0.14)
        put(screen & (np.abs(n[:, 2]) > 0.3), (0.012, 0.014, 0.016), 0.22)
        put((z > end - 0.3) & (x > half - 0.36) & (np.abs(y - 0.7 - 0.2 * van) < 0.085), (0.75, 0.76, 0.78), 0.35)
        put((z > end - 0.3) & (x < 0.42) & (np.abs(y - 0.62) < 0.06), (0.02, 0.02, 0.02), 0.1)
        put((z < -end + 0.35) & (x > half - 0.26) & (np.abs(y - 0.84) < 0.13), (0.42, 0.01, 0.012), 0.2)
        plate = (x < 0.26) & (np.abs(y - 0.47) < 0.055)
        put((z > end - 0.2) & plate, (0.7, 0.7, 0.66), 0.05)
        put((z < -end + 0.2) & plate, (0.65, 0.5, 0.06), 0.05)
        r, across = wheels(p)
        wheel = (r < 0.33) & (across < 0.13)
        put(wheel, (0.014, 0.014, 0.015), 0.01)
        spokes = np.cos(5 * np.arctan2(p[:, 1] - 0.31, np.abs(z) - axle)) > -0.45
        put(wheel & (r < 0.2) & (spokes | (r < 0.06)), (0.36, 0.36, 0.38), 0.15)
        albedo *= (1 + 0.06 * noise(p, 0.3))[:, None]
        return albedo, gloss

    low, high = vec(-half - 0.2, 0, -end - 0.05), vec(half + 0.2, tall + 0.05, end + 0.05)
    return Body(at, low, high, distance, surface, turn, 90, contact=0.3)


Rod = tuple[tuple[float, float, float], tuple[float, float, float], float, float, tuple[float, float, float]]


def rods(at: tuple[float, float, float], parts: list[Rod], turn: float = 0.0, *, rough: float = 0.05) -> Body:
    """Tapered rods (from, to, radius there, radius here, colour) melted together: people, poles, branches."""
    a, b = (np.array([r[i] for r in parts], np.float32) for i in (0, 1))
    ra, rb = (np.array([r[i] for r in parts], np.float32) for i in (2, 3))
    colors = np.array([r[4] for r in parts], np.float32)

    def each(p: Array) -> Array:
        out = np.empty((len(parts), len(p)), np.float32)
        for i, axis in enumerate(b - a):
            w = p - a[i]
            h = np.clip(w @ axis / max(float(axis @ axis), 1e-9), 0, 1)
            out[i] = np.linalg.norm(w - h[:, None] * axis, axis=1) - ra[i] - (rb[i] - ra[i]) * h
        return out

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        shade = 1 + rough * (noise(p, 0.05) + 1.5 * noise(p, 0.17))
        return colors[each(p).argmin(0)] * np.clip(shade, 0.4, 1.6)[:, None], np.full(len(p), 0.01, np.float32)

    margin = np.maximum(ra, rb)[:, None]
    low, high = (np.minimum(a, b) - margin).min(0), (np.maximum(a, b) + margin).max(0)
    return Body(at, low, high, lambda p: each(p).min(0) * 0.9, surface, turn)


SKIN, HAIR = (0.5, 0.31, 0.23), (0.05, 0.032, 0.022)


def person(at: tuple[float, float, float], turn: float, coat: Color, trousers: Color, stride: float = 0.22) -> Body:
    parts: list[Rod] = [((0, 1.22, 0), (0, 1.36, 0), 0.17, 0.13, coat), ((0, 0.92, 0), (0, 1.22, 0), 0.165, 0.17, coat),
                        ((0, 1.46, 0), (0, 1.54, 0.02), 0.055, 0.06, SKIN),
                        ((0, 1.58, 0.045), (0, 1.64, 0.03), 0.07, 0.088, SKIN),
                        ((0, 1.6, -0.035), (0, 1.68, 0.0), 0.08, 0.095, HAIR)]  # fmt: skip
    for s in (-1, 1):
        swing, toe, hand = s * stride, s * stride * 1.1, 0.09 - s * stride * 0.9
        parts += [((s * 0.09, 0.9, 0), (s * 0.1, 0.48, swing * 0.75), 0.095, 0.065, trousers),
                  ((s * 0.1, 0.48, swing * 0.75), (s * 0.1, 0.1, toe - 0.05), 0.065, 0.05, trousers),
                  ((s * 0.1, 0.05, toe - 0.05), (s * 0.11, 0.04, toe + 0.12), 0.05, 0.04, (0.03, 0.025, 0.02)),
                  ((s * 0.19, 1.38, 0), (s * 0.25, 1.1, -swing * 0.6), 0.07, 0.055, coat),
                  ((s * 0.25, 1.1, -swing * 0.6), (s * 0.23, 0.86, hand - 0.01), 0.055, 0.04, coat),
                  ((s * 0.23, 0.84, hand), (s * 0.23, 0.8, hand + 0.01), 0.04, 0.04, SKIN)]  # fmt: skip
    return rods(at, parts, turn, rough=0.12)


def cyclist(at: tuple[float, float, float], turn: float, coat: Color) -> Body:
    rubber, frame, jeans = (0.02, 0.02, 0.02), (0.3, 0.03, 0.03), (0.05, 0.07, 0.12)
    parts: list[Rod] = []
    for hub in (-0.52, 0.52):
        ring = [(0.0, 0.34 + 0.32 * math.sin(a), hub + 0.32 * math.cos(a)) for a in np.linspace(0, 2 * math.pi, 15)]
        parts += [(p, q, 0.022, 0.022, rubber) for p, q in itertools.pairwise(ring)]
    pedals, head = (0, 0.34, -0.08), (0, 0.82, 0.36)
    for p, q in (((0, 0.34, -0.52), pedals), (pedals, (0, 0.9, -0.25)), ((0, 0.34, -0.52), (0, 0.8, -0.22)),
                 (pedals, head), ((0, 0.82, -0.22), head), ((0, 0.34, 0.52), (0, 1.02, 0.34)),
                 ((-0.28, 1.02, 0.36), (0.28, 1.02, 0.36))):  # fmt: skip
        parts.append((p, q, 0.022, 0.022, frame))
    for s, knee in ((-1, 0.62), (1, 0.78)):
        parts += [((s * 0.1, 0.95, -0.24), (s * 0.12, knee, 0.14), 0.1, 0.07, jeans),
                  ((s * 0.12, knee, 0.14), (s * 0.12, knee - 0.44, -0.02), 0.065, 0.05, jeans),
                  ((s * 0.19, 1.42, 0.08), (s * 0.26, 1.05, 0.33), 0.065, 0.045, coat)]  # fmt: skip
    parts += [((0, 0.98, -0.22), (0, 1.4, 0.06), 0.16, 0.17, coat), ((0, 1.52, 0.12), (0, 1.6, 0.14), 0.06, 0.07, SKIN),
              ((0, 1.66, 0.15), (0, 1.68, 0.16), 0.1, 0.11, SKIN),
              ((0, 1.73, 0.1), (0, 1.73, 0.16), 0.11, 0.11, (0.5, 0.5, 0.5))]  # fmt: skip
    return rods(at, parts, turn, rough=0.1)


def lamp(x: float, z: float) -> Body:
    steel, arm = (0.2, 0.21, 0.21), -math.copysign(1.5, x)
    return rods((x, 0, z), [((0, 0, 0), (0, 1.2, 0), 0.1, 0.09, steel),
                            ((0, 1.2, 0), (0, 7.2, 0), 0.07, 0.05, steel),
                            ((0, 7.2, 0), (arm, 7.6, 0), 0.045, 0.04, steel),
                            ((arm, 7.6, 0), (arm * 1.4, 7.62, 0), 0.09, 0.07, (0.4, 0.4, 0.4))],
                rough=0.02)  # fmt: skip


def traffic_light(x: float, z: float) -> Body:
    black, dim = (0.015, 0.016, 0.017), (0.03, 0.035, 0.03)
    parts: list[Rod] = [((0, 0, 0), (0, 3.4, 0), 0.06, 0.055, (0.09, 0.09, 0.09))]
    parts += [((0, y, -0.1), (0, y + 0.5, -0.1), 0.15, 0.15, black) for y in (2.35, 2.65)]
    parts += [
        ((0, y, -0.235), (0, y, -0.24), 0.085, 0.085, c) for y, c in ((3.1, (4.0, 0.25, 0.1)), (2.75, dim), (2.4, dim))
    ]
    return rods((x, 0, z), parts, rough=0.01)


def tree(x: float, z: float, height: float, spread: float, rng: np.random.Generator) -> list[Body]:
    """Trunk and branches, and a crown of leaves: many blobs, eaten away by noise."""
    bark, tips = (0.085, 0.066, 0.05), rng.normal(0, 1, (16, 3)).astype(np.float32)
    tips = unit(tips) * rng.uniform(0.35, 1, (16, 1)) * vec(spread, 0.3 * height, spread) + vec(0, 0.68 * height, 0)
    fork = (0.0, 0.36 * height, 0.0)
    parts: list[Rod] = [((0, 0, 0), fork, 0.035 * height, 0.024 * height, bark)]
    parts += [(fork, (float(t[0]), float(t[1]), float(t[2])), 0.016 * height, 0.01, bark) for t in tips]
    tint, blob = vec(0.075, 0.105, 0.03) * rng.uniform(0.8, 1.25), 0.46 * spread

    def distance(p: Array) -> Array:
        crown = np.min([np.linalg.norm(p - t, axis=1) for t in tips], axis=0) - blob
        near = crown < 0.6
        q = p[near]
        leaves = crown[near] + 0.26 * noise(q, 0.9) + 0.2 * noise(q, 0.3) + 0.3 * noise(q, 0.1) + 0.24
        crown[near] = np.where(leaves < 0, 0, 0.08 + 0.25 * np.maximum(crown[near], 0))
        return crown

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        depth = np.min([np.linalg.norm(p - t, axis=1) for t in tips], axis=0) / blob
        light = np.clip(0.15 + 0.8 * depth**2 + 0.35 * noise(p, 0.09) + 0.22 * noise(p, 0.4), 0.08, 1.7)
        return tint * light[:, None] * (1 + noise(p, 0.6)[:, None] * vec(0.14, 0.05, 0.02)), np.zeros(
            len(p), np.float32
        )

    low, high = tips.min(0) - blob, tips.max(0) + blob
    return [rods((x, 0, z), parts, rough=0.2), Body((x, 0, z), low, high, distance, surface, steps=110)]


def sign(x: float, y: float, z: float, radius: float, *, blue: bool = False) -> Panel:
    def picture(p: Array) -> tuple[Array, Array]:
        r = np.hypot(p[:, 0] - x, p[:, 1] - y) / radius
        albedo = np.tile(vec(0.03, 0.1, 0.35) if blue else vec(0.62, 0.62, 0.62), (len(p), 1))
        albedo[(r > 0.78) & (not blue)] = (0.5, 0.015, 0.02)
        bar = (np.abs(p[:, 1] - y) < 0.16 * radius) & (np.abs(p[:, 0] - x) < 0.55 * radius)
        albedo[bar] = (0.7, 0.7, 0.7) if blue else (0.02, 0.02, 0.02)
        return r < 1, albedo

    return Panel(2, z, picture)


def fence(x: float, start: float, end: float) -> Panel:
    def picture(p: Array) -> tuple[Array, Array]:
        u, v = p[:, 2], p[:, 1] - PAVEMENT
        bars = (u % 0.13 < 0.028) | (np.abs(v - 1.0) < 0.03) | (np.abs(v - 0.12) < 0.02) | (u % 2.0 < 0.07)
        return bars & (u > start) & (u < end) & (v > 0) & (v < 1.03), np.full((len(p), 3), 0.035, np.float32)

    return Panel(0, x, picture)


def hedge(z: float) -> Panel:
    def picture(p: Array) -> tuple[Array, Array]:
        shade = np.clip(1 + 0.35 * noise(p, 0.3) + 0.25 * noise(p, 1.1), 0.2, 2)
        return p[:, 1] < 7.5 + 0.5 * noise(p, 1.3), vec(0.04, 0.055, 0.025) * shade[:, None]

    return Panel(2, z, picture)
