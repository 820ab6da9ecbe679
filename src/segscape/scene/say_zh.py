"""Chinese: noun phrases, places and references for the sentences about a scene."""

from __future__ import annotations

from collections.abc import Sequence

from segscape.scene import vocabulary
from segscape.scene.colors import COLOR_NAMES
from segscape.scene.say_parts import number
from segscape.scene.say_plan import Register, column, is_thing, spans
from segscape.scene.scene import Scene, SceneRegion

PLACES = {
    "top left": "左上角",
    "top": "上方",
    "top right": "右上角",
    "left": "左侧",
    "centre": "中央",
    "right": "右侧",
    "bottom left": "左下角",
    "bottom": "下方",
    "bottom right": "右下角",
}
_SPANS = {"all": "横跨画面", "top": "上部", "middle": "中部", "bottom": "下部"}
_COLUMNS = {"left": "左侧", "middle": "前方", "right": "右侧"}
_DISTANCES = {"near": "近处", "middle": "", "far": "远处", None: ""}
_SIDES = {"left": "多在左侧", "right": "多在右侧", "both": "分列两侧"}
_VERBS = {
    "on": "{s}在{0}上",
    "seen_above": "{s}出现在{0}上方",
    "inside": "{s}在{0}的轮廓之内",
    "in_front_of": "{s}在{0}前面",
    "between": "{s}在{0}和{1}之间",
    "surrounded_by": "{s}被{0}环绕",
    "touches": "{s}紧挨着{0}",
    "near": "{s}靠近{0}",
    "left_of": "{s}在{0}左边",
    "above": "{s}在{0}上方",
}
_ORDINALS = ("最大", "第二大", "第三大", "第四大", "第五大", "第六大", "第七大", "第八大", "第九大", "第十大")


def _uncounted(name: str) -> bool:
    """Whether there is some of it, or the one, not several."""
    return vocabulary.word_of(name).form in ("mass", "unique")


class Chinese:
    """How the regions of one scene are called in Chinese."""

    lang = "zh"

    def __init__(self, scene: Scene, *, road: bool = False) -> None:
        """``road``: places are said as a driver would, 前方远处, not as parts of the picture."""
        self._scene = scene
        self.road = road
        self.register = Register(scene, self.where)
        self._names = {label.name: vocabulary.name_zh(label.name, label.zh) for label in scene.label_set}

    def percent(self, share: float) -> str:
        """ "27%" """
        return vocabulary.percent(share, "zh")

    def px(self, area: float) -> str:
        """ "1,240 像素" """
        return f"{number(area)} 像素"

    def number(self, count: int) -> str:
        """ "三"、"两"、"13",放在量词之前。"""
        return vocabulary.number_zh(count)

    def class_name(self, name: str) -> str:
        """The class as such."""
        return self._names[name]

    def stuff(self, name: str, *, known: bool = False) -> str:
        """A class as what covers ground; Chinese makes no difference."""
        return self._names[name]

    def takes_plural(self, name: str, *, known: bool = False) -> bool:
        """Never: Chinese verbs have no number."""
        return False

    def group(self, regions: Sequence[SceneRegion], *, again: bool = False) -> str:
        """Regions of one class, new to the reader: "三辆汽车"; where objects are not told apart "三处汽车", for one
        "汽车", or "一处汽车" where others are counted with it (``again``)."""
        name = regions[0].name
        if all(region.single for region in regions):
            return vocabulary.counted_zh(len(regions), name, self._names[name])
        if len(regions) == 1 and not again:
            return self._names[name]
        return vocabulary.spaced(f"{vocabulary.number_zh(len(regions))}处{self._names[name]}")

    def all_of(self, regions: Sequence[SceneRegion]) -> str:
        """All regions of a class, known to the reader: "三辆汽车"、"汽车"。"""
        single = all(region.single for region in regions)
        return self.group(regions) if single and len(regions) > 1 else self._names[regions[0].name]

    def where(self, region: SceneRegion) -> str:
        """Its place in the picture, or for a driver its side and distance."""
        if self.road:
            return _COLUMNS[column(region)] + _DISTANCES[region.distance]
        return _SPANS.get(spans(region, self._scene.size)) or PLACES[region.place]

    def side(self, side: str) -> str:
        """Where most of a class lies, by `say_plan.side_of`."""
        return _SIDES[side]

    def ref(self, region: SceneRegion) -> str:
        """The region, told from others of its class: "汽车"、"右侧的汽车"、"第二大的汽车",不可数的则"一片天空"。"""
        name = self._names[region.name]
        if self.register.alone(region):
            return name
        if self.register.alone_there(region):
            return f"{self.where(region)}的{name}"
        if _uncounted(region.name):
            return vocabulary.spaced(f"一{vocabulary.measure_word(region.name, name)}{name}")
        rank = self.register.rank(region)
        return f"{_ORDINALS[rank]}的{name}" if rank < len(_ORDINALS) else self.group([region], again=True)

    def another(self, region: SceneRegion) -> str:
        """One more of its class at the same place: "左侧的另一辆汽车"。"""
        name = self._names[region.name]
        counted = region.single or _uncounted(region.name)
        return f"{self.where(region)}的另一{vocabulary.measure_word(region.name, name) if counted else '处'}{name}"

    def ref_stuff(self, region: SceneRegion) -> str:
        """A region that others stand on or by: "人行道"。"""
        known = self.register.known(region) and is_thing(self._scene, region)
        thing = known or self._scene.label_set[region.label].thing
        return self.ref(region) if thing else self._names[region.name]

    def relation(self, predicate: str, subject: str, *objects: str, plural: bool, every: bool) -> str:
        """ "杯子在桌子上", and of ``every`` one of several "汽车都在道路上"."""
        subject = f"{subject}都" if plural and every else subject
        return _VERBS[predicate].format(*objects, s=subject)

    def color(self, name: str) -> str:
        """The name of a colour."""
        return COLOR_NAMES.get(name, name)
