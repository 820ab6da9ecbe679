"""What sort of scene it is, by stated rules over how much each class covers and how often it occurs.

Each kind has conditions with weights; its strength is the weight of those that hold over the weight of all. The kind
with the greatest strength is taken, the earlier one in `RULES` where two are equal, and "unknown" where none reaches
`LEAST_STRENGTH`. A condition sums over classes, chosen by name or by role (`segscape.scene.vocabulary.ROLES`, written
"@role"), so that the same rules read every label set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segscape.scene.scene import SceneKind
from segscape.scene.vocabulary import ROADS, WALKS, name_zh, normal_name, percent, role_of, spaced

LEAST_STRENGTH = 0.4


@dataclass(frozen=True, slots=True)
class Condition:
    """``of`` sums to at least (``below``: to less than) ``bound``, a share of the picture or a number of regions.

    Attributes:
        of: class names and "@role"s, without the names after "-".
        measure: "share", "count", or "labelled": the share of the pixels that have a class.
        bound: a share in 0…1 or a count.
        weight: against the kind's other conditions.
        below: the sum must be less than the bound; says nothing for the kind, so it gives no reason.
        needed: without it the kind has strength 0.
    """

    of: str
    measure: str
    bound: float
    weight: float
    below: bool = False
    needed: bool = False

    def classes(self, names: Mapping[str, object]) -> list[str]:
        """Those of ``names`` that it is about."""
        wanted, _, unwanted = self.of.partition(" - ")
        chosen = {item.strip() for item in wanted.split(",")}
        out = {item.strip() for item in unwanted.split(",")}
        said = {name: normal_name(name) for name in names}
        return [n for n in names if (said[n] in chosen or f"@{role_of(n)}" in chosen) and said[n] not in out]


_ROADS = ", ".join(ROADS)
_SIDEWALKS = ", ".join((*WALKS, "crosswalk", "parking"))
_ON_ROADS = (
    "@vehicle, bicyclist, cyclist, rider, motorcyclist, pedestrian - airplane, aeroplane, plane, boat, ship, train"
)
_SIGNS = "sign, traffic sign, traffic light, stop sign, parking meter, fire hydrant, pole, streetlight, traffic cone"
_BUILDINGS = "building, house, skyscraper, tower, bridge, hovel"
_ROOM = "floor, ceiling, wall, windowpane, door, curtain, rug, painting, mirror"
_INDOOR_ITEMS = "book, vase, clock, laptop, keyboard, mouse, remote, pillow, cushion, lamp, bottle, cup, bowl"
_FURNITURE = "@furniture - bench, seat, light, screen"
_DISHES = "bowl, cup, plate, fork, knife, spoon, bottle, wine glass, glass, tray, dining table, diningtable, table"
_SPORTS = (
    "sports ball, ball, frisbee, skis, snowboard, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket"
)
_COUNTRY = (
    "@vegetation, grass, earth, field, sand, land, terrain, snow, mountain, hill, rock - potted plant, pottedplant"
)

RULES: dict[str, tuple[Condition, ...]] = {
    "microscopy": (
        Condition("@cell", "labelled", 0.9, 3, needed=True),
        Condition("@membrane", "share", 0.01, 1, below=True),
    ),
    "membranes": (
        Condition("@membrane", "share", 0.01, 2, needed=True),
        Condition("@cell, @membrane", "labelled", 0.9, 2, needed=True),
        Condition("@cell", "count", 2, 1),
    ),
    "street": (
        Condition(_ROADS, "share", 0.05, 4),
        Condition(_ON_ROADS, "share", 0.005, 2),
        Condition(_SIGNS, "count", 1, 2),
        Condition(_SIDEWALKS, "share", 0.005, 1),
        Condition(_BUILDINGS, "share", 0.03, 1),
    ),
    "indoor": (
        Condition(_FURNITURE, "count", 1, 3),
        Condition("floor, ceiling", "share", 0.03, 2),
        Condition(_ROOM, "share", 0.2, 2),
        Condition(_INDOOR_ITEMS, "count", 1, 1),
        Condition("@sky", "share", 0.005, 1, below=True),
    ),
    "meal": (
        Condition("@food", "count", 1, 3, needed=True),
        Condition(_DISHES, "count", 1, 2),
        Condition("@food", "share", 0.1, 1),
    ),
    "sports": (
        Condition(_SPORTS, "count", 1, 3, needed=True),
        Condition("@person", "count", 1, 2, needed=True),
        Condition("grass, field, playing field, snow, sand, water, sea, floor", "share", 0.2, 1),
    ),
    "waterside": (
        Condition("@water - fountain, swimming pool, waterfall", "share", 0.1, 4),
        Condition("boat, ship", "count", 1, 2),
        Condition("sand, beach, pier, rock", "share", 0.01, 1),
        Condition("@sky", "share", 0.03, 1),
    ),
    "nature": (
        Condition(_COUNTRY, "share", 0.4, 3, needed=True),
        Condition("@sky", "share", 0.03, 1),
        Condition(_BUILDINGS, "share", 0.05, 1, below=True),
        Condition(_ROADS, "share", 0.1, 1, below=True),
    ),
    "buildings": (
        Condition(_BUILDINGS, "share", 0.3, 3, needed=True),
        Condition("@sky", "share", 0.03, 1),
        Condition(_ROADS, "share", 0.05, 1, below=True, needed=True),
    ),
    "animals": (
        Condition("@animal", "count", 1, 3, needed=True),
        Condition("@animal", "share", 0.03, 1),
        Condition("@vehicle, @furniture", "count", 1, 2, below=True, needed=True),
    ),
    "people": (
        Condition("@person", "count", 1, 2, needed=True),
        Condition("@person", "share", 0.1, 2, needed=True),
        Condition("@vehicle, @animal, @furniture", "count", 1, 2, below=True, needed=True),
        Condition(_SPORTS, "count", 1, 1, below=True, needed=True),
    ),
}
"""Kind -> its conditions. Two cars and a traffic light in a label set without roads make a street by 4 of 10."""

KINDS_ZH = {
    "microscopy": "显微图像",
    "membranes": "膜结构显微图像",
    "street": "街景",
    "indoor": "室内场景",
    "meal": "餐食",
    "sports": "运动场景",
    "waterside": "水边景色",
    "nature": "自然风光",
    "buildings": "建筑景观",
    "animals": "动物",
    "people": "人物",
    "unknown": "未知场景",
}
"""Kind -> its Chinese name."""


def kind_of(shares: Mapping[str, float], counts: Mapping[str, int]) -> SceneKind:
    """The kind of scene, by `RULES`.

    Args:
        shares: class name -> share of the picture's pixels, 0…1, as in `Scene.shares`.
        counts: class name -> number of regions, as from `Scene.counts`.

    Returns:
        its name, strength 0…1 and reasons, heaviest first; "unknown", with the strength of the nearest kind and no
        reasons, where none reaches `LEAST_STRENGTH`.
    """
    best = SceneKind("unknown", 0.0)
    for name, conditions in RULES.items():
        held = [condition for condition in conditions if _holds(condition, shares, counts)]
        if not any(not c.below for c in held) or any(c.needed and c not in held for c in conditions):
            continue
        strength = sum(c.weight for c in held) / sum(c.weight for c in conditions)
        if strength > best.strength + 1e-9:
            said = [_reason(c, shares, counts) for c in sorted(held, key=lambda c: -c.weight) if not c.below]
            reasons, reasons_zh = zip(*dict.fromkeys(said), strict=True)
            best = SceneKind(name, round(strength, 4), reasons, reasons_zh)
    return best if best.strength >= LEAST_STRENGTH else SceneKind("unknown", best.strength)


def _total(condition: Condition, shares: Mapping[str, float], counts: Mapping[str, int]) -> float:
    values = counts if condition.measure == "count" else shares
    total = sum(values[name] for name in condition.classes(values))
    if condition.measure == "labelled":
        return total / sum(shares.values()) if shares else 0.0
    return total


def _holds(condition: Condition, shares: Mapping[str, float], counts: Mapping[str, int]) -> bool:
    # Shares are quotients of pixel counts: 9 of 10 must not fail by the last bit.
    return (_total(condition, shares, counts) >= condition.bound - 1e-12) != condition.below


def _reason(condition: Condition, shares: Mapping[str, float], counts: Mapping[str, int]) -> tuple[str, str]:
    """In English and in Chinese."""
    values = counts if condition.measure == "count" else shares
    found = sorted(condition.classes(values), key=lambda name: -values[name])
    if condition.measure == "count":
        num = counts[found[0]]
        times = {1: "once", 2: "twice"}.get(num, f"{num:,} times")
        return f"{found[0]} occurs {times}", spaced(f"{name_zh(found[0])}出现 {num} 次")
    shown = found[:3]
    share = sum(shares[name] for name in shown)
    verb = "cover" if len(found) > 1 else "covers"
    return (
        f"{' and '.join(shown)} {verb} {percent(share)} of the picture",
        spaced(f"{'和'.join(name_zh(name) for name in shown)}占画面的 {percent(share, 'zh')}"),
    )
