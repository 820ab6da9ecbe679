"""OpenVINO itself: imported without what Segscape has no use for, and once in a process."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from segscape.errors import ConfigError

_CONVERTER, _STATISTICS = "openvino.tools.ovc", "openvino_telemetry"
_OPERATIONS = "openvino.opset"  # and a number: Python functions to build graphs with


@functools.cache
def openvino_core() -> Any:
    """The process's one ``openvino.Core``, which lives as long as the process.

    Each `Core` gives the thread that first uses it a stack for signals, and gives the one before it back when it goes.
    Two that go in another order than they came leave freed memory there, and the next Ctrl-C ends the process with a
    segmentation fault instead of an interrupt.

    OpenVINO's table of numpy's types is filled here, by one thread. Python runs meanwhile, so another thread that asks
    for the table at that moment may have the GIL while it waits, and then both wait for ever.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    openvino.Type.f32.to_dtype()
    return openvino.Core()


def import_openvino() -> Any:
    """The package ``openvino``, without its model converter, which is two thirds of the time that importing it takes.

    The converter brings command line parsers, a logging framework and usage statistics along. Here it is imported when
    somebody calls ``openvino.convert_model`` or imports it. The operations to build graphs with, ``openvino.opset1``
    and so on, a third of what is left, are loaded when somebody asks for one.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    try:
        if "openvino" in sys.modules or _CONVERTER in sys.modules:
            import openvino
        else:
            with absent(_CONVERTER, _STATISTICS), _operations_left_out() as left_out:
                import openvino
            _import_on_demand(openvino, left_out)
    except ImportError as error:
        raise ConfigError("engine 'openvino' needs OpenVINO: pip install openvino") from error
    if not hasattr(openvino, "convert_model"):
        openvino.convert_model = _convert_model
    return openvino


def import_nncf() -> Any:
    """The module ``nncf``, which says warnings only and sends no usage statistics.

    Raises:
        ConfigError: NNCF is not installed.
    """
    import_openvino()
    try:
        with absent(_STATISTICS):
            import nncf
    except ImportError as error:
        raise ConfigError("int8 needs NNCF: pip install 'segscape[export]'") from error
    import logging

    nncf.set_log_level(logging.ERROR)
    return nncf


@contextlib.contextmanager
def absent(*modules: str) -> Iterator[None]:
    """While it lasts, importing one of these says that it is not installed, as far as it was not imported before."""
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class _LeftOut:
    """Finds the sets of operations, and loads nothing in their place."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(_OPERATIONS) or not name.removeprefix(_OPERATIONS).isdecimal():
            return None
        if spec := PathFinder.find_spec(name, path, target):
            self.names.append(name)
            spec.loader = self  # type: ignore[assignment]  # has what a loader must have
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own kind of module."""

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty."""


@contextlib.contextmanager
def _operations_left_out() -> Iterator[list[str]]:
    """While it lasts, OpenVINO's sets of operations are empty; then those named in the list count as not imported."""
    finder = _LeftOut()
    sys.meta_path.insert(0, finder)
    try:
        yield finder.names
    finally:
        sys.meta_path.remove(finder)
        for name in finder.names:
            sys.modules.pop(name, None)


def _import_on_demand(openvino: ModuleType, names: list[str]) -> None:
    """Import these parts of OpenVINO when they are asked of it."""
    parts = {name.removeprefix("openvino."): name for name in names}
    for part in parts:
        vars(openvino).pop(part, None)

    def on_demand(name: str) -> Any:
        if name in parts:
            return importlib.import_module(parts[name])
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")

    openvino.__getattr__ = on_demand  # PEP 562


def _convert_model(*arguments: Any, **options: Any) -> Any:
    """``openvino.convert_model``, imported now."""
    import openvino
    from openvino.tools.ovc import convert_model

    openvino.convert_model = convert_model
    return convert_model(*arguments, **options)
