"""The usual kind of JPEG by libjpeg-turbo directly: a third of Pillow's time, the same pixels.

Unusual and damaged files are left to Pillow, so that what becomes of them does not depend on the route.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SKIPPED = {0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}  # tables, restart interval, comment, APP0…APP15
# The shortest that Pillow reads without an error, length field included.
_SHORTEST = {0xE0: 16, 0xEE: 14}
_REDUCTIONS = (8, 4, 2)  # those that libjpeg-turbo has fast transforms for


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says of itself before its pixels (ITU-T T.81, annex B).

    Attributes:
        size: (height, width) as stored.
        mode: "L" or "RGB", of the pixels.
        has_app1: there is a segment that may hold EXIF or XMP, and in it an orientation.
    """

    size: tuple[int, int]
    mode: str
    has_app1: bool


def read_header(data: bytes) -> Header | None:
    """The header of a JPEG of 8 bits with Huffman coding and one or three components; None for any other."""
    at, size, mode, has_app1 = 2, (0, 0), "", False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if length < _SHORTEST.get(marker, 2):
            return None
        if marker in (0xC0, 0xC1, 0xC2):
            depth, height, width = data[at + 4], data[at + 5 : at + 7], data[at + 7 : at + 9]
            size = int.from_bytes(height, "big"), int.from_bytes(width, "big")
            components = data[at + 9]
            if mode or depth != 8 or components not in (1, 3) or length != 8 + 3 * components or 0 in size:
                return None
            mode = "L" if components == 1 else "RGB"
        elif marker == 0xDA:  # start of scan
            return Header(size, mode, has_app1) if mode else None
        elif marker not in _SKIPPED:
            return None
        has_app1 |= marker == 0xE1
        at += 2 + length
    return None


def decode_jpeg(data: bytes, header: Header, at_least: tuple[int, int] = (2**16, 2**16)) -> np.ndarray | None:
    """Pixels (H, W, 3) uint8 RGB as stored, not turned; None if the decoder has anything to complain of.

    Args:
        data: the file.
        header: of it.
        at_least: (height, width) that suffice. The image is decoded at ½, ¼ or ⅛ of its size if neither side falls
            below it.
    """
    import simplejpeg

    full = header.size
    reduced = [(-(-full[0] // k), -(-full[1] // k)) for k in _REDUCTIONS]
    size = next((s for s in reduced if s[0] >= at_least[0] and s[1] >= at_least[1]), full)
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=size[0], min_width=size[1])
    except ValueError:
        return None
    return pixels if pixels.shape == (*size, 3) else None
