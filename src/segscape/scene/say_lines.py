"""Sentences that several kinds of scene have in common: lists of things, shares, relations, doubts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from segscape.scene.clauses import Clause
from segscape.scene.say_en import English
from segscape.scene.say_parts import Sentence, clause, joined, listed, sentence
from segscape.scene.say_plan import UNSURE, by_class, only_seen_above, side_of, side_shares, worth_saying
from segscape.scene.say_zh import Chinese
from segscape.scene.scene import Relation, Scene, SceneRegion

Grammar = English | Chinese
MOST_CLASSES = 12
"""In a list; those beyond are counted."""
_MOST_PLACES = 3
_LEAST_SHARE = 0.002
_DISTANCES = ("near", "middle", "far", None)


def regions_of_class(scene: Scene, name: str) -> list[SceneRegion]:
    """All regions of a class, largest first."""
    return [region for region in scene.regions if region.name == name]


def nearness_numbers(group: Iterable[SceneRegion]) -> dict[str, float]:
    """What a clause that says how far things are carries."""
    return {f"nearness(#{r.id})": r.nearness for r in group if r.nearness is not None}


def things_listed(
    grammar: Grammar, groups: Sequence[Sequence[SceneRegion]], *, places: bool, most: int = MOST_CLASSES
) -> list[Clause]:
    """Each class of things with how many there are and where, what matters most first: "two cars (ahead and on the
    left)", "a dog in the centre". Classes beyond ``most`` are counted: "five other kinds of things"."""
    groups, rest = groups[:most], groups[most:]
    items, again = [], grammar.lang == "zh" and not places and any(len(group) > 1 for group in groups)
    for group in groups:
        one_place = places and len({grammar.where(region) for region in group}) == 1
        said = grammar.group(group, again=again and (grammar.lang == "zh" or not one_place))
        again = again or (len(group) > 1 and grammar.lang == "en")
        text = _placed(grammar, group, said) if places else said
        items.append(clause(text, group, {f"count({group[0].name})": float(len(group))} | nearness_numbers(group)))
    return items + other_kinds(grammar, rest)


