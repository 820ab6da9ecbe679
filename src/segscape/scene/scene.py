"""A scene: regions with what was measured of them, how they lie to one another, and what follows for the picture."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.masks import RunLengths
from segscape.scene.predicates import PREDICATES, predicate_called

if TYPE_CHECKING:
    import networkx

    from segscape.image import Image
    from segscape.scene.clauses import Description
    from segscape.scene.diff import Difference

PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "centre",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
"""The nine cells of the picture, row by row; each a third of its width and height."""
SIDES = ("left", "top", "right", "bottom")
HORIZON_SHARE = 0.005
"""Of the image, that a piece of ground must cover to say where the horizon is."""


@dataclass(frozen=True, slots=True)
class SceneRegion:
    """One connected piece of a class, or one object, and what was measured of it.

    Lengths are in pixels of the image; x to the right, y down, pixel (x, y) being the square (x, y)–(x + 1, y + 1).

    Attributes:
        id: 1, 2, 3, … by falling area, then by the top and the left of the box.
        label: class id in the scene's label set.
        name: the class's English name.
        single: whether it is one object that a model told apart; if not, a connected piece of its class.
        area_px: number of pixels.
        share: of the image's pixels, 0…1.
        box: (x0, y0, x1, y1), half-open.
        centroid: (x, y), the mean of its pixels' centres.
        orientation_deg: direction of its longer axis against the x axis, −90 < … ≤ 90, counter-clockwise as seen; 0 for
            a region without a longer axis.
        elongation: length of the longer axis over that of the shorter one, ≥ 1 (from second moments, each pixel a
            unit square).
        perimeter_px: length of the outline, by the Cauchy–Crofton formula in four directions.
        border_px: number of pixel edges between it and anything else, the image's frame included.
        solidity: area over that of the convex hull of its pixels' squares, 0 < … ≤ 1.
        parts: number of 8-connected pieces.
        holes: number of holes.
        place: one of `PLACES`, the cell of its centroid.
        frame: the sides of the image that it touches, of `SIDES`.
        nearness: 0…1 for what stands on visible ground: (bottom − horizon) / (height − horizon), the horizon being the
            top of the ground; on level ground the distance to the viewer goes with its inverse. None without ground.
        confidence: 0…1, mean over its pixels, or the detector's score; None when there is none.
        color: mean RGB, 0…255 each; None without the photo.
        color_name: its English name, one of `segscape.scene.colors.COLOR_NAMES`; None without the photo.
        mask: run lengths cropped to ``box``.
    """

    id: int
    label: int
    name: str
    single: bool
    area_px: int
    share: float
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    orientation_deg: float
    elongation: float
    perimeter_px: float
    border_px: int
    solidity: float
    parts: int
    holes: int
    place: str
    frame: tuple[str, ...]
    nearness: float | None
    confidence: float | None
    color: tuple[int, int, int] | None
    color_name: str | None
    mask: RunLengths

    @property
    def distance(self) -> str | None:
        """ "near", "middle" or "far" by nearness; None without ground.

        From 1/2 on it is near: at most twice as far as the nearest ground in view; below 1/5, over five times as far,
        it is far.
        """
        if self.nearness is None:
            return None
        return "near" if self.nearness >= 0.5 else "far" if self.nearness < 0.2 else "middle"


@dataclass(frozen=True, slots=True)
class Relation:
    """Subject, predicate, object, and what says so. `segscape.scene.relations` defines each.

    Attributes:
        subject, object: ids of regions.
        predicate: one of `PREDICATES`.
        strength: 0…1.
        evidence: what it was measured from, by name, e.g. {"border_px": 34, "gap_px": 0.0}.
        other: the third region of "between" (subject between object and other), else None.
    """

    subject: int
    predicate: str
    object: int
    strength: float
    evidence: Mapping[str, float] = field(default_factory=dict)
    other: int | None = None

    def __post_init__(self) -> None:
        if self.predicate not in PREDICATES:
            raise InputError(f"unknown relation {self.predicate!r}; there are {', '.join(PREDICATES)}")
        if not 0 <= self.strength <= 1:
            raise InputError(f"{self.subject} {self.predicate} {self.object}: strength {self.strength} not in 0…1")
        if (self.other is None) != (self.predicate != "between"):
            raise InputError(f"relation {self.subject} {self.predicate}: a third region goes with 'between' alone")

    @property
    def regions(self) -> tuple[int, ...]:
        """Ids of its two or three regions, the subject first."""
        return (self.subject, self.object) if self.other is None else (self.subject, self.object, self.other)


@dataclass(frozen=True, slots=True)
class SceneKind:
    """What sort of scene it is, by the stated rules of `segscape.scene.kind`.

    Attributes:
        name: "street", "indoor", "microscopy", … or "unknown".
        strength: 0…1, the share of the rule's conditions that hold, weighted.
        reasons: what spoke for it, in words, each with its number: "road covers 27% of the picture".
        reasons_zh: the same in Chinese.
    """

    name: str
    strength: float
    reasons: tuple[str, ...] = ()
    reasons_zh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is in one image, where, and how it hangs together.

    Attributes:
        size: (height, width) of the image in pixels.
        label_set: what class ids mean.
        regions: by falling area; ids are 1…N. They do not overlap.
        relations: in both directions where a relation has an inverse; the strongest ones for each region.
        layout: place (of `PLACES`) -> class name -> share of that cell's pixels, largest first.
        shares: class name -> share of the image's pixels, largest first; what has no class is left out.
        kind: what sort of scene it is.
        single_objects: whether regions of things are single objects.
        source: the image's path, or "<array>".
        model: name and hash of the model.
        image: the photo, if it was kept.
    """

    size: tuple[int, int]
    label_set: LabelSet
    regions: tuple[SceneRegion, ...]
    relations: tuple[Relation, ...]
    layout: Mapping[str, Mapping[str, float]]
    shares: Mapping[str, float]
    kind: SceneKind
    single_objects: bool
    source: str = "<array>"
    model: str = ""
    image: Image | None = None

    def region(self, number: int) -> SceneRegion:
        """The region of id ``number``.

        Raises:
            InputError: there is none.
        """
        if isinstance(number, bool) or not 1 <= (number := operator.index(number)) <= len(self.regions):
            raise InputError(f"scene of {self.source!r} has regions 1…{len(self.regions)}, not {number}")
        return self.regions[number - 1]

    def counts(self) -> dict[str, int]:
        """Number of regions of each class that occurs, most first."""
        return dict(Counter(region.name for region in self.regions).most_common())

    def related(self, predicate: str | None = None, *, subject: int | None = None) -> Iterator[Relation]:
        """The relations of one predicate, or of one subject, or all."""
        return (
            relation
            for relation in self.relations
            if predicate in (None, relation.predicate) and subject in (None, relation.subject)
        )

    def find(self, name: str | None = None, **relations: str | int) -> list[SceneRegion]:
        """Regions of a class that lie so to others: ``find("car", touching="road", left_of=7)``.

        Args:
            name: English or Chinese name of the class; None for any.
            relations: words for a relation (see `PREDICATES`, with _ for spaces) -> the class or the id of the other
                region; all must hold. ``between`` means either of its two.

        Returns:
            regions by falling area.

        Raises:
            InputError: the class, the relation or the id is unknown.
        """
        label = None if name is None else self._label(name)
        found = {region.id for region in self.regions if label in (None, region.label)}
        for words, wanted in relations.items():
            predicate = predicate_called(words)
            if predicate is None:
                known = ", ".join(p.words[0].replace(" ", "_") for p in PREDICATES.values())
                raise InputError(f"find knows no relation {words!r}; it knows {known}")
            others = self._of_label(self._label(wanted)) if isinstance(wanted, str) else {self.region(wanted).id}
            found &= {r.subject for r in self.related(predicate) if r.object in others or r.other in others}
        return [region for region in self.regions if region.id in found]

    def _label(self, name: str) -> int:
        for number, label in enumerate(self.label_set):
            if name in (label.name, label.zh):
                return number
        raise InputError(f"label set {self.label_set.name!r} has no {name!r}; it has {', '.join(self.label_set.names)}")

    def _of_label(self, label: int) -> set[int]:
        return {region.id for region in self.regions if region.label == label}

    def describe(self, lang: str = "en", length: str = "normal", *, cite: bool = False) -> Description:
        """The scene in sentences; see `segscape.scene.describe.describe`."""
        from segscape.scene.describe import describe

        return describe(self, lang, length, cite=cite)

    def diff(self, other: Scene) -> Difference:
        """What is otherwise in ``other``, taken as later; see `segscape.scene.diff.diff`."""
        from segscape.scene.diff import diff

        return diff(self, other)

    def graph(self) -> networkx.MultiDiGraph:
        """Regions as nodes, relations as edges; see `segscape.scene.graph.to_networkx`."""
        from segscape.scene.graph import to_networkx

        return to_networkx(self)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, by the published schema; see `segscape.scene.document`."""
        from segscape.scene.document import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Scene:
        """Read what `to_dict` wrote; see `segscape.scene.document`."""
        from segscape.scene.document import from_dict

        return from_dict(document)
