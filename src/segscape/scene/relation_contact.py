"""Relations of regions that meet, all read off the borders they have in common: touches, on, contains, surrounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segscape.scene.measures import Borders, Measures
from segscape.scene.relation_kernels import containers, encloses
from segscape.scene.relation_table import Family
from segscape.scene.vocabulary import ROLES

ON_SHARE = 0.3
"""A third of the lower border, less what hand-drawn and predicted outlines blur: a car's tyres, bumpers and shadow make
up about that much, while a region that only leans against another has less of it below."""
RIDER_RATIO = 3
"""A bicycle is about as large as who rides it, a horse up to three times; a car over which one sees a person, more."""
SURROUND_SHARE = 0.6
"""More than a straight strip beside, above or below a region can have in common with it, which is half at most."""

NO_BODY = {"ground", "sky", "water", "background", "cell", "membrane"}
"""Roles of what rests on nothing and is in front of nothing."""
_CARRIED = set(ROLES) - NO_BODY
_CARRIES = {
    "ground": _CARRIED,
    "water": _CARRIED,
    "structure": {"item", "food", "furniture"},
    "vegetation": {"animal", "food"},
    "vehicle": {"person", "animal", "item", "food"},
    "person": {"item", "food"},
    "animal": {"person", "item"},
    "furniture": {"item", "food", "animal", "person", "furniture", "vegetation"},
    "food": {"item", "food"},
    "item": {"item", "food", "animal", "person", "vegetation"},
    "unknown": _CARRIED,
}
"""Role -> roles that may rest on it. Below something in the picture is also what hides its foot: behind a car, a
building ends where the car begins. What cannot be carried is hidden, and left to `segscape.scene.relation_depth`."""
CARRIES = np.array([[a in _CARRIES.get(b, ()) or (a == "unknown" and b in _CARRIED) for a in ROLES] for b in ROLES])
"""(roles, roles) bool, whether the second may rest on the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """Pairs of named regions with a border in common, each in both directions.

    Attributes:
        subject, object: (C,) rows.
        length_px: (C,) int64 pixel edges in common.
        below_px: (C,) int64 of them, those where the object lies below.
        down_px: (N,) int64 edges of each region that have something else below, the frame not counted.
        share: (C,) float64 length_px over the subject's border.
    """

    subject: np.ndarray
    object: np.ndarray
    length_px: np.ndarray
    below_px: np.ndarray
    down_px: np.ndarray
    share: np.ndarray


def contacts_of(measures: Measures, borders: Borders) -> Contacts:
    """The contacts of named regions."""
    num = measures.num_regions
    subject = np.concatenate((borders.first, borders.second)).astype(np.int64)
    object_ = np.concatenate((borders.second, borders.first)).astype(np.int64)
    below = np.concatenate((borders.edges_px[:, 1], borders.edges_px[:, 3]))
    down = np.bincount(subject, weights=below, minlength=num)[:num].astype(np.int64)
    length = np.concatenate((borders.length_px, borders.length_px))
    named = (subject < num) & (object_ < num)
    subject, object_, length = subject[named], object_[named], length[named]
    return Contacts(subject, object_, length, below[named], down, length / measures.border_px[subject])


def touches(measures: Measures, contacts: Contacts) -> Family:
    """a touches b: they have pixel edges in common (4-neighbours); a corner is not enough.

    strength = |edges in common| / min(border_px(a), border_px(b)). Evidence: border_px, the edges in common;
    share_of_subject, over border_px(a).
    """
    back = len(contacts.subject) // 2
    a, b, length = contacts.subject[:back], contacts.object[:back], contacts.length_px[:back]
    return Family(
        "touches",
        a,
        b,
        length / np.minimum(measures.border_px[a], measures.border_px[b]),
        {"border_px": length, "share_of_subject": contacts.share[:back]},
        {"share_of_subject": contacts.share[back:]},
    )


