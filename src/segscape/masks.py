"""Masks as run lengths: the truth from which dense masks, COCO counts and polygons (`segscape.polygons`) are views.

Pixels are numbered column by column (Fortran order, as COCO does): pixel (y, x) of a mask of height h has the
number ``x * h + y``. A mask that is cropped travels with its box (x0, y0, x1, y1): integer pixels of the whole
image, half-open. Everything here works on the runs themselves; no function but `RunLengths.from_dense`,
`RunLengths.to_dense` and `crop_to_box` sees an array of h × w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segscape.errors import InputError

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class RunLengths:
    """A binary mask as alternating lengths of background and foreground, column by column.

    Attributes:
        size: (height, width), each at least 1.
        counts: (N,) uint32, read-only; starts with background (0 when the first pixel is foreground), no other
            count is 0, the sum is height × width. So equal masks have equal counts. Any sequence of integers
            is taken when made.

    Raises:
        InputError: the counts are not of that form.
    """

    size: tuple[int, int]
    counts: np.ndarray

    def __post_init__(self) -> None:
        size = checked_size(self.size)
        counts = _checked_counts(self.counts)
        if np.count_nonzero(counts[1:]) != len(counts) - 1:
            raise InputError(f"run lengths of a mask of {size}: only the first run may be 0, got {_short(counts)}")
        if counts.sum() != size[0] * size[1]:
            raise InputError(
                f"run lengths add up to {counts.sum()}, but a mask of {size} has {size[0] * size[1]} pixels"
            )
        counts = counts.astype(np.uint32)
        counts.flags.writeable = False
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "counts", counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunLengths):
            return NotImplemented
        return self.size == other.size and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.size, self.counts.tobytes()))

    def __reduce__(self) -> tuple[type[RunLengths], tuple[tuple[int, int], np.ndarray]]:
        return RunLengths, (self.size, self.counts)  # a copy is checked and read-only too

    @property
    def area(self) -> int:
        """Number of foreground pixels."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    @classmethod
    def from_dense(cls, mask: np.ndarray) -> RunLengths:
        """From a (H, W) bool array.

        Raises:
            InputError: the array is not a two-dimensional bool array, or has no pixels.
        """
        _check_dense(mask)
        flat = np.ascontiguousarray(mask.T).reshape(-1)
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        edges = np.concatenate(([0], changes, [flat.size]))
        counts = np.diff(edges)
        return cls(mask.shape, np.concatenate(([0], counts)) if flat[0] else counts)

    @classmethod
    def from_intervals(cls, starts: np.ndarray, ends: np.ndarray, size: tuple[int, int]) -> RunLengths:
        """From half-open intervals of pixel numbers (column by column): the union of them.

        Args:
            starts, ends: (N,) integers in 0…H×W, ascending in ``starts``; intervals may be empty, touch or overlap.
            size: (height, width) of the mask.

        Raises:
            InputError: the intervals leave the mask.
        """
        size = checked_size(size)
        total = size[0] * size[1]
        filled = ends > starts
        starts, ends = starts[filled], np.maximum.accumulate(ends[filled])
        if not len(starts):
            return cls(size, np.array([total]))
        first = np.concatenate(([True], starts[1:] > ends[:-1]))
        last = np.concatenate((first[1:], [True]))
        edges = np.empty(2 * np.count_nonzero(first) + 2, np.int64)
        edges[0], edges[1:-1:2], edges[2:-1:2], edges[-1] = 0, starts[first], ends[last], total
        counts = np.diff(edges)
        return cls(size, counts if counts[-1] else counts[:-1])

    def to_dense(self) -> np.ndarray:
        """As a (H, W) bool array, C-contiguous."""
        height, width = self.size
        flat = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return np.ascontiguousarray(flat.reshape(width, height).T)

    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends, (N,) int64 each, of the foreground runs as half-open intervals of pixel numbers."""
        edges = np.cumsum(self.counts, dtype=np.int64)
        return edges[: len(edges) // 2 * 2 : 2], edges[1::2]

    def column_spans(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The vertical spans of the mask, none longer than a column, in the order of the pixel numbers.

        Returns:
            x, y0, y1: (N,) int64 each; pixels y0 ≤ y < y1 of column x are foreground, those just above and below
            are not.
        """
        height = self.size[0]
        starts, ends = self.intervals()
        first_x = starts // height
        pieces = (ends - 1) // height - first_x + 1
        x = np.repeat(first_x, pieces) + ranges(pieces)
        return (
            x,
            np.maximum(np.repeat(starts, pieces) - x * height, 0),
            np.minimum(np.repeat(ends, pieces) - x * height, height),
        )


