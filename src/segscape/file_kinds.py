"""What kind of file it is, by its first bytes."""

from __future__ import annotations

import re
from typing import IO

from segscape.errors import ImageError

_READABLE = "JPEG, PNG, WebP, TIFF, BMP and GIF"
# (offset, first bytes, name): the formats that are read, then those worth naming in an error.
_FORMATS = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
)
_OTHERS = (
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftyp", "an MP4 or QuickTime video"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF"),
    (0, b"\0\0\x01\0", "an icon"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x93NUMPY", "a NumPy file (load it and pass the array)"),
)


def file_kind(file: IO[bytes], name: str) -> str:
    """The file's format by its first bytes, one of those that are read; the file is left at its start."""
    head = file.read(512)
    file.seek(0)
    for at, magic, kind in _FORMATS:
        if head.startswith(magic, at) and (kind != "WebP" or head.startswith(b"RIFF")):
            return kind
    if not head:
        raise ImageError(f"{name!r}: is empty (0 bytes); copy or download it again")
    found = next((what for at, magic, what in _OTHERS if head.startswith(magic, at)), "")
    if not found:
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        # Control characters do not occur in text; a multi-byte character may be cut at the end of the head.
        plain = not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", head) and head.decode("utf-8", "replace").count("�") < 2
        if b"<svg" in text:
            found = "an SVG drawing"
        elif text.startswith((b"<!doctype html", b"<html")):
            found = "a web page"
        else:
            found = "text" if plain else "no image format we know"
    raise ImageError(f"{name!r}: is {found}, whatever its name; {_READABLE} are read, so convert it to one")


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height in a WebP file's first 30 bytes (RFC 9649, sections 2.5 to 2.7)."""
    kind = head[12:16]
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(head[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
