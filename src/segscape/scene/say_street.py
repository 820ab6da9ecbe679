"""A street in sentences, as a driver's glance takes it in: the road, who is there, what is in the way and around."""

from __future__ import annotations

from segscape.scene.clauses import Clause
from segscape.scene.say_lines import (
    MOST_CLASSES,
    Grammar,
    cover,
    doubts,
    first_and_rest,
    nearness_numbers,
    other_classes,
    other_kinds,
    regions_of_class,
    relations,
    sizes,
    things_listed,
)
from segscape.scene.say_parts import Sentence, clause, joined, listed, sentence
from segscape.scene.say_plan import by_class, column, rests_on, side_of, side_shares, things
from segscape.scene.say_way import CLOSE, FAR, way_ahead
from segscape.scene.scene import Relation, Scene, SceneRegion
from segscape.scene.vocabulary import RIDERS, ROADS, WALKS, is_one_of, role_of, word_of

_TRAFFIC = ("person", "vehicle", "animal")
_MOST_AT_A_GLANCE = 5
_SMALL = 0.02
"""Classes that cover less are named in full descriptions alone."""


def street(scene: Scene, length: str, grammar: Grammar) -> list[Sentence]:
    """The sentences of a street; see `segscape.scene.describe.describe`. ``grammar`` says places as a driver would."""
    traffic = things(scene, _TRAFFIC)
    if length == "short":
        return [_glance(scene, grammar, traffic)]
    road, walk = _first(scene, ROADS), _first(scene, WALKS)
    flat = [region for group in traffic for region in group]
    walkers = _walkers(scene)
    sentences = [*_view(scene, grammar, road, walk), _who(scene, grammar, traffic)]
    sentences += sizes(scene, grammar, flat) if length == "full" else []
    sentences += _on_the_road(scene, grammar, walkers)
    if (way := _way(scene, grammar)) is not None:
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
    return next((name for name in scene.shares if is_one_of(name, names)), None)


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
        parts["who"] = joined(things_listed(grammar, traffic, places=False, most=_MOST_AT_A_GLANCE), grammar.lang)
    else:
        template = "街景：路上空无一人" if zh else "A street with no one on it"
    if (road := _first(scene, ROADS)) is not None:
        share = grammar.percent(scene.shares[road])
        text = f"{grammar.stuff(road)}占画面的{share}" if zh else f"{grammar.stuff(road)} takes up {share} of the view"
        parts["road"] = clause(text, regions_of_class(scene, road), {f"share({road})": scene.shares[road]})
        template += "，{road}" if zh else "; {road}"
    if (way := _way(scene, grammar)) is not None:
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
        and not is_one_of(name, RIDERS)
        and is_one_of(scene.region(relation.object).name, ROADS)
    ]


def _on_the_road(scene: Scene, grammar: Grammar, walkers: list[Relation]) -> list[Sentence]:
    zh = grammar.lang == "zh"
    strengths = {relation.subject: relation.strength for relation in walkers}
    items = []
    groups = list(by_class(scene.region(number) for number in strengths).values())
    for group in groups[:MOST_CLASSES]:
        (text,) = (item.text for item in things_listed(grammar, [group], places=True))
        places = {grammar.where(region) for region in group}
        if zh:
            text = f"{places.pop()}有{grammar.group(group)}" if len(places) == 1 else f"有{text}"
        numbers = {f"on(#{r.subject},#{r.object})": r.strength for r in walkers if scene.region(r.subject) in group}
        numbers |= {f"count({group[0].name},on)": float(len(group))} | nearness_numbers(group)
        items.append(clause(text, group, numbers))
    if not items:
        return []
    items += other_kinds(grammar, groups[MOST_CLASSES:])
    return [sentence("路面上：{items}。" if zh else "On the road itself: {items}.", items=joined(items, grammar.lang))]


