"""Names for colours, by stated ranges of a perceptual colour space.

The space is OKLCh (Ottosson 2020, "A perceptual color space for image processing"): lightness L 0…1, chroma C from 0
(grey) to about 0.3, hue h in degrees: red 29, orange 71, yellow 110, green 142, cyan 195, blue 264, magenta 328. How
colourful a colour looks goes with its saturation S = C / L. The mean over a region is paler than what one would point
at, so it counts early: from S = 0.045 on a colour is no grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

COLOR_NAMES: dict[str, str] = {
    "black": "黑色",
    "dark grey": "深灰色",
    "grey": "灰色",
    "light grey": "浅灰色",
    "white": "白色",
    "red": "红色",
    "orange": "橙色",
    "brown": "棕色",
    "beige": "米色",
    "yellow": "黄色",
    "green": "绿色",
    "dark green": "深绿色",
    "cyan": "青色",
    "light blue": "浅蓝色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
}
"""English name -> Chinese name, of all that `color_name` gives."""

_ANY = (0.0, math.inf)
# Name, and from … to below of L, S and h; the first row that fits names the colour. A hue from 335 to 15 goes over 360.
_RANGES: tuple[tuple[str, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    ("black", (0, 0.25), (0, 0.3), _ANY),
    ("dark grey", (0, 0.48), (0, 0.045), _ANY),
    ("grey", (0, 0.75), (0, 0.045), _ANY),
    ("light grey", (0, 0.9), (0, 0.045), _ANY),
    ("white", _ANY, (0, 0.045), _ANY),
    ("red", (0, 0.7), (0.2, math.inf), (15, 40)),
    ("brown", (0, 0.7), _ANY, (15, 40)),
    ("pink", _ANY, _ANY, (15, 40)),
    ("brown", (0, 0.66), _ANY, (40, 100)),
    ("beige", (0.66, math.inf), (0, 0.11), (40, 118)),
    ("orange", _ANY, _ANY, (40, 85)),
    ("yellow", (0.66, math.inf), _ANY, (85, 118)),
    ("dark green", (0, 0.47), _ANY, (100, 170)),
    ("green", _ANY, _ANY, (100, 170)),
    ("cyan", _ANY, _ANY, (170, 215)),
    ("light blue", (0.72, math.inf), _ANY, (215, 290)),
    ("blue", _ANY, _ANY, (215, 290)),
    ("purple", _ANY, _ANY, (290, 335)),
    ("pink", (0.55, math.inf), _ANY, (335, 15)),
    ("purple", _ANY, _ANY, (335, 355)),
    ("red", _ANY, _ANY, (355, 15)),
)


def color_name(rgb: Sequence[float]) -> str:
    """The English name, one of `COLOR_NAMES`, of an sRGB colour, three numbers in 0…255."""
    lightness, saturation, hue = _lightness_saturation_hue(rgb)
    for name, in_lightness, in_saturation, in_hue in _RANGES:
        if (
            in_lightness[0] <= lightness < in_lightness[1]
            and in_saturation[0] <= saturation < in_saturation[1]
            and _within(hue, *in_hue)
        ):
            return name
    raise AssertionError(f"the ranges leave out {tuple(rgb)}")


def _within(hue: float, low: float, high: float) -> bool:
    return low <= hue < high if low < high else hue >= low or hue < high


def _lightness_saturation_hue(rgb: Sequence[float]) -> tuple[float, float, float]:
    """L, C / L and h in degrees, 0 ≤ h < 360, of an sRGB colour in 0…255; matrices as published. Black has S = 0."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (value / 255 for value in rgb))
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(a, b) / lightness if lightness else 0.0, math.degrees(math.atan2(b, a)) % 360
