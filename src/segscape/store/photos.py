"""What a store knows of a photo's file, and of an image made of it."""

from __future__ import annotations

import os
from dataclasses import dataclass


def as_text(text: str) -> str:
    """Text that a database takes: what is no Unicode (bytes of a file name) is escaped, NUL too."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo's file: where it is and what it holds.

    Attributes:
        path: absolute, as text (see `as_text`).
        content_hash: SHA-256 of its bytes, hexadecimal.
        file_bytes, modified_ns: as the file system says.
    """

    path: str
    content_hash: str
    file_bytes: int = 0
    modified_ns: int = 0


@dataclass(frozen=True, slots=True)
class Indexed:
    """An image that is in the store: its number, file, model and version of the scene."""

    id: int
    photo: Photo
    model: str
    scene_version: int


def photo_path(source: str | os.PathLike[str]) -> str:
    """How a store names a photo: its absolute path; "<array>" and "<bytes>" stay."""
    text = os.fspath(source)
    return text if is_no_file(text) else as_text(os.path.abspath(text))  # noqa: PTH100 (resolve would follow links)


def is_no_file(path: str) -> bool:
    """Whether a photo's path is "<array>" or "<bytes>"."""
    return path.startswith("<") and path.endswith(">")