def on(measures: Measures, contacts: Contacts, role: np.ndarray) -> Family:
    """a on b: a rests on b.

    support(a, b) = |lower edges of a with b below| / |lower edges of a|. a is on b where

        support(a, b) ≥ `ON_SHARE`,  bottom(b) > bottom(a),  and b may carry a (`CARRIES`),

    and moreover: a vehicle carries a person only up to `RIDER_RATIO` times its size (a car hides a person's legs), and
    what rests on the ground or on water rests on nothing else. bottom rises along "on", so it has no cycle, and what
    the frame cuts off below is on nothing. strength = support. Evidence: contact_px, lower edges of a with b below;
    support.

    Args:
        role: (N,) index into `ROLES`.
    """
    a, b = contacts.subject, contacts.object
    support = contacts.below_px / np.maximum(contacts.down_px[a], 1)
    area, bottom = measures.area_px, measures.box[:, 3]
    rider = (role[a] == ROLES.index("person")) & (role[b] == ROLES.index("vehicle"))
    kept = (support >= ON_SHARE) & (bottom[b] > bottom[a]) & CARRIES[role[b], role[a]]
    kept &= ~(rider & (area[b] > RIDER_RATIO * area[a]))
    plane = np.isin(role, [ROLES.index("ground"), ROLES.index("water")])
    stands = np.zeros(measures.num_regions, bool)
    stands[a[kept & plane[b]]] = True
    kept &= plane[b] | ~stands[a]
    a, b = a[kept], b[kept]
    return Family("on", a, b, support[kept], {"contact_px": contacts.below_px[kept], "support": support[kept]})


def enclosing_of(measures: Measures, borders: Borders) -> np.ndarray:
    """(M + 1,) int64: for each row the last row that every way from the frame to it meets, M if there is none.

    A way goes from region to region over pixel edges and starts outside the picture, which is node M.
    """
    total = len(measures.label)
    edge = np.flatnonzero(measures.frame_px.any(axis=1))
    outside = np.full(len(edge), total)
    source = np.concatenate((borders.first, borders.second, edge, outside))
    target = np.concatenate((borders.second, borders.first, outside, edge))
    start = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=total + 1))))
    return containers(start, target[np.argsort(source, kind="stable")], total)


def contains(measures: Measures, contacts: Contacts, enclosing: np.ndarray) -> Family:
    """b contains a: every way from a to the frame, over pixel edges from region to region, meets b.

    That is, b dominates a in the region adjacency graph rooted at what lies outside the picture. Only the innermost
    such region is listed, pieces without a class left out; so each region has one container at most and "contains" is a
    forest. strength = 1. Evidence: share_of_border, the edges in common over border_px(a).

    Args:
        enclosing: of `enclosing_of`.
    """
    num, outside = measures.num_regions, len(enclosing) - 1
    container = enclosing[:num].copy()
    while (void := (container >= num) & (container < outside)).any():
        container[void] = enclosing[container[void]]
    inner = np.flatnonzero(container < num)
    outer = container[inner]
    key = contacts.subject * num + contacts.object
    order = np.argsort(key)
    wanted = inner * num + outer
    place = np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))
    share = np.zeros(len(inner))
    if len(key):
        found = order[place]
        share = np.where(key[found] == wanted, contacts.share[found], 0.0)
    return Family("contains", outer, inner, np.ones(len(inner)), {"share_of_border": share})


def surrounds(contacts: Contacts, enclosing: np.ndarray) -> Family:
    """b surrounds a: b is on most sides of a, without closing it in.

    share(a, b) = |edges in common| / border_px(a), the frame being part of a's border. b surrounds a where

        share(a, b) ≥ `SURROUND_SHARE`,  share(a, b) > share(b, a),  and b does not contain a.

    strength = share. Evidence: share_of_border, the same.

    Args:
        enclosing: of `enclosing_of`.
    """
    back = len(contacts.subject) // 2
    mirrored = np.concatenate((contacts.share[back:], contacts.share[:back]))
    kept = (contacts.share >= SURROUND_SHARE) & (contacts.share > mirrored)
    a, b, share = contacts.subject[kept], contacts.object[kept], contacts.share[kept]
    kept = ~encloses(enclosing, len(enclosing) - 1, b, a)
    return Family("surrounds", b[kept], a[kept], share[kept], {"share_of_border": share[kept]})
