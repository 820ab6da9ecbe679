"""What a page shows of one scene, ready for its template."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segscape.evaluate.page import data_uri
from segscape.labels import Label
from segscape.masks import RunLengths
from segscape.report.outlines import UNITS, anchor, fitted_size, shrunk, svg_path
from segscape.report.relation_lines import FAMILIES, Node, Shown, line, one_way, shown_relations
from segscape.report.words import EVIDENCE
from segscape.scene.clauses import Description
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Scene, SceneRegion
from segscape.text import printable

LONGEST_PX = 960
MOST_ROWS = 300
_UNITS = {"px": " px", "deg": "°"}


@dataclass(frozen=True, slots=True)
class ClassGroup:
    """The regions of a class in the picture.

    Attributes:
        label: the class.
        share: of the image, 0…1.
        count: number of regions.
        paths: (region id, or None for all unlisted ones together; ``d`` of its SVG path).
    """

    label: Label
    share: float
    count: int
    paths: tuple[tuple[int | None, str], ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A relation in table and graph: ``paths`` are line and arrowhead, ``evidence`` what it was measured from, in
    English and Chinese."""

    shown: Shown
    paths: tuple[tuple[str, str], ...]
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One scene on a page.

    Attributes:
        number: 1, 2, 3, … on the page.
        source, name: where its image is and the last part of that, printable.
        size: (height, width) of the picture shown.
        photo: data URI of the photo, or "".
        groups: classes by falling share.
        rows: regions in the table.
        num_related: region id -> number of relations it is the subject of.
        nodes: region id -> disc in the graph.
        edges: relations, the most telling first.
        predicates: predicate -> number of relations, of which ``edges`` are the strongest.
        num_relations: of all predicates; a relation and its inverse are one.
        descriptions: language -> length -> sentences.
    """

    number: int
    source: str
    size: tuple[int, int]
    photo: str
    groups: tuple[ClassGroup, ...]
    rows: tuple[SceneRegion, ...]
    num_related: Counter[int]
    nodes: dict[int, Node]
    edges: tuple[Edge, ...]
    predicates: dict[str, int]
    num_relations: int
    descriptions: dict[str, dict[str, Description]]

    @property
    def name(self) -> str:
        """What the image is called."""
        return self.source.rstrip("/").rpartition("/")[2] or self.source

    @property
    def view_box(self) -> str:
        """Of the SVG over the photo."""
        return f"0 0 {UNITS * self.size[1]} {UNITS * self.size[0]}"

    @property
    def font_size(self) -> float:
        """Of names in the graph, in the SVG's units."""
        return _font_size(self.size)

    @property
    def has_distance(self) -> bool:
        """Whether anything stands on visible ground."""
        return any(region.nearness is not None for region in self.rows)

    @property
    def has_confidence(self) -> bool:
        """Whether the model said how sure it was."""
        return any(region.confidence is not None for region in self.rows)

    def predicates_of(self, region: int) -> list[str]:
        """Predicates of the edges that a node has."""
        mine = [edge.shown for edge in self.edges if region in edge.shown.relation.regions]
        return sorted({shown.relation.predicate for shown in mine} | {"telling" for shown in mine if shown.telling})


def make_panel(number: int, scene: Scene, descriptions: dict[str, dict[str, Description]]) -> Panel:
    """Measure and draw what the page shows of ``scene``."""
    size = fitted_size(scene.size, LONGEST_PX)
    masks = {region.id: shrunk(region.mask, region.box, scene.size, size) for region in scene.regions}
    all_relations = one_way(scene)
    relations = shown_relations(scene, all_relations)
    totals = Counter(relation.predicate for relation in all_relations)
    nodes = _nodes(scene, sorted({i for shown in relations for i in shown.relation.regions}), masks, size)
    return Panel(
        number=number,
        source=printable(scene.source),
        size=size,
        photo=_photo(scene, size),
        groups=_groups(scene, masks, size),
        rows=scene.regions[:MOST_ROWS],
        num_related=Counter(relation.subject for relation in scene.relations),
        nodes=nodes,
        edges=tuple(_edge(shown, nodes) for shown in relations),
        predicates={name: totals[name] for name in FAMILIES if totals[name]},
        num_relations=len(all_relations),
        descriptions=descriptions,
    )


