"""The definitions of relations once more, by brute force over pixels, for small scenes of any kind.

Slow, plain, and independent of `segscape.scene.relations`: no runs, every pair looked at. Only what defines the words,
the table `CARRIES` and the constants, is the same.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from segscape.scene import relation_contact as contact
from segscape.scene import relation_depth as depth
from segscape.scene import relation_space as space
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation
from segscape.scene.vocabulary import ROLES

Key = tuple[int, str, int, int | None]


class Truth:
    """The relations of regions given as a dense map: (H, W) numbers from 0 on, those from ``num`` on void.

    roles, thing and label are those of each region.
    """

    def __init__(self, dense: np.ndarray, num: int, roles: Sequence[str], thing: Sequence[bool], label: Sequence[int]):
        self.dense, self.num, self.roles, self.thing, self.label = dense, num, roles, thing, label
        self.rows = range(num)
        height, width = dense.shape
        everything = range(int(dense.max()) + 1)
        self.area = {a: int((dense == a).sum()) for a in everything}
        self.common: dict[tuple[int, int], int] = defaultdict(int)
        self.below: dict[tuple[int, int], int] = defaultdict(int)
        self.edges: dict[int, int] = defaultdict(int)
        self.lower: dict[int, int] = defaultdict(int)
        framed = np.pad(dense, 1, constant_values=-9)
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            beside = framed[1 + dy : height + 1 + dy, 1 + dx : width + 1 + dx]
            pairs = zip(dense[beside != dense].tolist(), beside[beside != dense].tolist(), strict=True)
            for (a, b), times in Counter(pairs).items():
                self.edges[a] += times
                self.common[a, b] += times
                self.lower[a] += times * (dy == 1 and b != -9)
                self.below[a, b] += times * (dy == 1)
        ys, xs = np.mgrid[:height, :width]
        self.centre = {a: (xs[dense == a].mean() + 0.5, ys[dense == a].mean() + 0.5) for a in self.rows}
        self.box = {
            a: (xs[dense == a].min(), ys[dense == a].min(), xs[dense == a].max() + 1, ys[dense == a].max() + 1)
            for a in self.rows
        }
        beside = [framed[1:-1, 2:], framed[1:-1, :-2], framed[2:, 1:-1], framed[:-2, 1:-1]]
        self.outline = np.any([other != dense for other in beside], axis=0)
        self.enclosers = {a: {b for b in self.rows if b != a and not self._gets_out(a, b)} for a in self.rows}
        front, carried = self._in_front_of(), self._on()
        self.on = {k: v for k, v in carried.items() if (k[1], k[0]) not in front}
        self.front = {k: v for k, v in front.items() if k not in self.on}
        self.surrounds = self._surrounds()

    def _gets_out(self, a: int, b: int) -> bool:
        seen, todo = {a}, [a]
        while todo:
            here = todo.pop()
            if (here, -9) in self.common:
                return True
            for x, y in self.common:
                if x == here and y not in seen and y != b:
                    seen.add(y)
                    todo.append(y)
        return False

    def _on(self) -> dict[tuple[int, int], float]:
        found = {}
        for a, b in itertools.permutations(self.rows, 2):
            support = self.below[a, b] / max(self.lower[a], 1)
            fits = contact.CARRIES[ROLES.index(self.roles[b]), ROLES.index(self.roles[a])]
            hidden = (self.roles[a], self.roles[b]) == ("person", "vehicle") and self.area[b] > 3 * self.area[a]
            if support >= 0.3 and self.box[b][3] > self.box[a][3] and fits and not hidden:
                found[a, b] = support
        plane = {a for a in self.rows if self.roles[a] in ("ground", "water")}
        stands = {a for a, b in found if b in plane}
        return {(a, b): s for (a, b), s in found.items() if b in plane or a not in stands}

    def _surrounds(self) -> dict[tuple[int, int], float]:
        share = {(a, b): self.common[a, b] / self.edges[a] for a, b in itertools.permutations(self.rows, 2)}
        return {(b, a): s for (a, b), s in share.items() if s >= 0.6 and s > share[b, a] and b not in self.enclosers[a]}

    def _in_front_of(self) -> dict[tuple[int, int], float]:
        votes: dict[tuple[int, int], float] = defaultdict(float)
        height, width = self.dense.shape
        big = max(depth.RADII_PX)
        blocks = [self.dense[:-1, :-1], self.dense[:-1, 1:], self.dense[1:, :-1], self.dense[1:, 1:]]
        distinct = 1 + (np.diff(np.sort(blocks, axis=0), axis=0) != 0).sum(axis=0)
        for y, x in (np.argwhere(distinct == 3) + 1).tolist():
            if not (big <= y <= height - big and big <= x <= width - big):
                continue
            three = {int(r) for r in self.dense[y - 1 : y + 1, x - 1 : x + 1].ravel()}
            leads = []
            for radius in depth.RADII_PX:
                turns = 2 * math.pi * np.arange(8 * big) / (8 * big)
                rim = self.dense[
                    np.floor(y + (radius - 0.5) * np.sin(turns)).astype(int),
                    np.floor(x + (radius - 0.5) * np.cos(turns)).astype(int),
                ]
                if (rim != np.roll(rim, 1)).sum() != 3:
                    break
                dy, dx = np.mgrid[-radius:radius, -radius:radius] + 0.5
                disc = self.dense[y - radius : y + radius, x - radius : x + radius][np.hypot(dy, dx) <= radius]
                q = {r: float(np.clip(2 - abs((disc == r).mean() - 0.5) / depth.BEND, 0, 1)) for r in three}
                leads.append({r: q[r] - max(q[s] for s in three - {r}) for r in three})
            else:
                for r in three:
                    if all(lead[r] > 0 for lead in leads):
                        vote = sum(lead[r] for lead in leads) / len(leads)
                        for s in three - {r}:
                            votes[r, s] += vote * (depth.VOID_VOTE if max(three) >= self.num else 1)
        found = {}
        flat, never = {"cell", "membrane", "background"}, {"ground", "sky", "water"}
        on = self._on()
        for a, b in itertools.permutations(self.rows, 2):
            if not self.common[a, b] or a in self.enclosers[b] or b in self.enclosers[a]:
                continue
            if {self.roles[a], self.roles[b]} & flat or self.roles[a] in never:
                continue
            mine, theirs = votes[a, b], votes[b, a]
            if (a, b) not in on and (b, a) not in on:
                mine, theirs = mine + self._foot(a, b), theirs + self._foot(b, a)
            strength = (mine - theirs) / (mine + theirs + 1)
            if strength >= depth.IN_FRONT:
                found[a, b] = strength
        return found

    def _foot(self, a: int, b: int) -> float:
        """a's votes against b."""
        compact = {"vehicle", "person", "animal", "furniture", "food", "item"}
        drop = self.box[a][3] - self.box[b][3]
        if self.roles[a] not in compact or self.roles[b] not in compact | {"structure", "vegetation"} or drop <= 0:
            return 0.0

        def stands(c: int) -> bool:
            ground = sum(self.below[c, d] for d in self.rows if self.roles[d] == "ground")
            return ground >= 0.1 * max(self.lower[c], 1)

        if not stands(a) or not (stands(b) or self.below[b, a] >= 0.3 * max(self.lower[b], 1)):
            return 0.0
        height = min(self.box[c][3] - self.box[c][1] for c in (a, b))
        return depth.FOOT_VOTES * min(1.0, drop / (depth.FOOT_DROP * height))

    def gap(self, a: int, b: int) -> float:
        (ya, xa), (yb, xb) = (np.nonzero((self.dense == c) & self.outline) for c in (a, b))
        dy = np.maximum(np.abs(ya[:, None] - yb) - 1, 0)
        dx = np.maximum(np.abs(xa[:, None] - xb) - 1, 0)
        return math.sqrt((dy * dy + dx * dx).min())

    def strengths(self) -> dict[Key, float]:
        """(subject, predicate, object, other) by id -> strength, of all relations, however many."""
        found: dict[Key, float] = {}

        def say(a: int, predicate: str, b: int, strength: float, other: int | None = None) -> None:
            found[a + 1, predicate, b + 1, None if other is None else other + 1] = strength
            if (inverse := PREDICATES[predicate].inverse) is not None:
                found[b + 1, inverse, a + 1, None] = strength

        closeness: dict[tuple[int, int], float] = {}
        for a, b in itertools.combinations(self.rows, 2):
            if common := self.common[a, b]:
                say(a, "touches", b, common / min(self.edges[a], self.edges[b]))
            nested = a in self.enclosers[b] or b in self.enclosers[a]
            told = any(pair in told for told in (self.on, self.surrounds) for pair in ((a, b), (b, a)))
            if nested or told or "background" in (self.roles[a], self.roles[b]):
                continue
            self._say_direction(a, b, say)
            width = (self.area[a] * self.area[b]) ** 0.25
            if common:
                closeness[a, b] = closeness[b, a] = 1.0
            elif (gap := self.gap(a, b)) < width:
                closeness[a, b] = closeness[b, a] = 1 - gap / width
                say(a, "near", b, 1 - gap / width)
        for predicate, pairs in (("on", self.on), ("in_front_of", self.front), ("surrounds", self.surrounds)):
            for (a, b), strength in pairs.items():
                say(a, predicate, b, strength)
        for a, around in self.enclosers.items():
            for b in around:
                if around - {b} <= self.enclosers[b]:
                    say(b, "contains", a, 1.0)
        for a in self.rows:
            for b, c, strength in self._between(a, closeness):
                say(a, "between", b, strength, c)
        return found

    def _say_direction(self, a: int, b: int, say) -> None:  # type: ignore[no-untyped-def]
        dx, dy = self.centre[b][0] - self.centre[a][0], self.centre[b][1] - self.centre[a][1]
        axis = 0 if abs(dx) > abs(dy) else 1
        covered = min(self.box[a][axis + 2], self.box[b][axis + 2]) - max(self.box[a][axis], self.box[b][axis])
        overlap = max(covered, 0) / min(self.box[c][axis + 2] - self.box[c][axis] for c in (a, b))
        strength = (1 - overlap) * abs(math.cos(2 * math.atan2(dy, dx)))
        if overlap <= space.OVERLAP and round(strength, 4) > 0:
            first, second = (a, b) if (dx, dy)[axis] > 0 else (b, a)
            say(first, ("left_of", "above")[axis], second, strength)

    def _between(self, a: int, closeness: dict[tuple[int, int], float]) -> list[tuple[int, int, float]]:
        found = []
        sides = [b for b in self.rows if (a, b) in closeness and self.area[b] >= 0.1 * self.area[a]]
        sides = [b for b in sides if math.dist(self.centre[a], self.centre[b]) > 1e-6]
        for b, c in itertools.combinations(sides, 2):
            if not (self.thing[b] and self.thing[c]) and self.label[b] != self.label[c]:
                continue
            (x, y), (bx, by), (cx, cy) = self.centre[a], self.centre[b], self.centre[c]
            turn = math.atan2(by - y, bx - x), math.atan2(cy - y, cx - x)
            angle = abs((math.degrees(turn[0] - turn[1]) + 180) % 360 - 180)
            strength = round((angle - 150) / 30 * min(closeness[a, b], closeness[a, c]), 4)
            if strength > 0:
                found.append((b, c, strength))
        return sorted(found, key=lambda f: (-f[2], f[0], f[1]))[:2]


def strengths_of(relations: Sequence[Relation]) -> dict[Key, float]:
    """Relations in the form of `Truth.strengths`."""
    return {(r.subject, r.predicate, r.object, r.other): r.strength for r in relations}
