"""Draw the street scenes in this folder: ``python render_street.py [FOLDER]`` writes street.jpg and crossing.jpg.

A small ray caster in numpy (about a minute): walls, roofs and ground are intersected exactly, cars and people are
signed distance fields that rays march into, tree crowns are leaves cut out of noise. Everything is drawn from
fixed seeds. World coordinates in metres: x to the right, y up, z down the road; the road runs along x = 0.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from houses import House, terrace
from raycast import Array, Body, Panel, noise, slabs, unit, vec
from street_parts import PAVEMENT, car, cyclist, fence, hedge, lamp, person, rods, sign, traffic_light, tree

WIDTH, HEIGHT, OVERSAMPLING = 640, 480, 2
FOCAL = 0.95  # in image widths
KERB = 4.2  # half width of the road in metres


@dataclass
class Street:
    houses: list[House]
    bodies: list[Body]
    panels: list[Panel]
    camera: tuple[float, float, float]
    look: tuple[float, float]  # yaw and pitch, radians
    sun: Array
    sun_strength: float
    zebra: tuple[float, float] | None
    clouds: float

    def ground(self, p: Array, t: Array) -> Array:
        """Albedo of road and pavement at ``p``, ``t`` metres away; detail fades where pixels grow larger than it."""
        x, y, z = p.T
        near = 1 / (1 + t / 9)
        grain = 1 + near * (0.17 * noise(p, 0.025) + 0.1 * noise(p, 0.06)) + 0.06 * noise(p, 0.7) + 0.06 * noise(p, 3.1)
        road = (
            vec(0.118, 0.116, 0.117) * (grain + 0.1 * np.exp(-(((np.abs(np.abs(x) - 2) - 0.75) / 0.3) ** 2)))[:, None]
        )
        patch = (np.abs(x + 2.6) < 0.55) & (np.abs(z - 13) < 2.4) | (np.abs(x - 1.6) < 0.8) & (np.abs(z - 8.5) < 0.9)
        road[patch] *= 0.72
        seam = np.abs(x - 0.9 + 0.05 * noise(p * vec(0, 0, 1), 0.6)) < 0.018
        road[seam] *= 0.6
        road *= (1 - 0.35 * np.exp(-(KERB - np.abs(x)).clip(0) / 0.18))[:, None]
        worn = noise(p, 0.05) * near + 0.7 * noise(p, 0.35) > -1.15
        edge = KERB - np.abs(x)
        zebra = np.zeros(len(p), bool)
        if self.zebra:
            a, b = self.zebra
            zebra = (z > a) & (z < b) & (x % 1.2 < 0.6) & (edge > 0.25)
            stop = ((np.abs(z - a + 1.6) < 0.1) & (x < 0) | (np.abs(z - b - 1.6) < 0.1) & (x > 0)) & (edge > 0.3)
            zebra |= stop
        free = (z < self.zebra[0] - 1.5) | (z > self.zebra[1] + 1.5) if self.zebra else True
        white = ((np.abs(x) < 0.06) & (z % 6 < 3.6) & free) | zebra
        yellow = ((np.abs(edge - 0.24) < 0.04) | (np.abs(edge - 0.42) < 0.04)) & free
        road[white & worn] = vec(0.5, 0.5, 0.48) * grain[white & worn, None]
        road[yellow & worn] = vec(0.42, 0.29, 0.06) * grain[yellow & worn, None]
        hole = np.hypot(x + 1.2, z - 6.4) < 0.33
        road[hole] = 0.05 * (1 + 0.5 * np.sign(np.sin(x[hole] * 60) * np.sin(z[hole] * 60)))[:, None]

        row = np.floor((np.abs(x) - KERB) / 0.6)
        u = z + 0.3 * (row % 2)
        tone = np.sin(row * 12.9898 + np.floor(u / 0.6) * 78.233 + np.sign(x) * 3) * 43758.5
        slab = vec(0.25, 0.235, 0.215) * ((0.9 + 0.2 * (tone - np.floor(tone))) * grain)[:, None]
        joints = ((np.abs(x) - KERB) % 0.6 < 0.018) | (u % 0.6 < 0.018)
        slab[joints] *= 1 - 0.4 * near[joints, None] ** 0.5
        kerb = np.abs(x) < KERB + 0.16
        slab[kerb] = vec(0.3, 0.295, 0.285) * (grain * np.where(z % 0.9 < 0.02, 0.6, 1))[kerb, None]
        return np.where((y > PAVEMENT / 2)[:, None], slab, np.where((y > 0.01)[:, None], slab * 0.8, road))

    def sky(self, d: Array) -> Array:
        up = np.maximum(d[:, 1:2], 0.0)
        blue = vec(1.02, 1.03, 1.04) + (vec(0.3, 0.47, 0.78) - vec(1.02, 1.03, 1.04)) * (1 - np.exp(-up * 2.6))
        p = d / (up + 0.12) * vec(1, 0, 1)
        shape = noise(p, 0.8) + 0.6 * noise(p, 0.3) + 0.22 * noise(p, 0.1)
        cover = np.clip(0.5 + 0.42 * (shape + self.clouds), 0, 1)[:, None] ** 1.3
        return blue + (vec(0.97, 0.97, 0.98) * (1 + 0.07 * shape[:, None]) - blue) * cover

    def around(self, d: Array) -> Array:
        """What a mirror sees in direction ``d``: the sky, a dark band of houses, the road."""
        skyward = np.clip((d[:, 1:2] - 0.2 - 0.05 * noise(d, 0.1)[:, None]) / 0.12, 0, 1)
        wall = vec(0.17, 0.15, 0.135) * (1 + 0.3 * noise(d, 0.07))[:, None]
        return np.where(d[:, 1:2] < 0, 0.14, wall) * (1 - skyward) + self.sky(d) * skyward

    def in_sun(self, p: Array, rng: np.random.Generator) -> Array:
        rays = unit(self.sun + 0.012 * rng.standard_normal(p.shape).astype(np.float32))
        lit = np.ones(len(p), bool)
        for house in self.houses:
            low, high = house.box
            enter, leave, _ = slabs(p, rays, low, high + vec(0, 1.2, 0))
            lit &= ~((enter < leave) & (leave > 0))
        for body in self.bodies:
            todo = np.flatnonzero(lit)
            hit, _ = body.march(p[todo], rays[todo], np.full(len(todo), 60, np.float32))
            lit[todo[hit]] = False
        return lit

    def render(self, rng: np.random.Generator) -> Array:
        """Linear light, (HEIGHT, WIDTH, 3) float32."""
        w, h = WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING
        x, y = np.meshgrid((np.arange(w) + 0.5) / w - 0.5, (h / 2 - np.arange(h) - 0.5) / w)
        rays = unit(np.stack([x, y, np.full_like(x, FOCAL)], -1).reshape(-1, 3).astype(np.float32))
        (yaw, pitch), (dx, dy, dz) = self.look, rays.T
        dy, dz = dy * math.cos(pitch) + dz * math.sin(pitch), dz * math.cos(pitch) - dy * math.sin(pitch)
        rays = np.stack([dx * math.cos(yaw) + dz * math.sin(yaw), dy, dz * math.cos(yaw) - dx * math.sin(yaw)], 1)
        origin = vec(*self.camera)
        depth, normal = np.full(len(rays), np.inf, np.float32), np.zeros_like(rays)
        albedo, gloss = np.zeros_like(rays), np.zeros(len(rays), np.float32)

        def put(index: Array, t: Array, n: Array, color: Array, shine: Array | float = 0.0) -> None:
            depth[index], normal[index], albedo[index], gloss[index] = t, n, color, shine

        def face(axis: Array, d: Array) -> Array:
            n = np.zeros((len(axis), 3), np.float32)
            n[np.arange(len(axis)), axis] = -np.sign(d[np.arange(len(axis)), axis])
            return n

        with np.errstate(divide="ignore"):
            t = -origin[1] / rays[:, 1]
        index = np.flatnonzero((t > 0) & (t < 400))
        put(index, t[index], vec(0, 1, 0), self.ground(origin + t[index, None] * rays[index], t[index]))
        for side in (-1, 1):
            ends = sorted((side * KERB, side * 60))
            enter, leave, axis = slabs(origin, rays, vec(ends[0], -1, -20), vec(ends[1], PAVEMENT, 400))
            index = np.flatnonzero((enter < leave) & (enter > 0) & (enter < depth))
            t = enter[index]
            put(index, t, face(axis[index], rays[index]), self.ground(origin + t[:, None] * rays[index], t))
        for house in self.houses:
            enter, leave, axis = slabs(origin, rays, *house.box)
            index = np.flatnonzero((enter < leave) & (enter > 0) & (enter < depth))
            t = enter[index]
            put(
                index, t, face(axis[index], rays[index]), *house.surface(origin + t[:, None] * rays[index], axis[index])
            )
            t, n = house.roof(origin, rays)
            index = np.flatnonzero(t < depth)
            p = origin + t[index, None] * rays[index]
            rows = 0.85 + 0.25 * ((p[:, 1] / 0.16) % 1) + 0.12 * noise(p, 0.15) + 0.1 * noise(p, 1.5)
            slate = np.where(n[index, 2:] == 0, vec(0.105, 0.1, 0.105), vec(*house.wall))
            put(index, t[index], n[index], slate * rows[:, None])
        for panel in self.panels:
            with np.errstate(divide="ignore"):
                t = (panel.place - origin[panel.axis]) / rays[:, panel.axis]
            index = np.flatnonzero((t > 0) & (t < depth))
            inside, color = panel.picture(origin + t[index, None] * rays[index])
            index = index[inside]
            put(index, t[index], -np.sign(rays[index]) * np.eye(3, dtype=np.float32)[panel.axis], color[inside])
        for body in self.bodies:
            index, t = body.march(origin, rays, depth)
            p = body.local(origin + t[:, None] * rays[index])
            n = body.normals(p)
            put(index, t, body.world(n), *body.surface(p, n))

        light = self.sky(rays)
        hit = np.flatnonzero(np.isfinite(depth))
        t, n, d = depth[hit], normal[hit], rays[hit]
        p = origin + t[:, None] * d
        facing = np.maximum(n @ self.sun, 0)
        sunny = facing.copy()
        bright = np.flatnonzero(facing > 0)
        sunny[bright] *= self.in_sun((p + 0.02 * n)[bright], rng)
        open_sky = np.clip(0.45 + 0.06 * p[:, 1], 0, 1) * (0.62 + 0.38 * n[:, 1])
        for body in self.bodies:
            if body.contact:
                q = body.local(p)
                gap = np.hypot(*(np.maximum(np.maximum(body.low - q, q - body.high), 0).T[[0, 2]]))
                open_sky *= 1 - 0.85 * np.exp(-gap / body.contact) * np.exp(-np.maximum(q[:, 1], 0) / 0.25)
        lamp_light = (sunny * self.sun_strength)[:, None] * vec(1.0, 0.93, 0.82)
        diffuse = albedo[hit] * (lamp_light + open_sky[:, None] * vec(1.05, 1.12, 1.22) * 1.15 + 0.04)
        fresnel = gloss[hit] + (gloss[hit] > 0.05) * (1 - gloss[hit]) * (1 - np.clip(-(n * d).sum(1), 0, 1)) ** 5
        shiny = np.flatnonzero(fresnel > 0.02)
        ray, nn = d[shiny], n[shiny] + 0.01 * noise(p[shiny], 0.4)[:, None]
        mirrored = self.around(unit(ray - 2 * (ray * nn).sum(1, keepdims=True) * nn))
        diffuse[shiny] += (mirrored * 0.8 - diffuse[shiny]) * np.minimum(fresnel[shiny], 0.9)[:, None]
        haze = 1 - np.exp(-t / 750)[:, None]
        light[hit] = diffuse * (1 - haze) + vec(0.86, 0.89, 0.93) * haze
        return cv2.resize(light.reshape(h, w, 3), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def develop(light: Array, exposure: float, rng: np.random.Generator) -> Array:
    """The camera: glow, lens blur, vignette, film curve, sensor noise. Linear RGB in, uint8 RGB out."""
    light = light * exposure
    light = 0.93 * light + 0.07 * cv2.GaussianBlur(np.minimum(light, 2), (0, 0), 12)
    light = cv2.GaussianBlur(light, (0, 0), 0.55)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light *= (1 - 0.16 * (x * x + y * y))[..., None].astype(np.float32)
    light = np.maximum(light + rng.normal(0, 1, light.shape) * np.sqrt(0.00004 + 0.00035 * light), 0)
    curve = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)  # Narkowicz's fit of ACES
    tone = np.clip(curve, 0, 1) ** (1 / 2.2)
    tone += 0.3 * (tone * tone * (3 - 2 * tone) - tone)
    grey = tone @ vec(0.3, 0.59, 0.11)
    return (255 * (grey[..., None] + 0.88 * (tone - grey[..., None])).clip(0, 1) + 0.5).astype(np.uint8)


def street() -> Street:
    rng = np.random.default_rng(7)
    houses = terrace(-1, 2, 120, 0.25, rng) + terrace(1, -3, 46, 0.8, rng) + terrace(1, 62, 120, 0.4, rng)
    half_turn = math.pi
    bodies = [
        car((-1.95, 0, 21), 0.0, (0.3, 0.018, 0.02)),
        car((2.0, 0, 31), half_turn, (0.33, 0.34, 0.36)),
        car((3.25, 0, 12.6), half_turn + 0.02, (0.022, 0.045, 0.11)),
        car((3.2, 0, 18.3), half_turn, (0.42, 0.42, 0.41)),
        car((3.2, 0, 44), half_turn, (0.03, 0.03, 0.032)),
        car((-3.2, 0, 40), 0.0, (0.5, 0.5, 0.5), van=True),
        car((-1.9, 0, 62), 0.0, (0.1, 0.11, 0.12)),
        person((-5.5, PAVEMENT, 12.5), 0.2, (0.035, 0.05, 0.12), (0.03, 0.03, 0.035)),
        person((-6.2, PAVEMENT, 12.9), 0.1, (0.36, 0.06, 0.05), (0.05, 0.065, 0.11), -0.18),
        person((-5.9, PAVEMENT, 27), half_turn, (0.05, 0.05, 0.05), (0.1, 0.09, 0.075)),
        person((6.2, PAVEMENT, 16), half_turn, (0.3, 0.26, 0.17), (0.035, 0.045, 0.08)),
        person((5.7, PAVEMENT, 24), 0.0, (0.03, 0.07, 0.05), (0.02, 0.02, 0.022), -0.25),
        person((6.3, PAVEMENT, 33), half_turn, (0.4, 0.4, 0.38), (0.05, 0.05, 0.06)),
        cyclist((-3.3, 0, 16.5), 0.0, (0.5, 0.42, 0.03)),
        lamp(-4.75, 18), lamp(4.75, 34), lamp(-4.75, 52), lamp(4.75, 74),
        rods((-4.7, 0, 9.5), [((0, 0, 0), (0, 2.75, 0), 0.035, 0.035, (0.2, 0.2, 0.2))]),
        *tree(-6.0, 33, 8.2, 2.3, rng), *tree(9.5, 54, 11.5, 4.2, rng), *tree(-6.0, 66, 9, 2.5, rng),
        *tree(1.5, 128, 14, 6, rng), *tree(-8, 126, 13, 6, rng), *tree(9, 130, 15, 6, rng),
    ]  # fmt: skip
    panels = [sign(-4.7, 2.5, 9.44, 0.3), fence(7.0, 47, 61), hedge(134)]
    return Street(houses, bodies, panels, (-1.7, 1.5, 0), (0.05, 0.045), unit(vec(0.5, 0.95, -0.55)), 2.3, None, 0.15)


def crossing() -> Street:
    rng = np.random.default_rng(21)
    houses = terrace(-1, 25, 130, 0.8, rng) + terrace(1, 1, 40, 0.0, rng) + terrace(1, 58, 130, 0.6, rng)
    half_turn = math.pi
    bodies = [
        car((-1.95, 0, 34), 0.0, (0.5, 0.5, 0.48)),
        car((1.95, 0, 19.5), half_turn, (0.05, 0.12, 0.08)),
        car((1.95, 0, 26.5), half_turn, (0.45, 0.45, 0.46), van=True),
        car((-3.2, 0, 47), 0.0, (0.25, 0.02, 0.02)),
        person((-2.3, 0, 11.3), half_turn / 2, (0.05, 0.06, 0.07), (0.06, 0.075, 0.12), 0.3),
        person((-0.6, 0, 10.4), -half_turn / 2, (0.4, 0.31, 0.06), (0.02, 0.02, 0.025), 0.28),
        person((-5.2, PAVEMENT, 9.0), 0.9, (0.25, 0.04, 0.06), (0.04, 0.04, 0.05), 0.05),
        person((5.6, PAVEMENT, 13), half_turn, (0.07, 0.1, 0.16), (0.1, 0.09, 0.075)),
        person((-6.0, PAVEMENT, 22), 0.0, (0.3, 0.3, 0.31), (0.03, 0.035, 0.05)),
        cyclist((3.3, 0, 30), half_turn, (0.06, 0.2, 0.4)),
        traffic_light(-4.6, 8.2), traffic_light(4.6, 13.6), lamp(-4.8, 27), lamp(4.8, 45), lamp(-4.8, 62),
        *tree(-9.5, 14, 8.5, 3.2, rng), *tree(-10, 21, 10, 3.4, rng), *tree(8.5, 49, 11, 4, rng),
        *tree(6.2, 24, 6.5, 1.7, rng),
        *tree(0, 138, 14, 7, rng), *tree(-9, 136, 14, 6, rng), *tree(10, 140, 14, 6, rng),
    ]  # fmt: skip
    panels = [fence(-7.2, -4, 25), sign(4.6, 3.9, 13.4, 0.28, blue=True), hedge(144)]
    return Street(
        houses, bodies, panels, (-1.5, 1.55, 0), (-0.04, 0.02), unit(vec(-0.45, 0.9, -0.6)), 1.1, (9.6, 12.4), 1.0
    )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for scene, exposure in ((street(), 0.66), (crossing(), 0.82)):
        name = "crossing.jpg" if scene.zebra else "street.jpg"
        rng = np.random.default_rng(1)
        photo = develop(scene.render(rng), exposure, rng)
        cv2.imwrite(str(folder / name), photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
