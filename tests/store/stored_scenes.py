"""Scenes for tests of the store: made of what a query can ask for, with tiny masks."""

import numpy as np

from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import PLACES, Relation, Scene, SceneKind, SceneRegion

LABELS = LabelSet(
    "stored",
    (
        Label("road", (128, 64, 128), "道路"),
        Label("car", (0, 0, 142), "汽车", True),
        Label("traffic light", (250, 170, 30), "红绿灯", True),
        Label('left of "x"', (220, 20, 60), "", True),
    ),
)
SIZE = (12, 16)


def region(number, label, **measures):
    """Region ``number`` of class ``label``: 2 × 2 px at (number, number), everything else as given."""
    box = (number, number, number + 2, number + 2)
    options = {
        "single": False,
        "area_px": 4,
        "share": 4 / (SIZE[0] * SIZE[1]),
        "centroid": (number + 1.0, number + 1.0),
        "orientation_deg": 0.0,
        "elongation": 1.0,
        "perimeter_px": 8.0,
        "border_px": 8,
        "solidity": 1.0,
        "parts": 1,
        "holes": 0,
        "place": "centre",
        "frame": (),
        "nearness": None,
        "confidence": None,
        "color": (255, 0, 0),
        "color_name": "red",
    } | measures
    mask = RunLengths.from_dense(np.ones((2, 2), bool))
    return SceneRegion(number, label, LABELS[label].name, box=box, mask=mask, **options)


def scene(labels="", relations=(), source="photo.jpg", kind="street", model="street@1", label_set=LABELS, **measures):
    """A scene of regions given by the first letters of their classes, e.g. "rcc" (road, car, car), and relations, e.g.
    (2, "on", 1)."""
    letters = [label.name[0] for label in LABELS]
    regions = tuple(
        region(i, letters.index(letter), **{name: values[i - 1] for name, values in measures.items()})
        for i, letter in enumerate(labels, 1)
    )
    shares = {}
    for r in regions:
        shares[r.name] = shares.get(r.name, 0.0) + r.share
    return Scene(
        size=SIZE,
        label_set=label_set,
        regions=regions,
        relations=tuple(Relation(s, p, o, 0.5, {"gap_px": 1.5}, *other) for s, p, o, *other in relations),
        layout={},
        shares=shares,
        kind=SceneKind(kind, 0.8, ("road covers 27 % of the picture",)),
        single_objects=False,
        source=source,
        model=model,
    )


def random_scene(rng, source):
    """Regions and relations without rhyme or reason, of values that occur more than once."""
    n = int(rng.integers(0, 7))

    def pick(values):
        return [values[i] for i in rng.integers(0, len(values), n)]

    made = scene(
        "".join(pick("rctl")),
        source=source,
        kind=["street", "indoor"][rng.integers(2)],
        share=pick([0.0, 0.05, 0.25, 0.5]),
        place=pick(PLACES),
        frame=pick([(), ("left",), ("left", "top"), ("bottom",)]),
        nearness=pick([None, 0.0, 0.3, 0.75]),
        confidence=pick([None, 0.25, 0.75]),
        color_name=pick([None, "red", "blue"]),
        holes=pick([0, 1, 2]),
    )
    relations = {}
    for _ in range(int(rng.integers(0, 20)) if n > 1 else 0):
        subject, obj, other = (int(i) for i in rng.integers(1, n + 1, 3))
        predicate = list(PREDICATES)[rng.integers(len(PREDICATES))]
        if subject == obj or (predicate == "between" and (other in (subject, obj) or other < obj)):
            continue
        third = other if predicate == "between" else None
        strength = [0.2, 0.5, 0.9][rng.integers(3)]
        relations[subject, predicate, obj, third] = Relation(subject, predicate, obj, strength, {}, third)
    return Scene(**{name: getattr(made, name) for name in Scene.__slots__} | {"relations": tuple(relations.values())})
