"""A street in sentences, as a driver's glance takes it in: the road, who is there, what is in the way and around."""

from __future__ import annotations

from segscape.scene.clauses import Clause
from segscape.scene.say_lines import (
    Grammar,
    cover,
    doubts,
    nearness_numbers,
    regions_of_class,
    relations,
    sizes,
    things_listed,
)
from segscape.scene.say_parts import Sentence, clause, joined, listed, sentence
from segscape.scene.say_plan import (
    blocking,
    by_class,
    column,
    rests_on,
    side_of,
    side_shares,
    things,
)
from segscape.scene.scene import Relation, Scene, SceneRegion
from segscape.scene.vocabulary import role_of

_ROADS = ("road", "street", "lane")
_WALKS = ("pavement", "sidewalk")
_RIDERS = ("bicyclist", "rider", "cyclist", "motorcyclist")
_TRAFFIC = ("person", "vehicle", "animal")
_SMALL = 0.02
"""Classes that cover less are named in full descriptions alone."""


def street(scene: Scene, length: str, grammar: Grammar) -> list[Sentence]:
    """The sentences of a street; see `segscape.scene.describe.describe`. ``grammar`` says places as a driver would."""
    traffic = things(scene, _TRAFFIC)
    if length == "short":
        return [_glance(scene, grammar, traffic)]
    road, walk = _first(scene, _ROADS), _first(scene, _WALKS)
    flat = [region for group in traffic for region in group]
    walkers = _walkers(scene)
    sentences = [*_view(scene, grammar, road, walk), _who(scene, grammar, traffic)]
    sentences += sizes(scene, grammar, flat) if length == "full" else []
    sentences += _on_the_road(scene, grammar, walkers)
    if (way := _way(scene, grammar, flat)) is not None:
        sentences.append(sentence("{way}。" if grammar.lang == "zh" else "{way}.", way=way))
    said = {name for name in (road, walk, *(group[0].name for group in traffic)) if name is not None}
    around = [name for name, share in scene.shares.items() if name not in said and share >= _SMALL]
    sentences += cover(scene, grammar, around, "fill")
    if length == "full":
        pairs = [frozenset((relation.subject, relation.object)) for relation in walkers]
        sentences += _small(scene, grammar, [name for name in scene.shares if name not in {*said, *around}])
        sentences += relations(scene, grammar, {region.id for region in flat}, 6, said=pairs)
        sentences += doubts(scene, grammar)
    return sentences


def _first(scene: Scene, names: tuple[str, ...]) -> str | None:
    return next((name for name in scene.shares if name in names), None)


def _of(scene: Scene, name: str, text: str) -> Clause:
    numbers = {f"share({name})": scene.shares[name]}
    numbers |= {f"share({name},{side})": share for side, share in side_shares(scene, name).items()}
    return clause(text, regions_of_class(scene, name), numbers)


def _glance(scene: Scene, grammar: Grammar, traffic: list[list[SceneRegion]]) -> Sentence:
    """All in one sentence."""
    zh = grammar.lang == "zh"
    parts: dict[str, Clause | tuple[Clause, ...]] = {}
    if traffic:
        template = "街景：有{who}" if zh else "A street with {who}"
        parts["who"] = joined(things_listed(grammar, traffic, places=False), grammar.lang)
    else:
        template = "街景：路上空无一人" if zh else "A street with no one on it"
    if (road := _first(scene, _ROADS)) is not None:
        share = grammar.percent(scene.shares[road])
        text = f"{grammar.stuff(road)}占画面的{share}" if zh else f"{grammar.stuff(road)} takes up {share} of the view"
        parts["road"] = clause(text, regions_of_class(scene, road), {f"share({road})": scene.shares[road]})
        template += "，{road}" if zh else "; {road}"
    if (way := _way(scene, grammar, [region for group in traffic for region in group])) is not None:
        parts["way"] = way
        template += "；{way}" if zh else ", and {way}" if road is not None else "; {way}"
    return sentence(template + ("。" if zh else "."), **parts)


def _view(scene: Scene, grammar: Grammar, road: str | None, walk: str | None) -> list[Sentence]:
    """How much of the view is road, and where one walks."""
    zh = grammar.lang == "zh"
    if road is None:
        return []
    share, name = grammar.percent(scene.shares[road]), grammar.stuff(road)
    first = _of(scene, road, f"{name}占画面的{share}" if zh else f"{name} takes up {share} of the view")
    if walk is None:
        return [sentence("{first}。" if zh else "{first}.", first=first)]
    side, covered = side_of(side_shares(scene, walk)), grammar.percent(scene.shares[walk])
    other = grammar.class_name(walk)
    if zh:
        text = f"两侧有{other}（{covered}）" if side == "both" else f"{other}占{covered}"
        text += f"，{grammar.side(side)}" if side in ("left", "right") else ""
        return [sentence("{first}，{second}。", first=first, second=_of(scene, walk, text))]
    if side:
        second = _of(scene, walk, f"with {other} {grammar.side(side)} ({covered})")
        return [sentence("{first}, {second}.", first=first, second=second)]
    second = _of(scene, walk, f"and {grammar.stuff(walk)} another {covered}")
    return [sentence("{first} {second}.", first=first, second=second)]