def _photo(scene: Scene, size: tuple[int, int]) -> str:
    if scene.image is None:
        return ""
    import cv2

    pixels = scene.image.pixels
    if pixels.shape[:2] != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    # Smaller than `encode` of segscape.evaluate.page: the page holds many, and the overlay is not in the picture.
    _, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data_uri(content.tobytes(), "jpeg")


def _groups(scene: Scene, masks: dict[int, RunLengths], size: tuple[int, int]) -> tuple[ClassGroup, ...]:
    listed: dict[int, list[tuple[int | None, str]]] = defaultdict(list)
    rest: dict[int, list[str]] = defaultdict(list)
    counts = Counter(region.label for region in scene.regions)
    for region in scene.regions:
        path = svg_path(masks[region.id]) or _speck(region, scene.size, size)
        if region.id <= MOST_ROWS:
            listed[region.label].append((region.id, path))
        else:
            rest[region.label].append(path)
    groups = []
    for label in sorted(counts, key=lambda label: -scene.shares[scene.label_set[label].name]):
        others = [(None, "".join(rest[label]))] if rest[label] else []
        name = scene.label_set[label].name
        groups.append(ClassGroup(scene.label_set[label], scene.shares[name], counts[label], (*listed[label], *others)))
    return tuple(groups)


def _speck(region: SceneRegion, size: tuple[int, int], shown: tuple[int, int]) -> str:
    """A pixel for a region too small for the size shown."""
    x, y = (int(c * part / whole) for c, part, whole in zip(region.centroid, shown[::-1], size[::-1], strict=True))
    return f"M{UNITS * x} {UNITS * y}h{UNITS}v{UNITS}h-{UNITS}z"


def _nodes(scene: Scene, ids: Sequence[int], masks: dict[int, RunLengths], size: tuple[int, int]) -> dict[int, Node]:
    """A disc for each region, larger for larger ones; names go to the largest regions first, as far as they fit."""
    scale = size[1] / scene.size[1], size[0] / scene.size[0]
    nodes: dict[int, Node] = {}
    taken: list[tuple[float, float]] = []
    line_height = _font_size(size)
    for i in ids:
        region = scene.region(i)
        x, y = region.centroid[0] * scale[0], region.centroid[1] * scale[1]
        if masks[i].area:
            x, y = anchor(masks[i], (x, y))
        x, y = UNITS * x, UNITS * y
        radius = UNITS * max(size) * (0.008 + 0.018 * min(1.0, region.share / 0.2) ** 0.5)
        top = y - radius
        named = all(abs(x - tx) > 5 * line_height or abs(top - ty) > 1.1 * line_height for tx, ty in taken)
        if named:
            taken.append((x, top))
        align = "start" if x < 3 * line_height else "end" if x > UNITS * size[1] - 3 * line_height else "middle"
        nodes[i] = Node(x, y, radius, named, align)
    return nodes


def _font_size(size: tuple[int, int]) -> float:
    return UNITS * 0.024 * max(size)


def _edge(shown: Shown, nodes: dict[int, Node]) -> Edge:
    relation = shown.relation
    start, end = nodes[relation.subject], nodes[relation.object]
    if relation.other is not None:
        paths = (line(start, end, False), line(start, nodes[relation.other], False))
    else:
        paths = (line(start, end, not PREDICATES[relation.predicate].symmetric),)
    return Edge(shown, paths, tuple(_measured(name, value) for name, value in relation.evidence.items()))


def _measured(name: str, value: float) -> tuple[str, str]:
    """ "border 34 px" for "border_px": 34.0, in English and Chinese."""
    stem, _, unit = name.rpartition("_")
    if unit not in _UNITS:
        stem, unit = name, ""
    measured = f"{_number(value)}{_UNITS.get(unit, '')}"
    return f"{stem.replace('_', ' ')} {measured}", f"{EVIDENCE.get(name, stem.replace('_', ' '))} {measured}"


def _number(value: float) -> str:
    value += 0.0  # −0 is 0
    return (f"{value:.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2g}").replace("-", "−")


def percent(share: float) -> str:
    """A share in percent with two digits that count: "27%", "3.1%", "0.04%"; never 0 or 100 if it is not."""
    value = 100 * share
    if value == 0 or value == 100:
        return f"{value:.0f}%"
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    low = 10.0**-digits
    return f"{min(max(value, low), 100 - 0.1):.{digits if value < 99.5 else 1}f}%"
