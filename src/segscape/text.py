"""Text as it is shown: names of files and classes may hold any character."""

from __future__ import annotations


def printable(text: str, *, keep_lines: bool = False) -> str:
    """``text`` with all that cannot be shown escaped, lone surrogates (bytes of a file name that are no UTF-8) too.

    So a name can neither break a line nor play tricks on a terminal. ``keep_lines`` leaves line breaks as they are.
    """
    return "".join(
        c if c.isprintable() or (keep_lines and c == "\n") else c.encode("unicode_escape").decode() for c in text
    )
