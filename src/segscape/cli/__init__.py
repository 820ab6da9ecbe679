"""The command line: one verb, one short function, in the file of its subject.

Results go to stdout (tables, or one JSON document with ``--json``), progress and errors to stderr. Exit codes: 0 done,
1 a check said no, 2 bad input, 3 training diverged, 4 out of memory or disk, 130 interrupted.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import sys
import warnings
from typing import Any

from cyclopts import App, CycloptsError

from segscape import __version__
from segscape.cli.common import complain
from segscape.cli.data import check, convert
from segscape.cli.describing import describe
from segscape.cli.exporting import export
from segscape.cli.measuring import evaluate, tune_crf, tune_objects
from segscape.cli.models import list_models, show
from segscape.cli.predicting import predict
from segscape.cli.reporting import report
from segscape.cli.storing import index, query
from segscape.cli.training import repeat, train
from segscape.errors import ResourceError, SegscapeError, SegscapeWarning

_EXIT_CODES = (
    "Exit codes: 0 done, 1 a check said no, 2 bad input, 3 training diverged, 4 out of memory or disk, 130 interrupted."
)
app = App(
    name="segscape",
    help="Segment images and say what they mean; train and measure the networks. Example: segscape predict photo.jpg",
    help_epilogue=_EXIT_CODES,
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_NEW_OBJECTS = 10_000  # a collection after so many; Python's 700 are collected dozens of times while imports make them
_TIDY = {"triton", "duckdb"}  # made with nanobind, which fills the screen with what was not cleared away
_SPIN = "4"  # 2⁴ cycles
data_app = App(name="data", help="Look at a data set before training on it, and convert it.")
models_app = App(name="models", help="Models that come with Segscape, and what their cards say.")
for verb in (predict, describe, report, index, query, train, repeat, evaluate, tune_crf, tune_objects, export):
    app.command(verb)
app.command(data_app)
data_app.command(check)
data_app.command(convert)
app.command(models_app)
models_app.command(list_models, name="list")
models_app.command(show)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. A user never sees a traceback (set SEGSCAPE_DEBUG=1 for it)."""
    _waste_no_time()
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it cannot decode is said by us, in one line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is no text must not end the run while it is printed
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", SegscapeWarning)
            warnings.showwarning = _show_warning
            code = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        complain(f"{error}\nsegscape: `segscape --help` shows what there is")
        return 2
    except SegscapeError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:  # `segscape … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as error:  # rich's way to say the same
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except MemoryError:
        complain("out of memory")
        return ResourceError.exit_code
    except Exception as error:
        if os.environ.get("SEGSCAPE_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # what is printed goes to a full disk
            complain("no space left to print the result; free some disk space and run it again")
            return ResourceError.exit_code
        complain(f"a fault of Segscape's own: {type(error).__name__}: {error}; SEGSCAPE_DEBUG=1 shows where")
        return 1


_show_others = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, SegscapeWarning):
        complain(f"warning: {message}")
    else:
        _show_others(message, category, *where, **more)


def _leave_garbage() -> None:
    """The process ends anyway: nothing is left to be searched for cycles."""
    if sys.modules.keys().isdisjoint(_TIDY):
        gc.freeze()


def _waste_no_time() -> None:
    """Stop what else takes a tenth of the time of a process that segments one photo; before numpy is imported."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(_leave_garbage)
    # How long OpenBLAS's threads wait for work without sleeping, from their start on: else 2²⁶ cycles, of each core but
    # one, and again in OpenCV's own OpenBLAS.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _SPIN)
