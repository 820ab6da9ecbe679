"""How a picture larger than memory is cut into tiles: their size, their overlap, and what they will take of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from segscape.errors import ConfigError, ResourceError
from segscape.predict.tiling.memory import SLACK

ALIGN = 64
"""Tiles begin at multiples of it, in the network's pixels: no backbone here has a deepest stride that does not divide
it, so a tile's grid of scores lies on that of the whole picture."""

MOST_PIXELS = 2**24
"""In one call of the network; of larger tiles so little lies in margins that more gain nothing."""

FIXED_BYTES = 96 * 2**20
"""What is there whatever the tiles: decoded pieces of the file, what threads and libraries need of their own."""

_TIFF_ROWS = 3 * 512
"""Rows of labels that are held while the TIFF is written: of a row of its tiles, padded, and of the overviews."""

EMIT_ROWS = 128
"""Rows of the picture that are classified and written at once."""


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles over a picture, all lengths in the network's pixels.

    Attributes:
        size: (height, width) of the picture as the network sees it.
        tile: (height, width) of a tile, multiples of `ALIGN`; those at the right and the bottom end with the picture.
        margin: pixels at the inner edges of a tile that play no part in the outcome, a multiple of `ALIGN` / 2.
        batch: tiles given to the network in one call.
        at_once: calls of the network that run at the same time.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    margin: int
    batch: int = 1
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.margin < 0 or self.margin % (ALIGN // 2):
            raise ConfigError(f"the margin of tiles must be a multiple of {ALIGN // 2} pixels, got {self.margin}")
        if any(side % ALIGN or side < self.least_side for side in self.tile):
            raise ConfigError(
                f"with a margin of {self.margin} pixels, tiles must have sides that are multiples of {ALIGN} from "
                f"{self.least_side} on, got {self.tile[1]} × {self.tile[0]}"
            )

    @property
    def overlap(self) -> int:
        """Of neighbouring tiles: their margins and `ALIGN` pixels over which one fades into the other."""
        return 2 * self.margin + ALIGN

    @property
    def least_side(self) -> int:
        """The smallest side of a tile: no point may lie in three of them."""
        return 2 * self.margin + 2 * ALIGN

    @property
    def rows(self) -> list[tuple[int, int]]:
        """(first, end) row of each row of tiles."""
        return _spans(self.size[0], self.tile[0], self.overlap)

    @property
    def columns(self) -> list[tuple[int, int]]:
        """(first, end) column of each column of tiles."""
        return _spans(self.size[1], self.tile[1], self.overlap)

    def halved(self) -> TilePlan | None:
        """With a smaller batch, else tiles of half the longer side, else fewer at once; None if all is least."""
        if self.batch > 1:
            return replace(self, batch=self.batch // 2)
        height, width = self.tile
        longer = max(self.least_side, max(height, width) // 2 // ALIGN * ALIGN)
        if longer >= max(height, width):
            return replace(self, at_once=self.at_once // 2) if self.at_once > 1 else None
        return replace(self, tile=(height, longer) if width >= height else (longer, width))

    def predicted_bytes(
        self, per_pixel: float, num_classes: int, stride: int, *, shrink: int = 1, wide: bool = False
    ) -> int:
        """The peak of memory that predicting takes besides the engine's own.

        Args:
            per_pixel: bytes that the network takes besides its weights, see
                `segscape.predict.tiling.memory.measured_bytes_per_pixel`.
            num_classes, stride: of its scores.
            shrink: pixels of the picture to one of the network's, on each axis.
            wide: whether rows of the picture are held for a row of tiles, since windows of it cannot be read.
        """
        height, width = (min(side, length) for side, length in zip(self.tile, self.size, strict=True))
        network = per_pixel * height * width * self.batch * self.at_once
        # Pixels of what is in the network, of what waits for it and of what is read; shrunk ones also as they were.
        pixels = 3 * height * width * ((self.at_once + 2) * self.batch + 2 * shrink**2)
        # Scores of a tile that wait, are joined and are classified.
        scores = 4 * num_classes * height * width // stride**2 * (self.batch + 3)
        row_of_scores = 4 * num_classes * -(-self.size[1] // stride) * (ALIGN // stride + 1)
        columns = self.size[1] * shrink
        rows = height - self.margin if height < self.size[0] else height
        labels = (1 if num_classes <= 256 else 2) * columns * (rows * shrink + 2 * EMIT_ROWS)
        held = 3 * columns * height * shrink if wide else 0
        written = _TIFF_ROWS * columns
        return int(SLACK * (network + pixels + scores) + row_of_scores + max(labels, written) + held + FIXED_BYTES)


def plan_tiles(
    size: tuple[int, int],
    max_memory: int,
    per_pixel: float,
    *,
    num_classes: int,
    stride: int,
    margin: int,
    shrink: int = 1,
    wide: bool = False,
    batch: int = 1,
    at_once: int = 1,
) -> TilePlan:
    """The tiles that take the least work within a budget of memory.

    Work is the sum of all tiles' pixels, overlaps counted as often as they are computed.

    Args:
        size: (height, width) of the picture as the network sees it.
        max_memory: bytes, of which `TilePlan.predicted_bytes` stays below.
        per_pixel, num_classes, stride, shrink, wide: see `TilePlan.predicted_bytes`.
        margin, batch, at_once: see `TilePlan`.

    Raises:
        ResourceError: not even the smallest tiles fit.
    """
    least, most = 2 * margin + 2 * ALIGN, MOST_PIXELS // batch
    overlap = 2 * margin + ALIGN
    sides = [range(least, max(least, min(_up(length), most // least)) + 1, ALIGN) for length in size]
    best: tuple[tuple[int, int], TilePlan] | None = None
    smallest = math.inf
    for height in sides[0]:
        for width in sides[1]:
            if height * width > max(most, least * least):
                break
            plan = TilePlan(size, (height, width), margin, batch=batch, at_once=at_once)
            needed = plan.predicted_bytes(per_pixel, num_classes, stride, shrink=shrink, wide=wide)
            smallest = min(smallest, needed)
            if needed > max_memory:
                break
            work = _total(size[0], height, overlap) * _total(size[1], width, overlap)
            if best is None or (work, needed) < best[0]:
                best = (work, needed), plan
    if best is None:
        raise ResourceError(
            f"a picture of {size[1]} × {size[0]} needs about {smallest / 1e6:.0f} MB of memory with the smallest "
            f"tiles, and {max_memory / 1e6:.0f} MB are allowed; raise --max-memory or shrink the picture"
        )
    return best[1]


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Where tiles begin and end; all overlap by as much, and only the last may be shorter."""
    step = tile - overlap
    count = max(1, -(-(length - overlap) // step))
    return [(i * step, min(i * step + tile, length)) for i in range(count)]


def _total(length: int, tile: int, overlap: int) -> int:
    return sum(end - first for first, end in _spans(length, tile, overlap))


def _up(length: int) -> int:
    return -(-length // ALIGN) * ALIGN
