"""The user's cache: what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

from segscape.errors import ConfigError


def cache_folder() -> Path:
    """``$SEGSCAPE_CACHE``, else ``segscape`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; it need not exist yet.

    Raises:
        ConfigError: it is said by a home folder that there is not.
    """
    try:
        if stated := os.environ.get("SEGSCAPE_CACHE"):
            return Path(stated).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segscape"
    except RuntimeError as error:
        raise ConfigError(f"no folder for the cache ({error}); set SEGSCAPE_CACHE to one") from error
