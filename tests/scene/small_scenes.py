"""Tiny scenes from label maps, for tests of what is made from scenes; masks are real, other measures only plausible."""

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

from segscape.labels import Label, LabelSet
from segscape.masks import crop_to_box
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import PLACES, SIDES, Relation, Scene, SceneKind, SceneRegion

LABELS = LabelSet(
    "small",
    (
        Label("sky", (70, 130, 180), "天空"),
        Label("road", (128, 64, 128), "道路"),
        Label("car", (0, 0, 142), "汽车", thing=True),
        Label('a "b"\n<c> & \x01\\N 行人', (220, 20, 60), "", thing=True),
    ),
)


def small_scene(label_map, relations=(), labels=LABELS, vary=0.5, **fields):
    """A scene of the 8-connected pieces of each class in rows of class ids; -1 is no class. ``vary`` in 0…1 varies the
    measures that are made up."""
    label_map = np.array(label_map)
    pieces = []
    for label in range(len(labels)):
        numbers, count = ndimage.label(label_map == label, np.ones((3, 3)))
        pieces += [(label, *crop_to_box(numbers == i)) for i in range(1, count + 1)]
    pieces.sort(key=lambda p: (-p[2].area, p[1][1], p[1][0]))
    size = label_map.shape
    regions = tuple(_region(i, *piece, size, labels, vary) for i, piece in enumerate(pieces, 1))
    shares = {labels[i].name: float((label_map == i).mean()) for i in np.unique(label_map[label_map >= 0])}
    shares = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    options = {
        "layout": {"top left": shares, "centre": {}},
        "kind": SceneKind("street", vary, ("road covers 27% of the picture",), ("道路占画面的 27%",)),
        "single_objects": vary > 0.5,
        "source": "photos/a b.jpg",
        "model": "street@3fa9c1d2",
    } | fields
    return Scene(size, labels, regions, tuple(relations), shares=shares, **options)


def _region(number, label, box, mask, size, labels, vary):
    y, x = np.nonzero(mask.to_dense())
    cx, cy = float(x.mean() + 0.5 + box[0]), float(y.mean() + 0.5 + box[1])
    color = (int(vary * 255), 3, 255)
    return SceneRegion(
        id=number,
        label=label,
        name=labels[label].name,
        single=labels[label].thing and vary > 0.5,
        area_px=mask.area,
        share=mask.area / (size[0] * size[1]),
        box=box,
        centroid=(cx, cy),
        orientation_deg=vary * 179 - 89,
        elongation=1 + vary / 3,
        perimeter_px=mask.area * 1.1,
        border_px=mask.area * 4,
        solidity=1 - vary / 2,
        parts=1,
        holes=int(vary * 3),
        place=PLACES[int(cy * 3 // size[0]) * 3 + int(cx * 3 // size[1])],
        frame=tuple(SIDES[i] for i in range(4) if box[i] == (0, 0, size[1], size[0])[i]),
        nearness=None if label == 0 else vary,
        confidence=None if number % 2 else vary / 3,
        color=None if number % 3 == 0 else color,
        color_name=None if number % 3 == 0 else "red",
        mask=mask,
    )


@st.composite
def scenes(draw, max_side=7, shape=None):
    """Random scenes with random relations, each with its inverse."""
    height, width = shape or (draw(st.integers(1, max_side)), draw(st.integers(1, max_side)))
    values = draw(st.lists(st.integers(-1, len(LABELS) - 1), min_size=height * width, max_size=height * width))
    label_map = np.array(values).reshape(height, width)
    count = len(small_scene(label_map).regions)
    relations = {}
    for _ in range(draw(st.integers(0, 6)) if count > 2 else 0):
        predicate = draw(st.sampled_from(sorted(PREDICATES)))
        a, b, c = draw(st.permutations(range(1, count + 1)))[:3]
        strength = draw(st.floats(0, 1))
        evidence = draw(st.dictionaries(st.sampled_from(["border_px", "gap_px"]), st.floats(-1e9, 1e9)))
        if predicate == "between":
            relations[a, predicate, min(b, c), max(b, c)] = strength, evidence
        else:
            for s, p, o in ((a, predicate, b), (b, PREDICATES[predicate].inverse, a)):
                relations[s, p, o, None] = strength, evidence
    found = [Relation(s, p, o, strength, e, other) for (s, p, o, other), (strength, e) in relations.items()]
    return small_scene(label_map, found, vary=draw(st.floats(0, 1)))
