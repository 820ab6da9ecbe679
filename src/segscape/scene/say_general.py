"""Any scene in sentences: what is there and where, how it lies to one another, what covers how much."""

from __future__ import annotations

from collections.abc import Sequence

from segscape.scene.kind import KINDS_ZH
from segscape.scene.say_en import KINDS
from segscape.scene.say_lines import Grammar, cover, doubts, regions_of_class, relations, sizes, things_listed
from segscape.scene.say_parts import Sentence, clause, joined, sentence
from segscape.scene.say_plan import things
from segscape.scene.scene import Scene, SceneRegion

_MOST_GROUPS = 5


def nothing(grammar: Grammar) -> list[Sentence]:
    """The sentence of a scene without regions."""
    text = "画面中没有任何已知类别。" if grammar.lang == "zh" else "Nothing in the picture belongs to a known class."
    return [sentence("{all}", all=clause(text, (), {"count()": 0.0}))]


def general(scene: Scene, length: str, grammar: Grammar) -> list[Sentence]:
    """The sentences of a scene of any kind; see `segscape.scene.describe.describe`."""
    groups = things(scene)
    if not groups:
        return _stuff_alone(scene, length, grammar)
    if length == "short":
        return [_opening(scene, grammar, groups, places=False)]
    full = length == "full"
    flat = [region for group in groups for region in group]
    sentences = [_opening(scene, grammar, groups, places=True)]
    ids = {region.id for region in flat}
    stuff = [name for name in scene.shares if name not in {region.name for region in flat}]
    if not full:
        sentences += [*_greatest(grammar, flat), *relations(scene, grammar, ids, 3)]
        return sentences + cover(scene, grammar, [name for name in stuff if scene.shares[name] >= 0.02][:_MOST_GROUPS])
    sentences += [*sizes(scene, grammar, flat), *relations(scene, grammar, ids, 8, directions=4)]
    return [*sentences, *cover(scene, grammar, stuff), *doubts(scene, grammar)]


def _opening(scene: Scene, grammar: Grammar, groups: Sequence[list[SceneRegion]], *, places: bool) -> Sentence:
    """What sort of scene, and what is in it."""
    zh = grammar.lang == "zh"
    items = things_listed(grammar, groups, places=places, most=_MOST_GROUPS)
    kind = _kind(scene, grammar)
    if zh:
        return sentence(f"{kind}：画面中有{{items}}。" if kind else "画面中有{items}。", items=joined(items, "zh"))
    verb = "are" if len(items) > 1 or len(groups[0]) > 1 else "is"
    return sentence(
        f"{kind} with {{items}}." if kind else f"In the picture {verb} {{items}}.", items=joined(items, "en")
    )


def _kind(scene: Scene, grammar: Grammar) -> str | None:
    """The kind of scene as an opening; None for kinds that what is in them says as well."""
    name = scene.kind.name
    return KINDS.get(name) if grammar.lang == "en" else KINDS_ZH[name] if name in KINDS else None


def _greatest(grammar: Grammar, regions: Sequence[SceneRegion]) -> list[Sentence]:
    """The thing that takes up most of the picture, if it is much."""
    region = min(regions, key=lambda region: region.id)
    if region.share < 0.05:
        return []
    share, zh = grammar.percent(region.share), grammar.lang == "zh"
    text = f"{grammar.ref(region)}占画面的{share}" if zh else f"{grammar.ref(region)} takes up {share} of the picture"
    return [sentence("{it}。" if zh else "{it}.", it=clause(text, [region], {f"share(#{region.id})": region.share}))]


def _stuff_alone(scene: Scene, length: str, grammar: Grammar) -> list[Sentence]:
    """A scene of nothing but stuff."""
    zh = grammar.lang == "zh"
    name, share = next(iter(scene.shares.items()))
    if share > 0.9995:
        verb = "fill" if grammar.takes_plural(name) else "fills"
        text = f"{grammar.stuff(name)}占满整个画面。" if zh else f"{grammar.stuff(name)} {verb} the whole picture."
        return [sentence("{all}", all=clause(text, regions_of_class(scene, name), {f"share({name})": share}))]
    most = {"short": 3, "normal": 6, "full": len(scene.shares)}[length]
    kind = _kind(scene, grammar)
    lead = f"{kind}{'：' if zh else ': '}" if kind else ""
    sentences = cover(scene, grammar, list(scene.shares)[:most], lead=lead)
    return sentences + (doubts(scene, grammar) if length == "full" else [])
