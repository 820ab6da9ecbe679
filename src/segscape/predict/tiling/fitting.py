"""Tiles that memory suffices for: those that an earlier run chose, and smaller ones once it ran out."""

from __future__ import annotations

from collections.abc import Callable

from segscape.bigimage.parts import Parts
from segscape.errors import ResourceError
from segscape.predict.tiling.plan import TilePlan
from segscape.progress import Progress


class OutOfMemory(Exception):
    """While a tile was worked on, so that smaller ones may help."""


def keep_plan(parts: Parts, plan: TilePlan, predicted: int | None) -> None:
    """Write the tiles to disk with what is made of them, and the bytes of memory predicted."""
    parts.keep(tile=plan.tile, margin=plan.margin, batch=plan.batch, at_once=plan.at_once, predicted_bytes=predicted)


def kept_plan(parts: Parts, size: tuple[int, int], budget: int) -> tuple[TilePlan, int | None] | None:
    """What `keep_plan` wrote, since measured again tiles might differ; None if nothing, or if they take too much now.

    Args:
        parts: of an earlier run.
        size: (height, width) of the picture as the network sees it.
        budget: bytes of memory that are allowed now.
    """
    state = parts.state
    if "tile" not in state or (state["predicted_bytes"] or 0) > budget:
        return None
    height, width = state["tile"]
    plan = TilePlan(size, (height, width), state["margin"], batch=state["batch"], at_once=state["at_once"])
    return plan, state["predicted_bytes"]


def until_it_fits(work: Callable[[TilePlan], None], plan: TilePlan, progress: Progress) -> TilePlan:
    """Do ``work`` by tiles, and by smaller ones whenever it is `OutOfMemory`; the tiles that held in the end.

    Raises:
        ResourceError: tiles cannot be smaller.
    """
    while True:
        try:
            work(plan)
            return plan
        except OutOfMemory as error:
            smaller = plan.halved()
            if smaller is None:
                raise no_smaller(plan, error) from error
            progress.message(f"out of memory with tiles of {_said(plan)}: going on with {_said(smaller)}")
            plan = smaller


def no_smaller(plan: TilePlan, error: BaseException) -> ResourceError:
    """What is said when memory ran out with the smallest tiles."""
    return ResourceError(
        f"out of memory with tiles of {_said(plan)} ({error}), and they cannot be smaller; close other programs or "
        "take a smaller model"
    )


def _said(plan: TilePlan) -> str:
    return f"{plan.tile[1]} × {plan.tile[0]}"
