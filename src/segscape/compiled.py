"""Loops compiled by numba, and what numba lacks for them.

They are compiled on the user's machine, seconds once, and kept; no compiled code is shipped. It would have to be built
for each system and CPU, and would save a process that does one photo nothing: numpy has done that before numba is
imported (`segscape.runtime.classify_numpy`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import types
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled on first use, without the GIL, and kept on disk where there is a place to keep it."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither beside the function's file nor in the user's home can anything be written
        return numba.njit(nogil=True)(function)


def _fma(context, a, b, c):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


fma: Any = intrinsic(_fma)
"""fma(a, b, c) = a · b + c of float32, rounded once (IEEE 754 fusedMultiplyAdd); for compiled code only."""


def _float_to_bits(context, x):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return types.int32(types.float32), generate


def _bits_to_float(context, x):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


float_to_bits: Any = intrinsic(_float_to_bits)
"""The 32 bits of a float32 as int32; for compiled code only."""
bits_to_float: Any = intrinsic(_bits_to_float)
"""The float32 of these bits (int32); for compiled code only."""
