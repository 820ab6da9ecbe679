"""The loops of the permutohedral lattice, compiled by numba; `segscape.refine.permutohedral` says what they are for.

Those with ``start`` and ``stop`` do that part of their outputs and may run in several threads at once.
"""

from __future__ import annotations

import math

import numpy as np

from segscape.compiled import compiled


@compiled
def embed(start, stop, features, scale, low, strides, keys, weights):  # type: ignore[no-untyped-def]
    """The packed corners and barycentric weights of points start…stop (Adams et al., section 3.2)."""
    d = features.shape[1]
    up = d + 1
    place, nearest, rank = np.empty(up), np.empty(up, np.int64), np.empty(up, np.int64)
    share = np.empty(d + 2)
    for n in range(start, stop):
        total = 0.0
        for j in range(d, 0, -1):
            scaled = features[n, j - 1] * scale[j - 1]
            place[j] = total - j * scaled
            total += scaled
        place[0] = total
        # The nearest lattice point of remainder 0, were it not for the sum that must be 0.
        excess = 0
        for j in range(up):
            nearest[j] = math.floor(place[j] / up + 0.5) * up
            excess += nearest[j]
            rank[j] = 0
        excess //= up
        for i in range(d):
            for j in range(i + 1, up):
                if place[i] - nearest[i] < place[j] - nearest[j]:
                    rank[i] += 1
                else:
                    rank[j] += 1
        for j in range(up):
            rank[j] += excess
            if rank[j] < 0:
                rank[j] += up
                nearest[j] += up
            elif rank[j] > d:
                rank[j] -= up
                nearest[j] -= up
        for k in range(d + 2):
            share[k] = 0.0
        key = 0
        together = 0
        for j in range(up):
            delta = (place[j] - nearest[j]) / up
            share[d - rank[j]] += delta
            share[up - rank[j]] -= delta
            key += (nearest[j] - low[j]) * strides[j]
            together += strides[j]
        share[0] += 1.0 + share[up]
        # From the corner of remainder k to that of k + 1: all coordinates + 1, but that of rank d − k goes − d.
        for k in range(up):
            weights[n, k] = share[k]
            keys[n, k] = key
            key += together
            for j in range(up):
                if rank[j] == d - k:
                    key -= up * strides[j]


@compiled
def number(keys, ids):  # type: ignore[no-untyped-def]
    """Number the distinct keys in the order of their first occurrence, into ``ids``; their list, and a hash table."""
    table = np.full(2**16, -1, np.int32)
    found = np.empty(2**15, np.int64)
    count = 0
    for e in range(len(keys)):
        key = keys[e]
        slot = _slot(key, found, table)
        if table[slot] < 0:
            if count == len(found):
                table = np.full(2 * len(table), -1, np.int32)
                found = np.concatenate((found, np.empty(len(found), np.int64)))
                for v in range(count):
                    table[_slot(found[v], found, table)] = v
                slot = _slot(key, found, table)
            table[slot] = count
            found[count] = key
            count += 1
        ids[e] = table[slot]
    return found[:count].copy(), table


@compiled
def _slot(key, found, table):  # type: ignore[no-untyped-def]
    """Where ``key`` stands in the table, or the empty place where it would."""
    mask = len(table) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while table[slot] >= 0 and found[table[slot]] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def group(corners, weights, count):  # type: ignore[no-untyped-def]
    """For each vertex, the points in whose simplex it is and its weights there: [starts[v]:starts[v + 1]] of both."""
    starts = np.zeros(count + 1, np.int64)
    for n in range(len(corners)):
        for k in range(corners.shape[1]):
            starts[corners[n, k] + 1] += 1
    for v in range(count):
        starts[v + 1] += starts[v]
    members, shares = np.empty(corners.size, np.int32), np.empty(corners.size, np.float32)
    free = starts[:-1].copy()
    for n in range(len(corners)):
        for k in range(corners.shape[1]):
            place = free[corners[n, k]]
            members[place], shares[place] = n, weights[n, k]
            free[corners[n, k]] += 1
    return starts, members, shares


@compiled
def connect(start, stop, keys, table, steps, neighbours):  # type: ignore[no-untyped-def]
    """Both neighbours of each vertex along each axis; (d + 1, 2, M), preset to M for those that do not exist."""
    for v in range(start, stop):
        for axis in range(len(steps)):
            after = table[_slot(keys[v] + steps[axis], keys, table)]
            if after >= 0:
                neighbours[axis, 0, v] = after
                neighbours[axis, 1, after] = v


@compiled
def splat(start, stop, starts, members, shares, points, lattice):  # type: ignore[no-untyped-def]
    """lattice_v = Σ weight · point over the points around vertex v."""
    total = np.empty(points.shape[1], np.float32)
    for v in range(start, stop):
        total[:] = 0
        for i in range(starts[v], starts[v + 1]):
            n, weight = members[i], shares[i]
            for c in range(0, len(total), 4):
                for k in range(4):
                    total[c + k] += weight * points[n, c + k]
        lattice[v] = total


@compiled
def blur(start, stop, neighbours, source, target):  # type: ignore[no-untyped-def]
    """[½, 1, ½] along one axis."""
    width = source.shape[1]
    for v in range(start, stop):
        before, after = neighbours[0, v], neighbours[1, v]
        for c in range(0, width, 4):
            for k in range(4):
                target[v, c + k] = source[v, c + k] + np.float32(0.5) * (source[before, c + k] + source[after, c + k])


@compiled
def collect(start, stop, corners, weights, lattice, out):  # type: ignore[no-untyped-def]
    """out[:, n] = Σ weight · lattice over the corners of point n."""
    channels = len(out)
    total = np.empty(lattice.shape[1], np.float32)
    for n in range(start, stop):
        total[:] = 0
        for k in range(corners.shape[1]):
            v, weight = corners[n, k], weights[n, k]
            for c in range(0, len(total), 4):
                for i in range(4):
                    total[c + i] += weight * lattice[v, c + i]
        for c in range(channels):
            out[c, n] = total[c]
