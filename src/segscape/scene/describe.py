"""A scene in sentences, English or Chinese, from a small grammar: every clause says what it was made from."""

from __future__ import annotations

from segscape.errors import ConfigError
from segscape.scene.clauses import Description
from segscape.scene.say_en import English
from segscape.scene.say_general import general, nothing
from segscape.scene.say_micro import is_micrograph, lab_note
from segscape.scene.say_street import street
from segscape.scene.say_zh import Chinese
from segscape.scene.scene import Scene

_GRAMMARS = {"en": English, "zh": Chinese}
LENGTHS = ("short", "normal", "full")


def describe(scene: Scene, lang: str = "en", length: str = "normal", *, cite: bool = False) -> Description:
    """``scene`` in sentences: a street as a driver's glance takes it in, a micrograph as a lab note, others in general.

    Nothing is invented: each clause carries the ids of its regions and the numbers it states or was chosen by, called

    - ``count(car)``: regions of the class. Where a model does not tell objects apart these are connected pieces, said
      as "cars in three places", since touching objects are one piece.
    - ``share(road)``, ``share(#4)``: of the picture's pixels; ``share(road,left)``: of the class's pixels those in the
      left (middle, right) third; ``share(road,ahead)``: of the way ahead, up to what is met on it
      (`segscape.scene.say_way.Way`); ``share(none)``: without a class.
    - ``nearness(#4)``: as in `SceneRegion`; ``ahead(#4)``: nearness of the row where the way ahead meets it
      (`segscape.scene.say_way.way_ahead`).
    - ``on(#4,#1)`` and other predicates: a relation's strength; ``gap_px(#4,#7)``; ``count(car,on)``: how many of the
      class are said to lie so.
    - ``confidence(#4)``; ``more(unsure)`` and ``kinds(other)``: how many uncertain regions, or classes, are not named;
      ``share_together(other)``: what such classes cover, of the picture.
    - ``density_per_mp(nucleus)``, ``median_area_px(nucleus)`` and other statistics of `segscape.scene.say_micro`.

    Percentages are rounded half up. Regions are "close" from nearness 1/2 on, "far" below 1/5.

    Args:
        scene: any; an empty one, too.
        lang: "en" or "zh".
        length: "short" (one sentence), "normal" (about three to five) or "full" (all that is worth saying: sizes,
            colours, relations, every class, and what the model was unsure of).
        cite: whether the text names the regions after each clause.

    Raises:
        ConfigError: the language or the length is unknown.
    """
    if lang not in _GRAMMARS:
        raise ConfigError(f"descriptions are written in {', '.join(_GRAMMARS)}, not {lang!r}; choose one of these")
    if length not in LENGTHS:
        raise ConfigError(f"a description is {', '.join(LENGTHS)}, not {length!r}; choose one of these lengths")
    micrograph = is_micrograph(scene)
    on_road = scene.kind.name == "street" and not micrograph
    grammar = _GRAMMARS[lang](scene, road=on_road)
    if micrograph:
        sentences = lab_note(scene, length, grammar)
    elif not scene.regions:
        sentences = nothing(grammar)
    elif on_road:
        sentences = street(scene, length, grammar)
    else:
        sentences = general(scene, length, grammar)
    return Description(lang, length, tuple(sentences), cite)