def first_and_rest(names: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Those of a list that are named, and the others; a single other one is named as well."""
    most = MOST_CLASSES + 1 if len(names) == MOST_CLASSES + 1 else MOST_CLASSES
    return names[:most], names[most:]


def other_kinds(grammar: Grammar, groups: Sequence[Sequence[SceneRegion]]) -> list[Clause]:
    """One clause of how many more classes of things there are; none without."""
    if not groups:
        return []
    kinds = len(groups)
    numbers = {"kinds(other)": float(kinds)} | {f"count({group[0].name})": float(len(group)) for group in groups}
    if grammar.lang == "zh":
        text = f"另外{grammar.number(kinds)}类物体"
    else:
        text = f"{grammar.number(kinds)} other kind{'s' if kinds > 1 else ''} of things"
    return [clause(text, [region for group in groups for region in group], numbers)]


def other_classes(scene: Scene, grammar: Grammar, names: Sequence[str], template: str) -> list[Clause]:
    """One clause of how many more classes there are (two at least) and what they cover, by ``template``, or none."""
    if not names:
        return []
    left_out, share = set(names), sum(scene.shares[name] for name in names)
    if grammar.lang == "zh":
        said = f"其余{grammar.number(len(names))}类"
    else:
        said = f"{grammar.number(len(names))} other classes"
    text = template.format(said, grammar.percent(share))
    regions = [region for region in scene.regions if region.name in left_out]
    return [clause(text, regions, {"kinds(other)": float(len(names)), "share_together(other)": share})]


def _placed(grammar: Grammar, group: Sequence[SceneRegion], said: str) -> str:
    zh = grammar.lang == "zh"
    near_first = sorted(group, key=lambda region: _DISTANCES.index(region.distance)) if grammar.road else group
    where = list(dict.fromkeys(grammar.where(region) for region in near_first))
    if len(where) == 1:
        return f"{where[0]}的{said}" if zh else f"{said} {where[0]}"
    if len(where) <= _MOST_PLACES:
        return f"{said}（{listed(where, 'zh')}）" if zh else f"{said} ({listed(where, 'en')})"
    if any(region.nearness is not None for region in group):
        nearest = grammar.where(max(group, key=lambda region: region.nearness or 0))
        return f"{said}（最近的在{nearest}）" if zh else f"{said} (the nearest {nearest})"
    largest = grammar.where(min(group, key=lambda region: region.id))
    return f"{said}（最大的在{largest}）" if zh else f"{said} (the largest {largest})"


def cover(
    scene: Scene, grammar: Grammar, names: Sequence[str], verb: str = "cover", lead: str = "", *, known: bool = False
) -> list[Sentence]:
    """One sentence of what covers how much, none without names: "Buildings cover 31% of the picture (mostly on the
    left), trees 12% and the sky 9%.", after ``lead``; ``known`` classes were told of before. Those beyond
    `MOST_CLASSES` are added up: "and five other classes 3% together"."""
    items = []
    names, rest = first_and_rest(names)
    for i, name in enumerate(names):
        share, sides = scene.shares[name], side_shares(scene, name)
        side = side_of(sides) if 0.02 <= share < 0.6 else ""
        if grammar.lang == "zh":
            text = f"{grammar.stuff(name)}占{'画面的' if i == 0 else ''}{grammar.percent(share)}"
            text += f"（{grammar.side(side)}）" if side else ""
            text += "，" if i + 1 < len(names) or rest else ""
        else:
            does = f" {verb}" if grammar.takes_plural(name, known=known) else f" {verb}s"
            said, of = grammar.stuff(name, known=known), "" if i else " of the picture"
            text = f"{said}{'' if i else does} {grammar.percent(share)}{of}"
            text += f" ({grammar.side(side)})" if side else ""
        regions = regions_of_class(scene, name)
        numbers = {f"share({name})": share, f"count({name})": float(len(regions))}
        numbers |= {f"share({name},{part})": value for part, value in sides.items()} if side else {}
        items.append(clause(text, regions, numbers))
    if not items:
        return []
    items += other_classes(scene, grammar, rest, "{}共占{}" if grammar.lang == "zh" else "{} {} together")
    if grammar.lang == "zh":
        return [sentence("{lead}{items}。", lead=lead, items=items)]
    return [sentence("{lead}{items}.", lead=lead, items=joined(items, "en"))]


def relations(
    scene: Scene,
    grammar: Grammar,
    spoken: Collection[int],
    most: int,
    *,
    directions: int = 0,
    said: Iterable[frozenset[int]] = (),
) -> list[Sentence]:
    """One sentence of the relations most worth saying, or none. What lies alike is said together: "the two cups and
    the plate are on the table". Where there are fewer than ``directions``, left of and above make up for it."""
    alike = _alike(scene, grammar, spoken, most, worth_saying(scene, spoken, said=said))
    if len(alike) < directions:
        more = worth_saying(scene, spoken, said=said, directions=True)
        alike = _alike(scene, grammar, spoken, directions, more)
    clauses = []
    for (words, objects), found in alike.items():
        by_name = by_class(scene.region(relation.subject) for relation in found)
        every = all(len(group) == len(regions_of_class(scene, name)) for name, group in by_name.items())
        subjects, again = [], False
        for group in list(by_name.values())[:MOST_CLASSES]:
            subjects.append(_subject(scene, grammar, group, again=again and grammar.lang == "en"))
            again = again or len(group) > 1
        others = other_kinds(grammar, list(by_name.values())[MOST_CLASSES:])
        subjects += [item.text for item in others]
        text = grammar.relation(words, listed(subjects, grammar.lang), *objects, plural=len(found) > 1, every=every)
        numbers = {f"count({name},{found[0].predicate})": float(len(group)) for name, group in by_name.items()}
        numbers |= {key: value for item in others for key, value in item.numbers.items() if key == "kinds(other)"}
        for relation in found:
            pair = f"(#{relation.subject},#{relation.object})"
            numbers[f"{relation.predicate}{pair}"] = relation.strength
            if "gap_px" in relation.evidence:
                numbers[f"gap_px{pair}"] = float(relation.evidence["gap_px"])
        ids = {number for relation in found for number in relation.regions}
        clauses.append(clause(text, [scene.region(number) for number in ids], numbers))
    if not clauses:
        return []
    gap, end = ("；", "。") if grammar.lang == "zh" else ("; ", ".")
    parts = [replace(c, text=c.text + (gap if i + 1 < len(clauses) else end)) for i, c in enumerate(clauses)]
    return [sentence("{parts}", parts=parts)]


