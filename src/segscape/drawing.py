"""What pictures with words in them are drawn with: paper, ink, fonts, text that fits, the legend below a picture."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

PAPER, INK, FAINT = (255, 255, 255), (32, 36, 44), (112, 118, 130)
_MIN_CANVAS_PX = 240  # below it a legend cannot be read
_MIN_FONT_PX = 12
_REMEMBERED = 512  # texts of a font: some megabytes in large letters
_LAST_LATIN, _PUNCTUATION = 0x24F, "–—…‘’“”≤≥"
# By their file names, which PIL looks for where the system keeps fonts: Linux, Windows, macOS.
_CHINESE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "simhei.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Light.ttc",
)


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A colour and what it stands for.

    Attributes:
        color: RGB, 0…255 each.
        name: on one line, cut off where it is too wide.
        value: shown after the name, fainter.
    """

    color: tuple[int, int, int]
    name: str
    value: str


def legend(entries: Sequence[LegendEntry], height: int, width: int, empty: str) -> np.ndarray:
    """The strip below a picture of height × width: its entries in as many rows as they need.

    Args:
        entries: from left to right, row by row.
        height, width: of the picture, in px; they decide the size of the font.
        empty: said where there is no entry.

    Returns:
        (rows, max(width, 240), 3) uint8 RGB.
    """
    width = max(width, _MIN_CANVAS_PX)
    size_px = font_size(height, width)
    font = font_for(size_px, [empty, *(entry.name for entry in entries)])
    margin, swatch, gap, row_px = size_px, round(size_px * 1.1), round(size_px * 0.55), round(size_px * 1.75)
    inner = width - 2 * margin
    value_px = max((font.getlength(entry.value) for entry in entries), default=0)
    names = [fitted(one_line(entry.name), font, inner - swatch - 2 * gap - value_px) for entry in entries]
    name_px = max((font.getlength(name) for name in names), default=0)
    entry_px = swatch + gap + name_px + gap + value_px
    most = max(1, int((inner + 2 * margin) // (entry_px + 2 * margin)))
    num_rows = max(1, -(-len(names) // most))
    num_columns = max(1, -(-len(names) // num_rows))
    # From margin to margin, but entries of a short row stay together.
    pitch = min((inner - entry_px) / max(1, num_columns - 1), entry_px + 5 * margin)

    canvas, draw = canvas_of(num_rows * row_px + margin, width)
    if not names:
        draw.text((margin, margin / 2 + row_px / 2), empty, font=font, fill=FAINT, anchor="lm")
    for i, (entry, shown) in enumerate(zip(entries, names, strict=True)):
        row, column = divmod(i, num_columns)
        x = margin + column * pitch
        y = margin / 2 + (row + 0.5) * row_px
        box = (round(x), round(y - swatch / 2), round(x) + swatch, round(y - swatch / 2) + swatch)
        draw.rounded_rectangle(box, swatch / 5, fill=entry.color, outline=FAINT if sum(entry.color) > 600 else None)
        draw.text((x + swatch + gap, y), shown, font=font, fill=INK, anchor="lm")
        draw.text((x + entry_px, y), entry.value, font=font, fill=FAINT, anchor="rm")
    return np.array(canvas)


def above(picture: np.ndarray, strip: np.ndarray) -> np.ndarray:
    """One picture on top of another that is at least as wide, centred."""
    height, width = picture.shape[:2]
    result = np.empty((height + strip.shape[0], strip.shape[1], 3), np.uint8)
    x = (strip.shape[1] - width) // 2
    result[:height, :x] = result[:height, x + width :] = PAPER
    result[:height, x : x + width] = picture
    result[height:] = strip
    return result


def percent(share: float) -> str:
    """ "27.1 %"."""
    return "<0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def one_line(text: str) -> str:
    """The text without line breaks and other characters that cannot be drawn."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fitted(text: str, font: FreeTypeFont | ImageFont, width_px: float) -> str:
    """The text, its end replaced by … where it is too wide."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def font_size(height: int, width: int) -> int:
    """Font size in px for a picture: readable when the picture is looked at as a whole."""
    return max(_MIN_FONT_PX, round(min((height * width) ** 0.5 * 0.028, width / 20)))


def font_for(size_px: int, texts: Iterable[str]) -> FreeTypeFont | ImageFont:
    """A font that can write ``texts``: PIL's own, which has Latin letters and no others, where that is enough.

    Else the first of the usual Chinese fonts that this machine has, and PIL's own, with boxes, where it has none.
    """
    from PIL import ImageFont

    if any(ord(c) > _LAST_LATIN and c not in _PUNCTUATION for text in texts for c in text):
        for name in _CHINESE_FONTS:
            with contextlib.suppress(OSError):
                return ImageFont.truetype(name, size_px)
    return _own_font(size_px)


@functools.lru_cache(4)
def _own_font(size_px: int) -> FreeTypeFont | ImageFont:
    """PIL's own font. It remembers what it has written: the legends of many photos say the same."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=size_px)
    if isinstance(font, ImageFont.FreeTypeFont):
        remember = functools.lru_cache(_REMEMBERED)
        vars(font).update(getlength=remember(font.getlength), getmask2=remember(font.getmask2))
    return font


def canvas_of(height: int, width: int) -> tuple[Any, Any]:
    """An empty PIL picture and what draws on it."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), PAPER)
    return canvas, ImageDraw.Draw(canvas)
