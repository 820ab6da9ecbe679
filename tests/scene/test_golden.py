"""Descriptions that a person has read, and each number in them derived again from the label map with numpy and cc3d."""

import functools
import re

import cc3d
import numpy as np
import pytest
from golden_descriptions import GOLDEN, LABELS, chosen, label_map, lengths_of, page, scene_of, sections
from stated_numbers import unfounded

from segscape.data.label_sets import CAMVID

pytestmark = pytest.mark.skipif(not LABELS.is_dir(), reason="no CamVid here")
GROUND = ("road", "pavement")
THINGS = ("car", "pedestrian", "bicyclist")
WHERE = {
    "en": {
        ("left", "near"): "close by on the left",
        ("left", "middle"): "on the left",
        ("left", "far"): "far off on the left",
        ("ahead", "near"): "close ahead",
        ("ahead", "middle"): "ahead",
        ("ahead", "far"): "far ahead",
        ("right", "near"): "close by on the right",
        ("right", "middle"): "on the right",
        ("right", "far"): "far off on the right",
    },
    "zh": {
        (side, far): words + more
        for side, words in {"left": "左侧", "ahead": "前方", "right": "右侧"}.items()
        for far, more in {"near": "近处", "middle": "", "far": "远处"}.items()
    },
}
# What relations are measured from is tested with them; the sentences state no number of these.
NOT_STATED = {"near", "touches", "between", "in_front_of", "surrounded_by", "inside", "gap_px"}