def _alike(
    scene: Scene, grammar: Grammar, spoken: Collection[int], most: int, found: Sequence[Relation]
) -> dict[tuple[str, tuple[str, ...]], list[Relation]]:
    """The first relations ``found``, by what is said of their subjects; those that would need a rank to be told from
    others of their class ("the fourth-largest car") are left out."""
    named = {region.id for region in scene.regions if region.id not in spoken or grammar.register.known(region)}
    alike: dict[tuple[str, tuple[str, ...]], list[Relation]] = {}
    for relation in found:
        if named.issuperset(relation.regions[1:]) and (relation.predicate == "on" or relation.subject in named):
            objects = tuple(grammar.ref_stuff(scene.region(number)) for number in relation.regions[1:])
            words = "seen_above" if only_seen_above(scene, relation) else relation.predicate
            alike.setdefault((words, objects), []).append(relation)
    return dict(list(alike.items())[:most])


def _subject(scene: Scene, grammar: Grammar, group: Sequence[SceneRegion], *, again: bool) -> str:
    if len(group) == len(regions_of_class(scene, group[0].name)):
        return grammar.all_of(group)
    if len(group) > 1:
        return grammar.group(group, again=again)
    return grammar.ref(group[0]) if grammar.register.known(group[0]) else _placed(grammar, group, grammar.group(group))


def sizes(scene: Scene, grammar: Grammar, candidates: Iterable[SceneRegion], most: int = 5) -> list[Sentence]:
    """Two sentences: the largest of some things one by one, with colour and share; then the classes of them that hold
    more than what was named, as wholes."""
    items, seen = [], set()
    ranked = sorted(candidates, key=lambda region: region.id)
    chosen = [region for region in ranked[:most] if region.share >= _LEAST_SHARE]
    chosen = chosen if len(chosen) > 1 else []
    for region in chosen:
        facts = [grammar.percent(region.share)]
        if region.color_name is not None:
            facts.insert(0, grammar.color(region.color_name))
        text = f"（{'，'.join(facts)}）" if grammar.lang == "zh" else f" ({', '.join(facts)})"
        known = grammar.register.alone_there(region)
        said = grammar.ref(region) if known else _placed(grammar, [region], grammar.group([region]))
        said = grammar.another(region) if said in seen else said
        seen.add(said)
        items.append(clause(said + text, [region], {f"share(#{region.id})": region.share}))
    template = "其中面积最大的是{items}。" if grammar.lang == "zh" else "The largest of these are {items}."
    sentences = [sentence(template, items=joined(items, grammar.lang))] if items else []
    alone = {region.name for region in chosen if grammar.register.alone(region)}
    names = {region.name for region in ranked} - alone
    return sentences + cover(scene, grammar, [name for name in scene.shares if name in names], known=True)


def doubts(scene: Scene, grammar: Grammar, most: int = 5) -> list[Sentence]:
    """Regions that the model was unsure of, the least sure first; and what share of the picture has no class."""
    zh, sentences = grammar.lang == "zh", []
    unsure = [(region.confidence, region) for region in scene.regions if region.confidence is not None]
    unsure = sorted((pair for pair in unsure if pair[0] < UNSURE), key=lambda pair: (pair[0], pair[1].id))
    items = []
    for confidence, region in unsure[:most]:
        text = f"{grammar.ref(region)}（{confidence:.2f}）" if zh else f"{grammar.ref(region)} ({confidence:.2f})"
        items.append(clause(text, [region], {f"confidence(#{region.id})": confidence}))
    if rest := [region for _, region in unsure[most:]]:
        text = f"另外{grammar.number(len(rest))}个区域" if zh else f"{grammar.number(len(rest))} more"
        items.append(clause(text, rest, {"more(unsure)": float(len(rest))}))
    if items:
        template = "模型对{items}的判断把握不大。" if zh else "The model is unsure of {items}."
        sentences.append(sentence(template, items=joined(items, grammar.lang)))
    unlabelled = 1 - sum(scene.shares.values())
    # Where every class is of objects, the rest is not unknown but none of them.
    if not all(label.thing for label in scene.label_set) and unlabelled >= 0.005:
        template = "另有{part}的画面未归入任何类别。" if zh else "{part} of the picture belongs to no class."
        sentences.append(sentence(template, part=clause(grammar.percent(unlabelled), (), {"share(none)": unlabelled})))
    return sentences
