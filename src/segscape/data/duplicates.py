"""The same picture in two splits: exact copies and near copies, found without comparing pictures pair by pair."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GRID = 16
_MAX_DISTANCE = 64  # of 256 bits: generous, because thumbnails decide
_MIN_CORRELATION = 0.985
_BLOCK_PAIRS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """What is kept of a picture.

    Attributes:
        digest: BLAKE2b of its pixels and size, 16 bytes.
        bits: uint64 (4,), a 256-bit difference hash: bit (y, x) of a 16 × 16 grid says that the brightness rises
            from x to x + 1 (Krawetz 2013, "Kind of like that", there with 8 × 8).
        thumbnail: float32 (256,), grey 16 × 16, mean 0 and length 1, so that a product is a correlation.
    """

    digest: bytes
    bits: np.ndarray
    thumbnail: np.ndarray


def fingerprint(pixels: np.ndarray) -> Fingerprint | None:
    """The fingerprint of a picture, uint8 (H, W, 3) RGB; None where it is of one colour (blank tiles are all alike)."""
    import cv2

    if not np.any(pixels != pixels[0, 0]):
        return None
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    grid = cv2.resize(grey, (_GRID + 1, _GRID), interpolation=cv2.INTER_AREA)
    bits = np.packbits(grid[:, 1:] > grid[:, :-1]).view(np.uint64)
    thumbnail = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    thumbnail -= thumbnail.mean()
    length = float(np.linalg.norm(thumbnail))
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return Fingerprint(digest.digest(), bits, thumbnail / length if length else thumbnail)


@dataclass(frozen=True, slots=True)
class Shared:
    """What two groups of pictures share, as pairs (index in the first, index in the second).

    Attributes:
        exact: equal pictures.
        nearest: the most alike of the nearly equal ones, the most alike first.
        num_near: how many nearly equal pairs there are.
    """

    exact: list[tuple[int, int]]
    nearest: list[tuple[int, int]]
    num_near: int


def find_shared(a: Sequence[Fingerprint], b: Sequence[Fingerprint], most: int = 8) -> Shared:
    """Pictures that are in ``a`` and in ``b``.

    Near means: at most 64 of the 256 hash bits differ, and the thumbnails correlate by 0.985 or more, whatever
    their brightness and contrast. That holds for another JPEG quality, another size, a shade more light; not
    for a second picture of the same place, and not for a flipped or turned one.

    Args:
        a: fingerprints of one group.
        b: of the other.
        most: length of ``nearest``.
    """
    if not a or not b:
        return Shared([], [], 0)
    by_digest: dict[bytes, list[int]] = {}
    for j, print_b in enumerate(b):
        by_digest.setdefault(print_b.digest, []).append(j)
    exact = [(i, j) for i, print_a in enumerate(a) for j in by_digest.get(print_a.digest, ())]
    bits_a, bits_b = np.stack([p.bits for p in a]), np.stack([p.bits for p in b])
    thumbnails_b = np.stack([p.thumbnail for p in b])
    nearest: list[tuple[float, int, int]] = []
    num_near, rows = 0, max(1, _BLOCK_PAIRS // len(b))
    for start in range(0, len(a), rows):
        distance = np.bitwise_count(bits_a[start : start + rows, None] ^ bits_b).sum(axis=2, dtype=np.uint16)
        close = distance <= _MAX_DISTANCE
        for i in (start + np.flatnonzero(close.any(axis=1))).tolist():
            candidates = np.flatnonzero(close[i - start])
            alike = thumbnails_b[candidates] @ a[i].thumbnail
            near = [
                (-r, i, j)
                for r, j in zip(alike.tolist(), candidates.tolist(), strict=True)
                if r >= _MIN_CORRELATION and a[i].digest != b[j].digest
            ]
            num_near += len(near)
            nearest = sorted(nearest + near)[:most]
    return Shared(exact, [(i, j) for _, i, j in nearest], num_near)
