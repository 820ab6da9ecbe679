"""English: noun phrases, places and references for the sentences about a scene."""

from __future__ import annotations

from collections.abc import Sequence

from segscape.scene import vocabulary
from segscape.scene.say_parts import number
from segscape.scene.say_plan import Register, column, is_thing, spans
from segscape.scene.scene import Scene, SceneRegion

PLACES = {
    "top left": "at the top left",
    "top": "at the top",
    "top right": "at the top right",
    "left": "on the left",
    "centre": "in the centre",
    "right": "on the right",
    "bottom left": "at the bottom left",
    "bottom": "at the bottom",
    "bottom right": "at the bottom right",
}
_SPANS = {
    "all": "across the picture",
    "top": "along the top",
    "middle": "across the middle",
    "bottom": "along the bottom",
}
_ROAD = {
    ("left", "near"): "close by on the left",
    ("middle", "near"): "close ahead",
    ("right", "near"): "close by on the right",
    ("left", "middle"): "on the left",
    ("middle", "middle"): "ahead",
    ("right", "middle"): "on the right",
    ("left", "far"): "far off on the left",
    ("middle", "far"): "far ahead",
    ("right", "far"): "far off on the right",
}
_SIDES = {"left": "mostly on the left", "right": "mostly on the right", "both": "on both sides"}
_LIES = {
    "on": "on {0}",
    "seen_above": "seen above {0}",
    "inside": "within the outline of {0}",
    "in_front_of": "in front of {0}",
    "between": "between {0} and {1}",
    "surrounded_by": "surrounded by {0}",
    "touches": "right next to {0}",
    "near": "near {0}",
    "left_of": "left of {0}",
    "above": "above {0}",
}
_ORDINALS = ("", "second-", "third-", "fourth-", "fifth-", "sixth-", "seventh-", "eighth-", "ninth-", "tenth-")
KINDS = {
    "street": "A street",
    "indoor": "An indoor scene",
    "meal": "A meal",
    "sports": "A sports scene",
    "waterside": "A waterside scene",
    "nature": "A landscape",
    "buildings": "A view of buildings",
}


class English:
    """How the regions of one scene are called in English."""

    lang = "en"

    def __init__(self, scene: Scene, *, road: bool = False) -> None:
        """``road``: places are said as a driver would, "far ahead", not as parts of the picture."""
        self._scene = scene
        self.road = road
        self.register = Register(scene, self.where)

    def percent(self, share: float) -> str:
        """ "27%" """
        return vocabulary.percent(share)

    def px(self, area: float) -> str:
        """ "1,240 px", one decimal below ten where it is not whole."""
        return f"{number(area)} px"

    def number(self, count: int) -> str:
        """ "three", "13"."""
        return vocabulary.number_en(count)

    def class_name(self, name: str) -> str:
        """The class as such, in lists of classes: "car", "pair of skis"."""
        return vocabulary.name_en(name)

    def stuff(self, name: str, *, known: bool = False) -> str:
        """A class as what covers the picture: "the road", "grass", "buildings", but of things, and of what the reader
        was told of one by one (``known``), "the two cars"."""
        if known or self._scene.label_set[self._scene.label_set.index(name)].thing:
            return self.all_of([region for region in self._scene.regions if region.name == name])
        return f"the {vocabulary.name_en(name)}" if vocabulary.word_of(name).form == "unique" else self._kind_of(name)

    def takes_plural(self, name: str, *, known: bool = False) -> bool:
        """Whether the verb after `stuff` is plural: "buildings take", "grass takes", "the car takes"."""
        if known or self._scene.label_set[self._scene.label_set.index(name)].thing:
            return sum(region.name == name for region in self._scene.regions) > 1
        return vocabulary.word_of(name).form in ("count", "pair", "plural")

    def group(self, regions: Sequence[SceneRegion], *, again: bool = False) -> str:
        """Regions of one class, new to the reader: "three cars", "a car"; where objects are not told apart "cars in
        three places", and ``again`` in the same list "pedestrians in two"."""
        name = regions[0].name
        if len(regions) == 1:
            return vocabulary.with_article(name)
        if all(region.single for region in regions):
            return vocabulary.counted_en(len(regions), name)
        return f"{self._kind_of(name)} in {vocabulary.number_en(len(regions))}{'' if again else ' places'}"

    def all_of(self, regions: Sequence[SceneRegion]) -> str:
        """All regions of a class, known to the reader: "the three cars", "the cars", "the car"."""
        if len(regions) > 1 and all(region.single for region in regions):
            return f"the {self.group(regions)}"
        return f"the {self._kind_of(regions[0].name) if len(regions) > 1 else vocabulary.name_en(regions[0].name)}"

    def _kind_of(self, name: str) -> str:
        form = vocabulary.word_of(name).form
        return vocabulary.name_en(name) if form in ("mass", "unique", "name") else vocabulary.plural(name)

    def where(self, region: SceneRegion) -> str:
        """Its place in the picture, or for a driver its side and distance."""
        if self.road:
            side, distance = column(region), region.distance
            return _ROAD[side, distance or "middle"]
        return _SPANS.get(spans(region, self._scene.size)) or PLACES[region.place]

    def side(self, side: str) -> str:
        """Where most of a class lies, by `say_plan.side_of`."""
        return _SIDES[side]

    def ref(self, region: SceneRegion) -> str:
        """The region, told from others of its class: "the car", "the car on the right", "the second-largest car"; of
        what cannot be counted "a patch of sky"."""
        name = vocabulary.name_en(region.name)
        if self.register.alone(region):
            return f"the {name}"
        if self.register.alone_there(region):
            return f"the {name} {self.where(region)}"
        rank, piece = self.register.rank(region), vocabulary.piece_en(region.name)
        if piece == name and rank < len(_ORDINALS):
            return f"the {_ORDINALS[rank]}largest {name}"
        return vocabulary.with_article(region.name) if piece == name else f"{vocabulary.article(piece)} {piece}"

    def another(self, region: SceneRegion) -> str:
        """One more of its class at the same place: "another car on the left"."""
        return f"another {vocabulary.piece_en(region.name)} {self.where(region)}"

    def ref_stuff(self, region: SceneRegion) -> str:
        """A region that others stand on or by: "the pavement", "a building", "grass"."""
        known = self.register.known(region) and is_thing(self._scene, region)
        if known or self._scene.label_set[region.label].thing or self.register.alone(region):
            return self.ref(region)
        return vocabulary.with_article(region.name)

    def relation(self, predicate: str, subject: str, *objects: str, plural: bool, every: bool) -> str:
        """ "the cup is on the table"; ``every`` makes no difference in English."""
        return f"{subject} {'are' if plural else 'is'} {_LIES[predicate].format(*objects)}"

    def color(self, name: str) -> str:
        """The name of a colour."""
        return name