def _who(scene: Scene, grammar: Grammar, traffic: list[list[SceneRegion]]) -> Sentence:
    """Everyone in view, with where they are."""
    zh = grammar.lang == "zh"
    if not traffic:
        names = [label.name for label in scene.label_set if role_of(label.name) in _TRAFFIC][:4]
        said = [grammar.class_name(name) for name in names]
        if zh:
            text = f"视野中没有{listed(said, 'zh').replace('和', '或')}。" if said else "视野中没有人和车。"
        else:
            text = f"no {listed(said, 'en').replace(' and ', ' or ')} is in view." if said else "no one is in view."
        return sentence("{none}", none=clause(text, (), {f"count({name})": 0.0 for name in names}))
    everywhere = {grammar.where(region) for group in traffic for region in group}
    together = len(everywhere) == 1 and len(traffic) > 1
    items = joined(things_listed(grammar, traffic, places=not together), grammar.lang)
    verb = "is" if len(traffic) == 1 and len(traffic[0]) == 1 else "are"
    if together:
        return sentence(f"{everywhere.pop()}有{{items}}。" if zh else f"{everywhere.pop()} are {{items}}.", items=items)
    return sentence("视野中有{items}。" if zh else f"In view {verb} {{items}}.", items=items)


def _walkers(scene: Scene) -> list[Relation]:
    """That someone on foot, or an animal, stands on the road itself."""
    return [
        relation
        for relation in rests_on(scene).values()
        if role_of(name := scene.region(relation.subject).name) in ("person", "animal")
        and name not in _RIDERS
        and scene.region(relation.object).name in _ROADS
    ]


def _on_the_road(scene: Scene, grammar: Grammar, walkers: list[Relation]) -> list[Sentence]:
    zh = grammar.lang == "zh"
    strengths = {relation.subject: relation.strength for relation in walkers}
    items = []
    for group in by_class(scene.region(number) for number in strengths).values():
        (text,) = (item.text for item in things_listed(grammar, [group], places=True))
        places = {grammar.where(region) for region in group}
        if zh:
            text = f"{places.pop()}有{grammar.group(group)}" if len(places) == 1 else f"有{text}"
        numbers = {f"on(#{r.subject},#{r.object})": r.strength for r in walkers if scene.region(r.subject) in group}
        numbers |= {f"count({group[0].name},on)": float(len(group))} | nearness_numbers(group)
        items.append(clause(text, group, numbers))
    if not items:
        return []
    return [sentence("路面上：{items}。" if zh else "On the road itself: {items}.", items=joined(items, grammar.lang))]


def _way(scene: Scene, grammar: Grammar, traffic: list[SceneRegion]) -> Clause | None:
    """Whether the way ahead is clear; None where there is not ground enough ahead to say so."""
    zh = grammar.lang == "zh"
    found = blocking(scene, traffic)
    if found is None:
        floor = {n: share for n, share in scene.layout.get("bottom", {}).items() if role_of(n) == "ground"}
        if sum(floor.values()) < 0.5:
            return None
        numbers = {f"share({name},bottom)": share for name, share in floor.items()}
        ground = [region for region in scene.regions if region.name in floor]
        return clause("前方道路畅通" if zh else "the way ahead is clear", ground, numbers)
    region, nearness = found
    alone, where = grammar.register.alone(region), grammar.where(region)
    said = grammar.ref(region) if alone or grammar.register.alone_there(region) else grammar.group([region])
    placed = said if where in said else f"{where}的{said}" if zh else f"{said} {where}"
    if nearness < 0.5 and zh and column(region) == "middle":
        far = {"near": "近处", "far": "远处"}.get(region.distance or "", "不远处")
        text = f"前方道路畅通，{far}有{grammar.class_name(region.name)}"
    elif nearness < 0.5:
        text = f"前方道路畅通，直至{placed}" if zh else f"the way ahead is clear up to {said if alone else placed}"
    elif column(region) == "middle":
        text = f"{placed}挡在路中" if zh else f"{placed} is in the way"
    else:
        text = f"{placed}挡住部分去路" if zh else f"{placed} reaches into the way ahead"
    return clause(text, [region], {f"ahead(#{region.id})": nearness} | nearness_numbers([region]))


def _small(scene: Scene, grammar: Grammar, names: list[str]) -> list[Sentence]:
    """Signs, poles and whatever else covers little."""
    zh = grammar.lang == "zh"
    items, again = [], zh and any(len(regions_of_class(scene, name)) > 1 for name in names)
    for name in names:
        group, share = regions_of_class(scene, name), scene.shares[name]
        said = grammar.group(group, again=again)
        again = again or len(group) > 1
        text = f"{said}（{grammar.percent(share)}）" if zh else f"{said} ({grammar.percent(share)})"
        items.append(clause(text, group, {f"count({name})": float(len(group)), f"share({name})": share}))
    if not items:
        return []
    verb = "is" if len(items) == 1 and len(regions_of_class(scene, names[0])) == 1 else "are"
    template = "此外还有{items}。" if zh else f"There {verb} also {{items}}."
    return [sentence(template, items=joined(items, grammar.lang))]
