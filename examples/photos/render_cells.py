"""Draws cells.png: nuclei as a fluorescence microscope shows them, of our own making.

    python examples/photos/render_cells.py

Every run draws the same picture. Nuclei are lobed ellipses of uneven brightness with grain inside, some touch, a few
are out of focus; then blur, haze of the light around them, shot noise.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH, COUNT, SEED = 360, 480, 64, 7


def nucleus(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A patch (81, 81) float32 in 0…1 of one nucleus, and its mean radius in pixels."""
    radius, stretch, angle = rng.uniform(8, 15), rng.uniform(1.0, 1.6), rng.uniform(0, np.pi)
    y, x = np.mgrid[-40:41, -40:41].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    around = np.arctan2(v, u)
    edge = 1 + sum(rng.normal(0, 0.05 / k) * np.cos(k * around + rng.uniform(0, 6.3)) for k in range(2, 5))
    distance = np.hypot(u / np.sqrt(stretch), v * np.sqrt(stretch)) / (radius * edge)
    grain = cv2.GaussianBlur(rng.normal(0, 1, x.shape).astype(np.float32), (0, 0), 2.2)
    body = (1 - 0.35 * distance**2) * (1 + 0.9 * grain)
    return np.where(distance < 1, np.clip(body, 0.15, 1.4), 0).astype(np.float32), radius


def main() -> None:
    rng = np.random.default_rng(SEED)
    light = np.zeros((HEIGHT + 80, WIDTH + 80), np.float32)
    placed: list[tuple[float, float, float]] = []
    while len(placed) < COUNT:
        patch, radius = nucleus(rng)
        # A third of them beside another one, so that some touch.
        if placed and rng.random() < 0.33:
            y0, x0, r0 = placed[rng.integers(len(placed))]
            turn = rng.uniform(0, 2 * np.pi)
            y, x = y0 + (r0 + radius) * np.sin(turn), x0 + (r0 + radius) * np.cos(turn)
        else:
            y, x = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
        if not (0 <= y < HEIGHT and 0 <= x < WIDTH):
            continue
        if any(np.hypot(y - b, x - a) < 0.95 * (radius + r) for b, a, r in placed):
            continue
        placed.append((y, x, radius))
        if rng.random() < 0.15:
            patch = cv2.GaussianBlur(patch, (0, 0), 2.5)
        top, left = round(y), round(x)
        part = light[top : top + 81, left : left + 81]
        np.maximum(part, patch * rng.uniform(0.35, 1.0), out=part)
    haze = cv2.GaussianBlur(light, (0, 0), 22)
    seen = cv2.GaussianBlur(light, (0, 0), 1.0) + 0.25 * haze + 0.02
    seen = seen[40:-40, 40:-40]
    photons = rng.poisson(seen * 260) / 260
    picture = np.clip(photons * 165 + rng.normal(0, 1.2, photons.shape) + 4, 0, 255).round().astype(np.uint8)
    cv2.imwrite(str(Path(__file__).parent / "cells.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