def pieces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8-connected pieces of each class, 1…N, and the class of each; row 0 for what has no class."""
    numbers = cc3d.connected_components(np.where(labels < len(CAMVID), labels + 1, 0).astype(np.uint8), connectivity=8)
    classes = np.zeros(int(numbers.max()) + 1, np.int64)
    classes[numbers] = labels
    return numbers, classes


def without_specks(labels: np.ndarray) -> np.ndarray:
    """Pieces below a ten-thousandth of the image go, smallest first, to the neighbour with which they share most pixel
    edges; of equal ones the larger, then the one that comes first."""
    labels, least = labels.copy(), round(labels.size / 10_000)
    stays: set[tuple[int, int]] = set()
    while True:
        numbers, classes = pieces(labels)
        areas = np.bincount(numbers.ravel(), minlength=len(classes))
        firsts = np.full(len(classes), labels.size)
        np.minimum.at(firsts, numbers.ravel(), np.arange(labels.size))
        small = [(areas[i], firsts[i], i) for i in range(1, len(classes)) if areas[i] < least]
        small = sorted(entry for entry in small if (int(entry[0]), int(entry[1])) not in stays)
        if not small:
            return labels
        area, first, speck = small[0]
        mine = np.pad(numbers == speck, 1)
        padded = np.pad(numbers, 1)
        beside = np.concatenate([np.roll(padded, shift, axis)[mine] for axis in (0, 1) for shift in (1, -1)])
        edges = np.bincount(beside[(beside != speck) & (beside != 0)], minlength=len(classes))
        if not edges.any():
            stays.add((int(area), int(first)))
            continue
        to = max(np.flatnonzero(edges), key=lambda i: (edges[i], areas[i], -firsts[i]))
        labels[numbers == speck] = classes[to]


class Truth:
    """What is true of a label map, by plain means."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = without_specks(labels)
        self.height, self.width = labels.shape
        numbers, classes = pieces(self.labels)
        order = []
        for number in range(1, len(classes)):
            y, x = np.nonzero(numbers == number)
            order.append((-len(y), y.min(), x.min(), number))
        renumber = np.zeros(len(classes), np.int64)
        renumber[[number for *_, number in sorted(order)]] = np.arange(1, len(classes))
        self.ids = renumber[numbers]
        self.names = dict(zip(renumber[1:].tolist(), [CAMVID[c].name for c in classes[1:]], strict=True))
        grounds = [np.nonzero(self.ids == i)[0] for i, name in self.names.items() if name in GROUND]
        self.horizon = min(y.min() for y in grounds if len(y) >= 0.005 * labels.size)

    def mask(self, what: str) -> np.ndarray:
        """Of a class or "#id"."""
        if what.startswith("#"):
            return self.ids == int(what[1:])
        return np.zeros_like(self.ids, bool) if what == "none" else self.labels == CAMVID.index(what)

    def nearness(self, region: int) -> float:
        bottom = int(np.nonzero(self.ids == region)[0].max()) + 1
        return (bottom - self.horizon) / (self.height - self.horizon)

    def place(self, region: int) -> tuple[str, str]:
        """Side and distance, as a driver says them."""
        x = np.nonzero(self.ids == region)[1].mean() + 0.5
        thirds = [self.width // 3, self.width * 2 // 3]
        side = ("left", "ahead", "right")[sum(x >= bound for bound in thirds)]
        near = self.nearness(region)
        if near <= 0:
            return side, "middle"
        return side, "near" if near >= 0.5 else "far" if near < 0.2 else "middle"

    def ahead(self) -> tuple[tuple[int, float] | None, list[float]]:
        """On the way from the lower edge to the horizon: what is met first, and what part of each row before is road,
        from the first row on of which half has a class."""
        road: list[float] = []
        for y in range(self.height - 1, self.horizon, -1):
            depth = (y + 0.5 - self.horizon) / (self.height - self.horizon)
            half = self.width / 6 * depth
            x = np.arange(self.width)
            way = (x + 0.5 >= self.width / 2 - half) & (x + 0.5 <= self.width / 2 + half)
            if depth < 0.05 or not way.any():
                continue
            for region in np.unique(self.ids[y, way]).tolist():
                here = self.ids[y] == region
                part = (here & way).sum() / way.sum()
                if self.names.get(region, "sky") in (*GROUND, "sky"):
                    continue
                if part >= 0.2 or (part >= 0.04 and not (here & ~way).any()):
                    return (region, (y + 1 - self.horizon) / (self.height - self.horizon)), road
            if road or 2 * (self.ids[y, way] > 0).sum() >= way.sum():
                road.append(float((self.labels[y, way] == CAMVID.index("road")).mean()))
        return None, road

    def support(self, upper: int, lower: int) -> float:
        """The share of the upper one's lower pixel edges that lie on the lower one."""
        below = np.vstack([self.ids[1:], np.full((1, self.width), -1)])[self.ids == upper]
        return float((below == lower).sum() / (below != upper).sum())

    def value(self, key: str, clause) -> float:
        """What a clause's number must be."""
        kind, what, rest = re.fullmatch(r"(\w+)\(([^,)]*),?(.*)\)", key).groups()
        if kind == "count":
            if rest:
                return sum(f"{rest}(#{i}," in " ".join(clause.numbers) for i in clause.regions if self.names[i] == what)
            return sum(name == what for name in self.names.values())
        if kind == "share" and what == "none":
            return float((self.labels >= len(CAMVID)).mean())
        if kind == "share":
            mask, thirds = self.mask(what), [self.width * k // 3 for k in range(4)]
            if rest == "ahead":
                return float(np.mean(self.ahead()[1]))
            if rest:
                k = ("left", "middle", "right").index(rest)
                return float(mask[:, thirds[k] : thirds[k + 1]].sum() / mask.sum())
            return float(mask.mean())
        if kind == "nearness":
            return self.nearness(int(what[1:]))
        if kind == "ahead":
            met, _ = self.ahead()
            assert met is not None
            assert met[0] == int(what[1:])
            return met[1]
        assert kind == "on", key
        return self.support(int(what[1:]), int(rest[1:]))


@functools.cache
def truth_of(path):
    return Truth(label_map(path))


@pytest.fixture(scope="module")
def scenes():
    return {path.stem: scene_of(path) for path in chosen()}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_descriptions_are_those_that_were_read(scenes, lang):
    text = (GOLDEN / f"{lang}.md").read_text("utf-8")
    assert sections(page(lang, scenes)) == sections(text)
    assert page(lang, scenes) == text


@pytest.mark.parametrize("number", range(20))
def test_every_stated_number_is_true_of_the_labels(scenes, number):
    path = chosen()[number]
    truth, scene = truth_of(path), scenes[path.stem]
    checked = 0
    for lang in ("en", "zh"):
        for length in lengths_of(number):
            for sentence in scene.describe(lang, length).sentences:
                for clause in sentence:
                    assert not unfounded(clause), clause
                    assert all(truth.names[region] in CAMVID.names for region in clause.regions)
                    for key, value in clause.numbers.items():
                        if key.partition("(")[0] not in NOT_STATED:
                            assert value == pytest.approx(truth.value(key, clause), abs=5.1e-5), (key, clause)
                            checked += 1
    assert checked > 20


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_places_and_the_way_ahead_are_true_of_the_labels(scenes, number, lang):
    path = chosen()[number]
    truth, scene = truth_of(path), scenes[path.stem]
    text = str(scene.describe(lang))
    for name in THINGS:
        found = [i for i, label in truth.names.items() if label == name]
        said = {WHERE[lang][truth.place(i)] for i in found}
        if 0 < len(said) <= 3:
            assert all(words in text.lower() for words in said)
    met, road = truth.ahead()
    if (np.mean(road) if road else 0) < 0.75 and (road or met is None or truth.names[met[0]] not in THINGS):
        assert not re.search("way|前方道路畅通|去路|路中", text)
    elif met is None:
        assert ("The way ahead is clear." if lang == "en" else "前方道路畅通。") in text
    else:
        clear = "The way ahead is clear up to" if lang == "en" else "前方道路畅通，"
        assert (clear in text) == (met[1] < 0.5)