def crop_to_box(mask: np.ndarray) -> tuple[Box, RunLengths]:
    """The tight box (x0, y0, x1, y1) of a (H, W) bool array and the run lengths of the mask cropped to it.

    Raises:
        InputError: the mask has no foreground pixel, or is not a two-dimensional bool array.
    """
    _check_dense(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise InputError(f"a mask of shape {mask.shape} without a foreground pixel has no box")
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return (x0, y0, x1, y1), RunLengths.from_dense(mask[y0:y1, x0:x1])


def uncrop(mask: RunLengths, box: Box, size: tuple[int, int]) -> RunLengths:
    """The mask in its place: a mask cropped to ``box`` as run lengths over a whole image of ``size`` (H, W).

    Raises:
        InputError: the mask does not fill its box, or the box leaves the image.
    """
    height, width = checked_size(size)
    x0, y0, x1, y1 = box
    _check_box(mask, box)
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise InputError(f"box {box} leaves the image of height {height} and width {width}")
    x, top, bottom = mask.column_spans()
    offset = (x + x0) * height + y0
    return RunLengths.from_intervals(offset + top, offset + bottom, size)


def to_coco_counts(mask: RunLengths, box: Box, size: tuple[int, int]) -> list[int]:
    """COCO's uncompressed counts over the whole image of ``size`` (H, W) for a mask cropped to ``box``.

    Raises:
        InputError: see `uncrop`.
    """
    return uncrop(mask, box, size).counts.tolist()


def from_coco_counts(counts: Sequence[int] | np.ndarray, size: tuple[int, int]) -> RunLengths:
    """Read COCO's uncompressed counts; runs of 0 anywhere, as some tools write them, are joined away.

    Raises:
        InputError: the counts are not non-negative integers that add up to height × width.
    """
    height, width = checked_size(size)
    edges = np.cumsum(_checked_counts(counts))
    if edges[-1] != height * width:
        raise InputError(f"COCO counts add up to {edges[-1]}, but a mask of {size} has {height * width} pixels")
    return RunLengths.from_intervals(edges[: len(edges) // 2 * 2 : 2], edges[1::2], size)


def to_coco_string(mask: RunLengths) -> str:
    """COCO's compressed counts (pycocotools' ``rleToString``).

    Counts from the fourth on are written as the difference from the count two before; each number in groups of
    five bits, lowest first, in two's complement, bit 5 saying that another group follows, plus 48 as ASCII.
    """
    rest = mask.counts.astype(np.int64)
    rest[3:] -= mask.counts[1:-2]
    digits, used = [], []
    open_ = np.ones(len(rest), bool)
    while open_.any():
        digit, rest = rest & 31, rest >> 5
        used.append(open_)
        open_ = open_ & (rest != np.where(digit & 16, -1, 0))
        digits.append(digit + 32 * open_ + 48)
    return np.stack(digits, 1)[np.stack(used, 1)].astype(np.uint8).tobytes().decode("ascii")


def from_coco_string(text: str | bytes, size: tuple[int, int]) -> RunLengths:
    """Read COCO's compressed counts (see `to_coco_string`) of a mask of ``size`` (H, W).

    Raises:
        InputError: the text is not of that form, or its counts do not add up to height × width.
    """
    shown = text[:40]
    try:
        raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError:
        raise InputError(f"compressed COCO counts are ASCII, got {shown!r}") from None
    groups = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if not len(groups) or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise InputError(f"not compressed COCO counts, or cut off: {shown!r}")
    last = np.flatnonzero(groups & 32 == 0)
    lengths = np.diff(last, prepend=-1)
    if lengths.max() > 7:
        raise InputError(f"compressed COCO counts hold a number of more than 35 bits: {shown!r}")
    values = np.add.reduceat((groups & 31) << (5 * ranges(lengths)), last - lengths + 1)
    values -= np.where(groups[last] & 16, 1 << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return from_coco_counts(values, size)


def intersection(a: RunLengths, box_a: Box, b: RunLengths, box_b: Box) -> int:
    """Number of pixels that two cropped masks share.

    Raises:
        InputError: a mask does not fill its box.
    """
    _check_box(a, box_a)
    _check_box(b, box_b)
    if box_a[0] >= box_b[2] or box_b[0] >= box_a[2] or box_a[1] >= box_b[3] or box_b[1] >= box_a[3]:
        return 0
    if not a.area or not b.area:
        return 0
    height = max(box_a[3], box_b[3])

    def placed(mask: RunLengths, box: Box) -> tuple[np.ndarray, np.ndarray]:
        x, y0, y1 = mask.column_spans()
        offset = (x + box[0]) * height + box[1]
        return offset + y0, offset + y1

    (starts_a, ends_a), (starts, ends) = placed(a, box_a), placed(b, box_b)
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths

    def pixels_of_b_below(number: np.ndarray) -> np.ndarray:
        i = np.searchsorted(starts, number, "right") - 1
        return np.where(i < 0, 0, before[i] + np.minimum(number - starts[i], lengths[i]))

    return int((pixels_of_b_below(ends_a) - pixels_of_b_below(starts_a)).sum())


def iou(a: RunLengths, box_a: Box, b: RunLengths, box_b: Box) -> float:
    """Intersection over union, 0…1, of two cropped masks; 0 when both are empty.

    Raises:
        InputError: a mask does not fill its box.
    """
    shared = intersection(a, box_a, b, box_b)
    union = a.area + b.area - shared
    return shared / union if union else 0.0


def ranges(lengths: np.ndarray) -> np.ndarray:
    """0 … lengths[0] - 1, 0 … lengths[1] - 1, and so on, as one (sum of lengths,) int64 array."""
    total = int(lengths.sum())
    return np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _short(values: np.ndarray) -> str:
    return np.array2string(values, threshold=20, separator=", ")


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    try:
        height, width = size
        if int(height) == height and int(width) == width and height >= 1 and width >= 1:
            if height * width < 2**32:
                return int(height), int(width)
            raise InputError(f"a mask of {height} × {width} has more than 2³² pixels; work on tiles of it")
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
    raise InputError(f"a mask's size must be (height, width), integers of at least 1, got {size!r}")


def _checked_counts(counts: npt.ArrayLike) -> np.ndarray:
    """As (N,) int64, N ≥ 1, non-negative, each below 2³² so that sums cannot overflow."""
    try:
        array = np.asarray(counts)
    except (ValueError, OverflowError) as error:
        raise InputError(f"run lengths must be a list of integers: {error}") from None
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise InputError(f"run lengths must be a list of at least one integer, got {_short(array)}")
    if array.min() < 0 or array.max() >= 2**32:
        raise InputError(f"run lengths must be in 0…2³² - 1, got {_short(array)}")
    return array.astype(np.int64)


def _check_dense(mask: np.ndarray) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"a dense mask must be a bool array of shape (H, W), got {got}")
    checked_size(mask.shape)


def _check_box(mask: RunLengths, box: Box) -> None:
    x0, y0, x1, y1 = box
    if mask.size != (y1 - y0, x1 - x0):
        raise InputError(f"mask of size {mask.size} does not fill its box {tuple(box)}")
