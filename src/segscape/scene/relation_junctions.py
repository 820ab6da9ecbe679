"""Where three regions meet, found in the runs of a `RunMap` row by row; compiled by numba."""

from __future__ import annotations

import math

import numpy as np

from segscape.compiled import compiled


@compiled
def junctions(first, x0, region, width, radii):  # type: ignore[no-untyped-def]
    """Pixel corners where three regions meet in three sectors, and how they share discs around each.

    Args:
        first, x0, region: of a `RunMap`; width: of the image.
        radii: (K,) int64 pixels, the last the largest; a pixel belongs to a disc when its centre does. Corners are left
            out whose discs leave the image, or on whose rims other regions lie, or one of the three in two places.

    Returns:
        regions (J, 3) int32, ascending; shares (J, K, 3) float64 of the discs' pixels.
    """
    height, radius = len(first) - 1, radii[-1]
    half = np.zeros((len(radii), 2 * radius), np.int64)  # of each disc's rows
    for k in range(len(radii)):
        for dy in range(-radii[k], radii[k]):
            half[k, radius + dy] = math.floor(math.sqrt(radii[k] ** 2 - (dy + 0.5) ** 2) + 0.5)
    turn = np.arange(8 * radius) * (2 * math.pi / (8 * radius))
    rim_x = np.floor((radii.reshape(-1, 1) - 0.5) * np.cos(turn)).astype(np.int64)
    rim_y = np.floor((radii.reshape(-1, 1) - 0.5) * np.sin(turn)).astype(np.int64)
    who = np.empty((256, 3), np.int32)
    shares = np.empty((256, len(radii), 3))
    num = 0
    for y in range(radius, height - radius + 1):
        i, j = first[y - 1], first[y]
        while True:
            up, down = region[i], region[j]
            next_up = x0[i + 1] if i + 1 < first[y] else width
            next_down = x0[j + 1] if j + 1 < first[y + 1] else width
            x = min(next_up, next_down)
            if x > width - radius:
                break
            i += next_up == x
            j += next_down == x
            if x < radius:
                continue
            up2, down2 = region[i], region[j]
            least, most = min(up, down, up2, down2), max(up, down, up2, down2)
            other, distinct = -1, 2
            for r in (up, down, up2, down2):
                if r != least and r != most:
                    distinct += other != r
                    other = r
            if distinct != 3 or not _three_sectors(first, x0, region, x + rim_x, y + rim_y):
                continue
            if num == len(who):
                who = np.concatenate((who, np.empty_like(who)))
                shares = np.concatenate((shares, np.empty_like(shares)))
            who[num, 0], who[num, 1], who[num, 2] = least, other, most
            _share_discs(first, x0, region, width, x, y, half, who[num], shares[num])
            num += 1
    return who[:num], shares[:num]


@compiled
def _run_at(first, x0, x, y):  # type: ignore[no-untyped-def]
    low, high = first[y], first[y + 1] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if x0[middle] <= x:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _three_sectors(first, x0, region, x, y):  # type: ignore[no-untyped-def]
    """Whether the region changes three times along each rim (K, n): three regions then, as there are two at least."""
    for k in range(len(x)):
        changes = 0
        before = region[_run_at(first, x0, x[k, -1], y[k, -1])]
        for i in range(x.shape[1]):
            here = region[_run_at(first, x0, x[k, i], y[k, i])]
            changes += here != before
            before = here
        if changes != 3:
            return False
    return True


@compiled
def _share_discs(first, x0, region, width, x, y, half, who, shares):  # type: ignore[no-untyped-def]
    """Fill shares (K, 3): of each disc around corner (x, y), row by row half[k] wide to either side."""
    radius = half.shape[1] // 2
    shares[:] = 0
    for dy in range(2 * radius):
        row, widest = y - radius + dy, half[-1, dy]
        low = _run_at(first, x0, x - widest, row)
        while low < first[row + 1] and x0[low] < x + widest:
            end = x0[low + 1] if low + 1 < first[row + 1] else width
            for i in range(3):
                if region[low] == who[i]:
                    for k in range(len(half)):
                        shares[k, i] += max(min(end, x + half[k, dy]) - max(x0[low], x - half[k, dy]), 0)
            low += 1
    for k in range(len(half)):
        shares[k] /= 2 * half[k].sum()