def _way(scene: Scene, grammar: Grammar) -> Clause | None:
    """Whether the way ahead is clear, or what is in it; None where there is not road enough ahead to say so."""
    way = way_ahead(scene)
    if way is None:
        return None
    # Traffic close ahead stands on the road that it hides.
    hides = way.met and not way.road and way.nearness >= CLOSE and role_of(way.met.name) in _TRAFFIC
    if not way.is_road and not hides:
        return None
    numbers = {f"share({name},ahead)": share for name, share in way.road.items()}
    ground = [region for region in scene.regions if region.name in way.road]
    if way.met is None:
        return clause("前方道路畅通" if grammar.lang == "zh" else "the way ahead is clear", ground, numbers)
    numbers[f"ahead(#{way.met.id})"] = way.nearness
    if role_of(way.met.name) in _TRAFFIC:
        text, numbers = _met_traffic(grammar, way.met, way.nearness), numbers | nearness_numbers([way.met])
    else:
        text = _met_other(grammar, way.met, way.nearness)
    return clause(text, [way.met], numbers)


def _met_traffic(grammar: Grammar, region: SceneRegion, nearness: float) -> str:
    """One of those that were told before, called as there."""
    zh, alone, where = grammar.lang == "zh", grammar.register.alone(region), grammar.where(region)
    said = grammar.ref(region) if alone or grammar.register.alone_there(region) else grammar.group([region])
    placed = said if where in said else f"{where}的{said}" if zh else f"{said} {where}"
    if nearness < CLOSE and zh and column(region) == "middle":
        far = {"near": "近处", "far": "远处"}.get(region.distance or "", "不远处")
        return f"前方道路畅通，{far}有{grammar.class_name(region.name)}"
    if nearness < CLOSE:
        return f"前方道路畅通，直至{placed}" if zh else f"the way ahead is clear up to {said if alone else placed}"
    if column(region) == "middle":
        return f"{placed}挡在路中" if zh else f"{placed} is in the way"
    return f"{placed}挡住部分去路" if zh else f"{placed} reaches into the way ahead"


def _met_other(grammar: Grammar, region: SceneRegion, nearness: float) -> str:
    """A building, a wall, a pole: as far away as it is met, since its foot may be nearer beside the way."""
    zh, side, said = grammar.lang == "zh", column(region), grammar.group([region])
    if nearness < CLOSE:
        if zh:
            return f"前方道路畅通，{'远处' if nearness < FAR else '不远处'}有{said}"
        return f"the way ahead is clear up to {said}{' far ahead' if nearness < FAR else ''}"
    several = word_of(region.name).form == "plural"
    if side == "middle":
        return f"前方近处有{said}挡住去路" if zh else f"{said} close ahead {'are' if several else 'is'} in the way"
    if zh:
        return f"{'左' if side == 'left' else '右'}侧的{said}挡住部分去路"
    return f"{said} on the {side} {'reach' if several else 'reaches'} into the way ahead"


def _small(scene: Scene, grammar: Grammar, names: list[str]) -> list[Sentence]:
    """Signs, poles and whatever else covers little."""
    zh = grammar.lang == "zh"
    shown, rest = first_and_rest(names)
    items, again = [], zh and any(len(regions_of_class(scene, name)) > 1 for name in shown)
    for name in shown:
        group, share = regions_of_class(scene, name), scene.shares[name]
        said = grammar.group(group, again=again)
        again = again or len(group) > 1
        text = f"{said}（{grammar.percent(share)}）" if zh else f"{said} ({grammar.percent(share)})"
        items.append(clause(text, group, {f"count({name})": float(len(group)), f"share({name})": share}))
    if not items:
        return []
    items += other_classes(scene, grammar, rest, "{}（共{}）" if zh else "{} ({} together)")
    verb = "is" if len(items) == 1 and len(regions_of_class(scene, names[0])) == 1 else "are"
    template = "此外还有{items}。" if zh else f"There {verb} also {{items}}."
    return [sentence(template, items=joined(items, grammar.lang))]
