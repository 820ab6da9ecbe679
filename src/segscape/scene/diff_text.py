"""What became of one scene in another, in a few plain English or Chinese sentences that name regions by their ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from segscape.errors import ConfigError
from segscape.scene import say_en, say_zh
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene, SceneRegion
from segscape.scene.vocabulary import (
    name_en,
    name_zh,
    number_en,
    number_zh,
    percent,
    plural,
    spaced,
    word_of,
)

if TYPE_CHECKING:
    from segscape.scene.diff import Change, Difference

_MOST_CLASSES, _MOST_CHANGES, _MOST_RELATIONS, _MOST_SHARES, _MOST_IDS = 12, 6, 4, 3, 8
_LEAST_SHARE = 0.01
_TOLD = ("on", "inside", "in_front_of", "surrounds", "between", "touches", "near")
_UNCOUNTED = ("mass", "unique", "name")
_EN_WAYS = (
    "to the right",
    "to the lower right",
    "down",
    "to the lower left",
    "to the left",
    "to the upper left",
    "up",
    "to the upper right",
)
_ZH_WAYS = ("右", "右下方", "下", "左下方", "左", "左上方", "上", "右上方")


def difference_in_words(difference: Difference, lang: str = "en") -> str:
    """What appeared, vanished, moved, grew or shrank, which relations began and ended, which classes cover more.

    Things are told one by one, larger ones first, and counted where a model told them apart, else "in two places": of
    those that came or went at most 12 classes, of those that changed at most 6 (the rest is counted), of relations with
    a thing at most 4 that began and 4 that ended, directions never. Stuff comes and goes in pieces, so of a
    stuff class is told that it is new or gone altogether, and of every class in both that its share of the picture
    changed by at least one percent of it (the 3 greatest changes). Ids are those of the later scene, "5 → 7" where a
    region had another one before, and those of the earlier scene for what is gone or ended.

    Raises:
        ConfigError: the language is neither "en" nor "zh".
    """
    if lang not in ("en", "zh"):
        raise ConfigError(f"a difference is told in 'en' or 'zh', not in {lang!r}")
    say: _English | _Chinese = _English() if lang == "en" else _Chinese()
    before, after = difference.before, difference.after
    sentences = []
    for ids, scene, other, word, rest in (
        (difference.appeared, after, before, say.appeared, say.more_appeared),
        (difference.vanished, before, after, say.gone, say.more_gone),
    ):
        groups = _groups(scene, ids, other)
        sentences += [word(group, scene) for group in groups[:_MOST_CLASSES]]
        if len(groups) > _MOST_CLASSES:
            sentences.append(rest(len(groups) - _MOST_CLASSES))
    changed = [change for change in difference.kept if change.changed and _is_thing(after, change.after)]
    changed.sort(key=lambda change: change.after)
    sentences += [say.changed(change, after) for change in changed[:_MOST_CHANGES]]
    if len(changed) > _MOST_CHANGES:
        sentences.append(say.more_changed(len(changed) - _MOST_CHANGES))
    for relations, scene, word in ((difference.began, after, say.began), (difference.ended, before, say.ended)):
        told = _told(relations, scene)
        sentences += [word(relation, scene) for relation in told[:_MOST_RELATIONS]]
    shares = [(name, a, b) for name, (a, b) in difference.shares.items() if a and b and abs(b - a) >= _LEAST_SHARE]
    for name, a, b in shares[:_MOST_SHARES]:
        label = next(x for scene in (after, before) for x in scene.label_set if x.name == name)
        sentences.append(say.covers(name, label.zh, a, b))
    return say.together(sentences) if sentences else say.nothing


def _is_thing(scene: Scene, number: int) -> bool:
    return scene.label_set[scene.region(number).label].thing


def _told(relations: Sequence[Relation], scene: Scene) -> list[Relation]:
    """The relations to be told, most telling first, a thing being the subject wherever that says the same."""
    told = []
    for relation in relations:
        things = _is_thing(scene, relation.subject), _is_thing(scene, relation.object)
        # Something is near the road or a wall in every picture.
        if relation.predicate in _TOLD and (all(things) if relation.predicate == "near" else any(things)):
            turned = PREDICATES[relation.predicate].symmetric and not things[0]
            told.append(replace(relation, subject=relation.object, object=relation.subject) if turned else relation)
    return sorted(told, key=lambda relation: (_TOLD.index(relation.predicate), -relation.strength))


def _groups(scene: Scene, ids: Sequence[int], other: Scene) -> list[list[SceneRegion]]:
    """The regions to be told of, by class: things first, then by what they cover."""
    groups: dict[int, list[SceneRegion]] = {}
    for region in map(scene.region, ids):
        if _is_thing(scene, region.id) or region.name not in other.shares:
            groups.setdefault(region.label, []).append(region)
    area = {label: sum(region.area_px for region in group) for label, group in groups.items()}
    order = sorted(groups, key=lambda label: (not scene.label_set[label].thing, -area[label]))
    return [groups[label] for label in order]


def _ids(group: Sequence[SceneRegion], comma: str) -> str:
    more = comma + "…" if len(group) > _MOST_IDS else ""
    return comma.join(str(region.id) for region in group[:_MOST_IDS]) + more


def _place(group: Sequence[SceneRegion]) -> str | None:
    """The cell that all of them lie in."""
    places = {region.place for region in group}
    return places.pop() if len(places) == 1 else None


def _way(change: Change) -> int:
    """0 … 7: to the right, then clockwise as seen."""
    dx, dy = change.moved_px
    return round(math.degrees(math.atan2(dy, dx)) / 45) % 8


def _change_id(change: Change) -> str:
    return str(change.after) if change.before == change.after else f"{change.before} → {change.after}"


class _English:
    """The sentences in English."""

    nothing = "Nothing changed."

    def together(self, sentences: Sequence[str]) -> str:
        return " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)

    def _some(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        return f"{say_en.English(scene).group(group)} ({_ids(group, ', ')})"

    def _the(self, region: SceneRegion, number: str) -> str:
        return f"the {name_en(region.name)} ({number})"

    def _be(self, group: Sequence[SceneRegion]) -> str:
        form = word_of(group[0].name).form
        # Sky in two places is some sky.
        several = len(group) > 1 and (all(region.single for region in group) or form not in _UNCOUNTED)
        return "are" if several or form == "plural" else "is"

    def appeared(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        place = _place(group)
        return f"{self._some(group, scene)} appeared{' ' + say_en.PLACES[place] if place else ''}."

    def gone(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        place = _place(group)
        where = f" {say_en.PLACES[place]}" if place else ""
        known = self._the(group[0], str(group[0].id)) if len(group) == 1 else self._some(group, scene)
        return f"{known}{where} {self._be(group)} gone."

    def more_appeared(self, classes: int) -> str:
        return f"regions of {self._more(classes)} appeared."

    def more_gone(self, classes: int) -> str:
        return f"regions of {self._more(classes)} are gone."

    def _more(self, classes: int) -> str:
        return f"{number_en(classes)} other class{'' if classes == 1 else 'es'}"

    def changed(self, change: Change, scene: Scene) -> str:
        what = []
        if change.moved:
            what.append(f"moved {math.hypot(*change.moved_px):.0f} px {_EN_WAYS[_way(change)]}")
        if change.grew or change.shrank:
            what.append(self._growth(change.growth))
        return f"{self._the(scene.region(change.after), _change_id(change))} {' and '.join(what)}."

    def _growth(self, growth: float) -> str:
        if growth >= 2:
            return f"grew to {growth:.1f} times its area"
        return f"grew by {percent(growth - 1)}" if growth > 1 else f"shrank by {percent(1 - growth)}"

    def more_changed(self, count: int) -> str:
        return f"{count} more {'region' if count == 1 else 'regions'} moved, grew or shrank."

    def _relation(self, relation: Relation, scene: Scene, word: str) -> str:
        subject, object_ = scene.region(relation.subject), scene.region(relation.object)
        said = PREDICATES[relation.predicate].words[0]
        ends = self._the(object_, str(object_.id))
        if relation.other is not None:
            ends += f" and {self._the(scene.region(relation.other), str(relation.other))}"
        be = self._be([subject])
        return f"{self._the(subject, str(subject.id))} {be} {word} {said} {ends}."

    def began(self, relation: Relation, scene: Scene) -> str:
        return self._relation(relation, scene, "now")

    def ended(self, relation: Relation, scene: Scene) -> str:
        return self._relation(relation, scene, "no longer")

    def covers(self, name: str, zh: str, before: float, after: float) -> str:
        one = word_of(name).form in _UNCOUNTED
        said = f"{name_en(name)} covers" if one else f"{plural(name)} cover"
        return f"{said} {percent(after)} of the picture, {percent(before)} before."


class _Chinese:
    """The sentences in Chinese."""

    nothing = "没有变化。"

    def together(self, sentences: Sequence[str]) -> str:
        return spaced("".join(sentences))

    def _name(self, region: SceneRegion, scene: Scene) -> str:
        return name_zh(region.name, scene.label_set[region.label].zh)

    def _some(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        return f"{say_zh.Chinese(scene).group(group)}（{_ids(group, '、')}）"

    def _the(self, number: int, scene: Scene) -> str:
        return f"{self._name(scene.region(number), scene)}（{number}）"

    def appeared(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        place = _place(group)
        return f"{'画面' + say_zh.PLACES[place] if place else '画面中'}出现了{self._some(group, scene)}。"

    def gone(self, group: Sequence[SceneRegion], scene: Scene) -> str:
        place = _place(group)
        where = f"{say_zh.PLACES[place]}的" if place else ""
        known = self._the(group[0].id, scene) if len(group) == 1 else self._some(group, scene)
        return f"{where}{known}不见了。"

    def more_appeared(self, classes: int) -> str:
        return f"另有{number_zh(classes)}类的区域出现了。"

    def more_gone(self, classes: int) -> str:
        return f"另有{number_zh(classes)}类的区域不见了。"

    def changed(self, change: Change, scene: Scene) -> str:
        what = []
        if change.moved:
            what.append(f"向{_ZH_WAYS[_way(change)]}移动了 {math.hypot(*change.moved_px):.0f} 像素")
        if change.grew or change.shrank:
            what.append(self._growth(change.growth))
        return f"{self._name(scene.region(change.after), scene)}（{_change_id(change)}）{'，'.join(what)}。"

    def _growth(self, growth: float) -> str:
        if growth >= 2:
            return f"面积增至原来的 {growth:.1f} 倍"
        return f"面积增大了 {percent(growth - 1, 'zh')}" if growth > 1 else f"面积缩小了 {percent(1 - growth, 'zh')}"

    def more_changed(self, count: int) -> str:
        return f"另有 {count} 个区域移动了位置或改变了大小。"

    def _relation(self, relation: Relation, scene: Scene, word: str) -> str:
        ends = self._the(relation.object, scene)
        if relation.other is not None:
            ends += f"和{self._the(relation.other, scene)}"
        said = PREDICATES[relation.predicate].zh
        clause = said.replace("…", ends) if "…" in said else said + ends
        return f"{self._the(relation.subject, scene)}{word}{clause}。"

    def began(self, relation: Relation, scene: Scene) -> str:
        return self._relation(relation, scene, "现在")

    def ended(self, relation: Relation, scene: Scene) -> str:
        return self._relation(relation, scene, "不再")

    def covers(self, name: str, zh: str, before: float, after: float) -> str:
        return f"{name_zh(name, zh)}占画面的比例由 {percent(before, 'zh')} 变为 {percent(after, 'zh')}。"
