"""What the benchmarks share: calls that take turns, and the row that comes of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segscape.train.logs import versions

__all__ = ["PHOTO", "ROOT", "Row", "checked", "in_turns", "pair", "row_of", "timed", "versions"]

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "photos" / "street.jpg"
_PAUSE_S = 0.02  # threads that one way has left spinning go to sleep before the next way's turn
_MOST_TURNS = 40


@dataclass(frozen=True)
class Row:
    """One work done in several ways.

    Attributes:
        what: the work.
        peer: the way over which `times` says how many times faster the others are.
        ms: median milliseconds of each way.
        times: median over the turns of the peer's time divided by that way's.
        turns: how many there were.
        agrees: 0…1 for each way but the peer: the share of the outcome that equals the peer's.
        gflop: work in 10⁹ floating-point operations, a multiplication and its addition as two; None if not counted.
        notes: what else is to be known; ways that could not be run, and why.
    """

    what: str
    peer: str
    ms: Mapping[str, float]
    times: Mapping[str, float]
    turns: int
    agrees: Mapping[str, float] = field(default_factory=dict)
    gflop: float | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, numbers rounded to what they are worth."""
        values = asdict(self)
        for key, digits in (("ms", 3), ("times", 3), ("agrees", 5)):
            values[key] = {way: round(float(value), digits) for way, value in values[key].items()}
        values["gflop"] = self.gflop and round(self.gflop, 3)
        return values


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def pair(ours: Callable[[], Any], peer: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median milliseconds of both, taking turns after one unmeasured call of each."""
    ours()
    peer()
    turns = [(timed(ours), timed(peer)) for _ in range(repeats)]
    return statistics.median(t[0] for t in turns), statistics.median(t[1] for t in turns)


def in_turns(
    ways: Mapping[str, Callable[[], Any]], *, seconds: float, least: int, warm: bool = True
) -> list[dict[str, float]]:
    """Milliseconds of every way in each turn: at least so many turns, and more until ``seconds`` are over.

    ``warm`` calls each once before, unmeasured.
    """
    if warm:
        for work in ways.values():
            work()
    turns: list[dict[str, float]] = []
    start = time.perf_counter()
    while len(turns) < least or (time.perf_counter() - start < seconds and len(turns) < _MOST_TURNS):
        turn = {}
        for way, work in ways.items():
            time.sleep(_PAUSE_S)
            turn[way] = timed(work)
        turns.append(turn)
    return turns


def checked(agrees: Mapping[str, float], ways: Iterable[str], least: float) -> Mapping[str, float]:
    """``agrees``, if these ways equal the peer in so much of the outcome: else times say nothing.

    Raises:
        RuntimeError: one of them does not.
    """
    for way in ways:
        if not agrees.get(way, 1.0) >= least:
            raise RuntimeError(f"{way} equals the peer in {agrees[way]:.4f} of the outcome only; wanted {least}")
    return agrees


def row_of(
    what: str,
    ways: Mapping[str, Callable[[], Any]],
    *,
    peer: str,
    quick: bool,
    seconds: float = 15.0,
    least: int = 5,
    warm: bool = True,
    per: Mapping[str, int] | None = None,
    **facts: Any,
) -> Row:
    """Run the ways in turns and put them into a row.

    Args:
        what, peer, facts: fields of the `Row`.
        ways: what to call, by name.
        quick: two turns, whatever else is asked for.
        seconds, least, warm: see `in_turns`.
        per: by how many a way's time is divided, where one call does the work several times.
    """
    turns = in_turns(ways, seconds=0 if quick else seconds, least=2 if quick else least, warm=warm)
    for way, count in (per or {}).items():
        for turn in turns:
            turn[way] /= count
    return Row(
        what,
        peer,
        {way: statistics.median(turn[way] for turn in turns) for way in ways},
        {way: statistics.median(turn[peer] / turn[way] for turn in turns) for way in ways if way != peer},
        len(turns),
        **facts,
    )
