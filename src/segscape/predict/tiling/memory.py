"""What tiles take of memory: measured, bounded, given back."""

from __future__ import annotations

import ctypes
import math
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from segscape.errors import ConfigError, ResourceError
from segscape.runtime.engine import Engine

SLACK = 1.05
"""By which a network may take more than was measured."""

_UNMEASURED = 1000.0  # bytes a pixel, where the system does not tell what a network took
_SMALL_PART = 24  # so many times the pixels of a larger probe must the picture have


def measured_bytes_per_pixel(engine: Engine, max_memory: int, pixels: int) -> float:
    """What a network takes of memory by the pixel of a tile, besides its weights, from tiles that are run through it.

    As many tiles as the engine runs at once, of 256², 512² and 1024² pixels as far as they stay within ``max_memory``.
    The largest say the rate, and all of their peak is taken to grow with the pixels; the share that does not makes
    predictions a little high, never low. So where the picture is large enough that it takes little of the time, larger
    tiles are tried too. What a size leaves behind for the next counts where several tiles are in the network at once;
    one alone gives it back when the size changes, as `OneSizeAtATime` does.

    Where the system does not tell (it is not Linux) 1000 bytes a pixel are assumed. What a network takes of a GPU's
    memory is not seen here; there, tiles are halved when it runs out.

    Args:
        engine: the network.
        max_memory: bytes.
        pixels: of the picture, as the network sees it.

    Raises:
        ResourceError: out of memory with the smallest.
    """
    release(engine)
    before = resident_bytes()
    rate, at_once = 0.0, engine.concurrency
    run_one = OneSizeAtATime(engine, at_once)
    with ThreadPoolExecutor(at_once, "measure") as pool:
        for side in (256, 512, 1024, 1536, 2048):
            if SLACK * at_once * rate * side**2 > max_memory or (side > 1024 and pixels < _SMALL_PART * side**2):
                break

            def run(side: int = side) -> None:
                for height, width in ((side, side), (side, side * 3 // 4), (side * 3 // 4, side), (side, side)):
                    list(pool.map(_noise_through, [run_one] * at_once, [height] * at_once, [width] * at_once))

            give_back_freed()
            try:
                peak = peak_bytes(run)
            except (ResourceError, MemoryError):
                if side == 256:
                    raise
                break  # most likely of a GPU, of whose memory nothing is seen here: the rate is known without
            if before is None or peak is None:
                return _UNMEASURED
            rate = (peak - before) / (at_once * side**2)
    release(engine)
    return rate


def _noise_through(run: Callable[[np.ndarray], np.ndarray], height: int, width: int) -> None:
    run(np.random.default_rng(0).standard_normal((1, 3, height, width), np.float32))


class OneSizeAtATime:
    """An engine's scores; where it runs one tile at a time, what it keeps for it is given back before another size.

    Networks keep the memory of the largest inputs that they saw, and more of each further size (OpenVINO about a
    third), and only a row's last tile differs in size.

    Args:
        engine: the network.
        at_once: calls at once.
    """

    def __init__(self, engine: Engine, at_once: int) -> None:
        self._engine, self._alone = engine, at_once == 1
        self._size: tuple[int, ...] | None = None

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.low_logits`."""
        if self._alone and self._size not in (None, batch.shape):
            release(self._engine)
        self._size = batch.shape
        return self._engine.low_logits(batch)


def release(engine: Engine) -> None:
    """Let an engine give back what it keeps between calls, if it keeps something, and the allocator what was freed."""
    if (give_back := getattr(engine, "release", None)) is not None:
        give_back()
    give_back_freed()


def peak_bytes(work: Callable[[], object]) -> int | None:
    """The highest that the process's resident memory rises to while ``work`` runs; None where the system cannot say."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the mark of the highest goes back to now (man proc)
    except OSError:
        return None
    work()
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def resident_bytes() -> int | None:
    """The process's resident memory now; None where the system cannot say."""
    try:
        return 1024 * next(
            int(line.split()[1])
            for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines()
            if line.startswith("VmRSS")
        )
    except (OSError, StopIteration):
        return None


def give_back_freed() -> None:
    """Let glibc's allocator give freed memory back to the system; nothing happens with another C library."""
    if sys.platform.startswith("linux") and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def parse_bytes(text: str | int) -> int:
    """A number of bytes, or one with a unit: "800MB", "2GB", "1.5 GiB" (kB, MB, GB are powers of 1000).

    Raises:
        ConfigError: it is none, not above zero, or beyond what a float holds.
    """
    try:
        given = str(text)
    except ValueError:  # a whole number of more digits than Python writes out
        given = "a number of thousands of digits"
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", given.lower())
    value = 0.0 if found is None else float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2] or " ")
    if not 1 <= value < math.inf:  # float() takes what is beyond its range for infinite
        raise ConfigError(f'memory must be given as in "800MB", "2GB" or "1.5GiB", got {given[:80]!r}')
    return int(value)
