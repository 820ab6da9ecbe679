"""The errors Segscape raises, and the exit code each one gives the command line.

::

    SegscapeError                 1   a gate or check said no
    ├── InputError (ValueError)   2   the user's input is wrong
    │   ├── ImageError                an image cannot be read
    │   ├── DataError                 a data set does not hold what it should
    │   ├── ModelError                a model file or bundle cannot be used
    │   └── ConfigError               a recipe or an option is wrong
    ├── TrainingDiverged          3   loss or gradients stopped being finite
    └── ResourceError             4   out of memory, disk or another resource

A message says what is wrong, where, and what to do. ``assert`` is for programmers; users get these.
"""

from __future__ import annotations


class SegscapeWarning(UserWarning):
    """Something a user should know of a result that is there; the command line says it in one line."""


class SegscapeError(Exception):
    """Base of every error Segscape raises on purpose."""

    exit_code = 1


class InputError(SegscapeError, ValueError):
    """The input (a file, an array, an option) is not what it must be."""

    exit_code = 2


class ImageError(InputError):
    """An image cannot be read: not an image, truncated, too large, or of an unknown format."""


class DataError(InputError):
    """A data set is missing files, or its labels do not fit its label set."""


class ModelError(InputError):
    """A model bundle is missing, damaged, unsafe to load, or does not fit the request."""


class ConfigError(InputError):
    """A recipe or option has an unknown key or a value out of range."""


class TrainingDiverged(SegscapeError):
    """Loss or gradients stopped being finite; the step was not taken."""

    exit_code = 3


class ResourceError(SegscapeError):
    """Memory, disk space or another resource ran out."""

    exit_code = 4
