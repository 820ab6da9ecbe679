"""OpenVINO itself, once in a process."""

from __future__ import annotations

import functools
from typing import Any

from segscape.errors import ConfigError


@functools.cache
def openvino_core() -> Any:
    """The process's one ``openvino.Core``, which lives as long as the process.

    Each `Core` gives the thread that first uses it a stack for signals, and gives the one before it back when it goes.
    Two that go in another order than they came leave freed memory there, and the next Ctrl-C ends the process with a
    segmentation fault instead of an interrupt.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError("engine 'openvino' needs OpenVINO: pip install openvino") from error
    return openvino.Core()
