"""The relation graph drawn over the photo: which region lies how to which, few enough edges to be read."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

import numpy as np

from segscape.drawing import FAINT, INK, PAPER, LegendEntry, above, font_for, font_size, legend, one_line
from segscape.errors import InputError
from segscape.scene.graph import PREDICATE_COLORS
from segscape.scene.graph_choice import chosen_relations
from segscape.scene.graph_layout import Box, Point, anchor, bend, free_spot
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene, SceneRegion

_SIDE_PX = (1200, 2000)  # the picture's longer side lies between: text needs room, and nobody looks at more at once
_LEAST_SHARE = 0.005  # of a region that has no relation, but a disc


def graph_picture(scene: Scene, *, predicates: Collection[str] | None = None, most_edges: int = 24) -> np.ndarray:
    """The regions as discs in the colours of their classes, the relations as arrows between them, a legend below.

    A disc lies inside its region and has an area that grows with it. The photo is dimmed; without it, the class colours
    are. Of the regions that no arrow reaches, those of at least 0.5 % have a small disc. An arrow runs from subject to
    object, in the relation's colour, thicker for stronger ones; a line without a head holds both ways; "between" is two
    dotted lines. Relations are said once (see `segscape.scene.graph.said_once`), and between two regions only the most
    telling one is drawn: rests on, is inside, is in front of or surrounds before near, touching and directions; things
    before stuff, above all for near; then the stronger one. Of directions, which every pair has, each region has at
    most one to each side, to one near by. Names are English, because PIL's own font has no Chinese letters.

    Args:
        scene: any.
        predicates: only these relations, of `PREDICATES`, each also standing for its inverse; None for all.
        most_edges: at most so many relations.

    Returns:
        (H', W', 3) uint8 RGB: the photo, its longer side scaled to 1200 … 2000 px, with the legend below.

    Raises:
        InputError: an unknown relation, or most_edges is below 0.
    """
    if most_edges < 0:
        raise InputError(f"most_edges must be at least 0, got {most_edges}")
    for name in predicates or ():
        if name not in PREDICATES:
            raise InputError(f"unknown relation {name!r}; there are {', '.join(PREDICATES)}")
    relations = chosen_relations(scene, predicates, most_edges)
    picture = _backdrop(scene)
    height, width = picture.shape[:2]
    scale = width / scene.size[1]
    linked = {end for r in relations for end in r.regions}
    nodes = [region for region in scene.regions if region.id in linked]
    nodes += [region for region in scene.regions if region.id not in linked and region.share >= _LEAST_SHARE]
    places = {region.id: anchor(region, scale) for region in nodes}
    radii = {region.id: _radius(region, height, width, region.id in linked) for region in nodes}

    for relation in sorted(relations, key=lambda r: r.strength):
        _draw_relation(picture, relation, places, radii, font_size(height, width))
    for region in nodes:
        _draw_disc(picture, places[region.id], radii[region.id], scene.label_set[region.label].color)
    picture = _with_names(picture, nodes, places, radii)

    counts = {name: sum(r.predicate == name for r in relations) for name in PREDICATES}
    entries = [
        LegendEntry(PREDICATE_COLORS[name], PREDICATES[name].words[0], str(count))
        for name, count in counts.items()
        if count
    ]
    return above(picture, legend(entries, height, width, empty="no relations"))


def _backdrop(scene: Scene) -> np.ndarray:
    """The dimmed photo under a tint of the class colours, or these alone, and the outlines: (H', W', 3) uint8."""
    import cv2

    height, width = scene.size
    factor = min(max(1.0, _SIDE_PX[0] / max(height, width)), _SIDE_PX[1] / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    colors = np.full((height, width, 3), 255, np.uint8)
    numbers = np.zeros((height, width), np.int32)
    for region in scene.regions:
        x0, y0, x1, y1 = region.box
        mask = region.mask.to_dense()
        colors[y0:y1, x0:x1][mask] = scene.label_set[region.label].color
        numbers[y0:y1, x0:x1][mask] = region.id
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    colors = cv2.resize(colors, size, interpolation=way)
    numbers = cv2.resize(numbers.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    white = np.full_like(colors, 255)
    if scene.image is None:
        picture = cv2.addWeighted(colors, 0.45, white, 0.55, 0)
    else:
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        photo = cv2.resize(scene.image.pixels, size, interpolation=way)
        grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        picture = cv2.addWeighted(cv2.addWeighted(photo, 0.45, grey, 0.55, 0), 0.6, white, 0.4, 0)
        picture = cv2.addWeighted(picture, 0.78, colors, 0.22, 0)
    line = np.zeros(picture.shape[:2], bool)
    line[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    line[1:] |= numbers[1:] != numbers[:-1]
    picture[line] = picture[line] // 2 + 127
    return picture


def _radius(region: SceneRegion, height: int, width: int, linked: bool) -> float:
    unit = (height * width) ** 0.5
    return unit * (0.006 + 0.035 * region.share**0.5 if linked else 0.004)


def _draw_disc(picture: np.ndarray, place: Point, radius: float, color: tuple[int, int, int]) -> None:
    _circle(picture, place, radius + max(2.0, radius * 0.16), PAPER)
    _circle(picture, place, radius + max(0.5, radius * 0.04), INK)
    _circle(picture, place, radius, color)


def _draw_relation(
    picture: np.ndarray, relation: Relation, places: dict[int, Point], radii: dict[int, float], font_px: int
) -> None:
    color = PREDICATE_COLORS[relation.predicate]
    thickness = font_px * (0.07 + 0.1 * relation.strength)
    for end in relation.regions[1:]:
        head = 0.0 if PREDICATES[relation.predicate].symmetric or relation.other is not None else font_px * 0.75
        gaps = radii[relation.subject] + 2, radii[end] + 2
        curve = bend(places[relation.subject], places[end], *gaps)
        if curve is None:
            continue
        for extra, ink in ((max(1.5, thickness * 0.7), PAPER), (0.0, color)):
            _stroke(picture, curve, thickness + 2 * extra, ink, dotted=relation.other is not None)
            if head:
                _head(picture, curve, head + 2 * extra, ink, extra)


_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel


def _fixed(points: np.ndarray) -> np.ndarray:
    # Pixel (x, y) is the square (x, y)–(x + 1, y + 1) for us; for OpenCV its centre is (x, y).
    return np.round((points - 0.5) * 2**_SHIFT).astype(np.int32)


def _circle(picture: np.ndarray, place: Point, radius: float, color: tuple[int, int, int]) -> None:
    import cv2

    x, y = _fixed(np.array(place)).tolist()
    cv2.circle(picture, (x, y), round(radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)


def _stroke(picture: np.ndarray, curve: np.ndarray, thickness: float, color: Any, dotted: bool) -> None:
    import cv2

    points = _fixed(curve)
    pieces = [pair for i, pair in enumerate(pairwise(points)) if i % 3 < 2] if dotted else [points]
    for piece in pieces:
        cv2.polylines(picture, [np.array(piece)], False, color, max(1, round(thickness)), cv2.LINE_AA, _SHIFT)


def _head(picture: np.ndarray, curve: np.ndarray, size: float, color: Any, extra: float) -> None:
    """A triangle whose tip is the end of the curve, or ``extra`` px beyond it."""
    import cv2

    along = curve[-1] - curve[-4]
    along = along / max(1e-6, float(np.hypot(*along)))
    across = np.array([-along[1], along[0]])
    tip = curve[-1] + along * extra * 1.5
    corners = np.stack([tip, tip - along * size + across * size * 0.42, tip - along * size - across * size * 0.42])
    cv2.fillPoly(picture, [_fixed(corners)], color, cv2.LINE_AA, _SHIFT)


def _with_names(
    picture: np.ndarray, nodes: list[SceneRegion], places: dict[int, Point], radii: dict[int, float]
) -> np.ndarray:
    """The picture with a name beside each disc, largest first, as far as they find room."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    size_px = max(12, round(font_size(height, width) * 0.62))
    font, pad = font_for(size_px, (region.name for region in nodes)), size_px * 0.3
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas, "RGBA")
    taken: list[Box] = [
        (places[n][0] - r, places[n][1] - r, places[n][0] + r, places[n][1] + r) for n, r in radii.items()
    ]
    for region in nodes:
        name = one_line(region.name)
        number = f" {region.id}"
        wide = font.getlength(name + number) + 2 * pad
        box = free_spot(places[region.id], radii[region.id], (wide, size_px * 1.5), (width, height), taken)
        if box is None:
            continue
        taken.append(box)
        (x, y), radius = places[region.id], radii[region.id]
        touch = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        if np.hypot(touch[0] - x, touch[1] - y) > radius + size_px * 0.6:
            draw.line((x, y, *touch), fill=INK, width=1)  # a name that had to move away says where it belongs
        draw.rounded_rectangle(box, size_px * 0.35, fill=(*PAPER, 215))
        y = (box[1] + box[3]) / 2
        draw.text((box[0] + pad, y), name, font=font, fill=INK, anchor="lm")
        draw.text((box[0] + pad + font.getlength(name), y), number, font=font, fill=FAINT, anchor="lm")
    return np.array(canvas)
