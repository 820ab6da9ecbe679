"""What every verb needs: its flags, and how it speaks."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from segscape.errors import ConfigError

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, Parameter(name="--quiet", negative="", help="Show no progress.")]
Overrides = Annotated[tuple[str, ...], Parameter(name="--set", negative="")]
Switch = Annotated[bool, Parameter(negative="")]


def needs_train_extra() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("accelerate", "pydantic", "torchvision") if find_spec(name) is None]:
        raise ConfigError(f"training needs {', '.join(missing)}: pip install 'segscape[train]'")


def console() -> Any:
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty())


def say(text: str) -> None:
    print(plain(text))


def complain(text: str) -> None:
    print(f"segscape: {plain(text, keep_lines=True)}", file=sys.stderr)


def plain(text: str, *, keep_lines: bool = False) -> str:
    """Text that cannot play tricks on the terminal: control characters are escaped (file names may hold any)."""
    return "".join(
        c if c.isprintable() or (keep_lines and c == "\n") else c.encode("unicode_escape").decode() for c in text
    )


def print_json(document: Any) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")
