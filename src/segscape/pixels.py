"""Pixels of every format as upright 8-bit RGB; what becomes of each stands in the table in `image`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_ORIENTATION = 274  # EXIF tag


def from_pil(im: PilImage, white: int = 65535) -> np.ndarray:
    """A loaded PIL image of any mode as (H, W, 3) uint8, not yet turned; ``white`` is white's level in 16-bit grey."""
    if im.mode.startswith("I;16") or im.mode in ("I", "F"):
        raw = np.asarray(im)
        levels = to_uint8(raw) if white == 65535 else np.rint(raw * (255 / white)).astype(np.uint8)
        clear = im.info.get("transparency")
        if isinstance(clear, int):
            levels[raw == clear] = 255
        return np.repeat(levels[..., None], 3, axis=2)
    if im.mode == "La":  # PIL converts premultiplied grey to nothing but LA
        im = im.convert("LA")
    if im.has_transparency_data:
        return _on_white(np.asarray(im.convert("RGBA")))
    return np.array(im if im.mode == "RGB" else im.convert("RGB"))


def levels_rgb(bgr: np.ndarray) -> np.ndarray:
    """What OpenCV decoded, (H, W) or (H, W, 3 | 4) in BGR(A) order and of any dtype, as (H, W, 3) RGB uint8."""
    return grey_or_color(to_uint8(bgr if bgr.ndim == 2 else bgr[..., [2, 1, 0, 3][: bgr.shape[2]]]))


def grey_or_color(levels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1 | 3 | 4) RGB(A) uint8 as a new C-contiguous (H, W, 3) uint8."""
    if levels.ndim == 2:
        levels = levels[..., None]
    if levels.shape[2] == 4:
        return _on_white(levels)
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)), order="C")


@functools.cache
def _sixteen_to_eight() -> np.ndarray:
    return ((np.arange(65536) + 128) // 257).astype(np.uint8)  # = round(v · 255 / 65535)


def to_uint8(x: np.ndarray) -> np.ndarray:
    """Numbers of any dtype as uint8 by the table in `segscape.image`, same shape."""
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype == np.uint16:
        return _sixteen_to_eight()[x]
    if x.dtype.kind != "f" and x.min() >= 0 and x.max() <= 65535:
        return x.astype(np.uint8) if x.max() <= 255 else _sixteen_to_eight()[x]
    finite = x[np.isfinite(x)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if x.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values = np.nan_to_num(x.astype(np.float64), nan=low, posinf=high, neginf=low)
    # Halves, because the range of two doubles may overflow; a constant image has no range.
    values = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
    return np.rint(values * 255).astype(np.uint8)


def _on_white(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 with straight alpha on white: round((c · a + 255 · (255 - a)) / 255), (H, W, 3) uint8."""
    out = np.empty((*rgba.shape[:2], 3), np.uint8)
    rows = max(1, 2**20 // rgba.shape[1])  # a block at a time: the 16-bit intermediates are large
    for y in range(0, rgba.shape[0], rows):
        block = rgba[y : y + rows].astype(np.uint16)
        alpha = block[..., 3:]
        out[y : y + rows] = (block[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return out


def orientation(im: PilImage) -> int:
    """EXIF orientation 1…8; 1 where there is none or the EXIF block is broken."""
    try:
        return im.getexif().get(_ORIENTATION, 1)
    except Exception:  # anything may come out of a broken block, and none of it is worth losing the image
        return 1


def upright(x: np.ndarray, orientation: object) -> np.ndarray:
    """Turn (H, W, 3) by EXIF orientation (Exif 2.32, tag 274); an unknown one turns nothing."""
    across = x.swapaxes(0, 1)
    turned = {
        2: x[:, ::-1],
        3: x[::-1, ::-1],
        4: x[::-1],
        5: across,
        6: across[:, ::-1],
        7: across[::-1, ::-1],
        8: across[::-1],
    }
    return np.ascontiguousarray(turned.get(orientation, x) if isinstance(orientation, int) else x)
