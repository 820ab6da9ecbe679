"""Who is in front of whom, as far as masks show it: outlines that stop at another's, and feet on the ground."""

from __future__ import annotations

import numpy as np

from segscape.scene.measures import Measures
from segscape.scene.relation_contact import NO_BODY, ON_SHARE, Contacts
from segscape.scene.relation_junctions import junctions
from segscape.scene.relation_table import Family
from segscape.scene.run_map import RunMap
from segscape.scene.vocabulary import ROLES

RADII_PX = (4, 6)
"""Of the discs around a junction. A larger one sees more of a slow bend, a smaller one too few pixels; who leads in one
of the two alone leads by chance."""
BEND = 0.08
"""How far from half of a disc the share of what is in front may be: pixels and slow bends make up that much. Twice as
far off, where a third of the disc nearly is, its outline does not run on."""
VOID_VOTE = 0.5
"""Where one of the three has no class, its outline may be anything's."""
FOOT_SHARE = 0.1
"""Of the lower edges: wheels and shoes are that much of what faces down."""
FOOT_DROP = 0.2
"""Of the lower height: one foot that much lower than another counts in full."""
FOOT_VOTES = 2.0
"""Of a foot against junctions, which are twice as many where one thing passes behind another."""
IN_FRONT = 0.35
"""One plain junction gives 1/2; this takes a vote of 0.54, or several lesser ones."""

_FLAT = {"cell", "membrane", "background"}
_COMPACT = {"vehicle", "person", "animal", "furniture", "food", "item"}
_STANDS = _COMPACT | {"structure", "vegetation"}
NEVER_FRONT, FLAT, COMPACT, STANDS = (
    np.array([role in roles for role in ROLES]) for roles in (NO_BODY, _FLAT, _COMPACT, _STANDS)
)


def in_front_of(
    measures: Measures, run_map: RunMap, contacts: Contacts, role: np.ndarray, enclosed: np.ndarray, rests: np.ndarray
) -> Family:
    """a in front of b: a's outline runs on where b's ends, and a's foot is lower.

    Junctions. Where exactly three regions meet at a pixel corner, and each has one sector of a disc around it, the
    outline of what is in front runs straight on, so it has half of the disc, and the two others' common outline ends
    there (a T; Guzmán 1968, Rubin 2001). With s a region's share of the disc and its straightness
    q = min(1, max(0, 2 − |s − ½| / `BEND`)), each region's lead is its q less the greatest q of the two others, and its
    vote against both the mean of its leads in the discs of radii `RADII_PX`, if both are above 0; a Y, a third each,
    gives none. With void among the three it counts `VOID_VOTE`.

    Feet. A region stands if at least `FOOT_SHARE` of its lower edges lies on ground. If a stands, and b stands too or
    has a below `ON_SHARE` of its lower edges, and a's bottom is lower by d, a gets
    `FOOT_VOTES` · min(1, d / (`FOOT_DROP` · the lesser height)).

    With V(a, b) the sum of a's votes against b,

        e(a, b) = (V(a, b) − V(b, a)) / (V(a, b) + V(b, a) + 1) = −e(b, a).

    a is in front of b where e ≥ `IN_FRONT`, both have a border in common, a is no ground, sky, water or background,
    neither is a cell or a membrane, and neither contains the other. Of a pair that may be "on", the foot says nothing;
    see `segscape.scene.relations`. strength = e. Evidence: junction_votes and foot_votes, each a's less b's.

    Args:
        role: (N,) index into `ROLES`.
        enclosed, rests: (C,) bool, the same for both directions: contacts where one contains the other, or may rest on
            it.
    """
    back = len(contacts.subject) // 2
    a, b = contacts.subject[:back], contacts.object[:back]
    never = FLAT[role[a]] | FLAT[role[b]] | (NEVER_FRONT[role[a]] & NEVER_FRONT[role[b]])
    kept = np.flatnonzero(~enclosed[:back] & ~never)
    a, b = a[kept], b[kept]
    for_a, for_b = _junction_votes(measures, run_map, a, b)
    evidence = {"junction_votes": for_a - for_b}
    foot = np.where(rests[kept], 0.0, _foot_votes(measures, contacts, role, kept, kept + back))
    evidence["foot_votes"] = foot
    for_a, for_b = for_a + np.maximum(foot, 0), for_b + np.maximum(-foot, 0)
    net = (for_a - for_b) / (for_a + for_b + 1)
    swap = net < 0
    front, behind = np.where(swap, b, a), np.where(swap, a, b)
    kept = np.flatnonzero((np.abs(net) >= IN_FRONT) & ~NEVER_FRONT[role[front]])
    sign = np.where(swap, -1.0, 1.0)[kept]
    return Family(
        "in_front_of",
        front[kept],
        behind[kept],
        np.abs(net[kept]),
        {name: values[kept] * sign for name, values in evidence.items()},
        {name: -values[kept] * sign for name, values in evidence.items()},
    )


def _junction_votes(measures: Measures, run_map: RunMap, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,) votes for a in front of b, and for b in front of a."""
    who, shares = junctions(run_map.first, run_map.x0, run_map.region, run_map.size[1], np.array(RADII_PX))
    straight = np.clip(2 - np.abs(shares - 0.5) / BEND, 0, 1)
    lead = straight - np.maximum(np.roll(straight, 1, axis=2), np.roll(straight, -1, axis=2))
    vote = np.where((lead > 0).all(axis=1), lead.mean(axis=1), 0.0)
    vote[(who >= measures.num_regions).any(axis=1)] *= VOID_VOTE
    total = len(measures.label)
    front, other = who.astype(np.int64), np.stack((np.roll(who, 1, axis=1), np.roll(who, -1, axis=1)))
    keys, at = np.unique(front * total + other, return_inverse=True)
    sums = np.append(np.bincount(at.ravel(), weights=np.stack((vote, vote)).ravel(), minlength=len(keys)), 0.0)
    keys = np.append(keys, -1)

    def votes(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        wanted = one * total + two
        place = np.searchsorted(keys[:-1], wanted)
        return np.where(keys[place] == wanted, sums[place], 0.0)

    return votes(a, b), votes(b, a)


def _foot_votes(
    measures: Measures, contacts: Contacts, role: np.ndarray, forth: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """(P,) votes of the feet of contacts: above 0 for the subject of ``forth``, below for its object."""
    ground = role[contacts.object] == ROLES.index("ground")
    num = measures.num_regions
    on_ground = np.bincount(contacts.subject[ground], weights=contacts.below_px[ground], minlength=num)
    stands = STANDS[role] & (on_ground >= FOOT_SHARE * np.maximum(contacts.down_px, 1))
    a, b = contacts.subject[forth], contacts.object[forth]
    box = measures.box
    drop = (box[a, 3] - box[b, 3]).astype(float)
    height = np.minimum(box[a, 3] - box[a, 1], box[b, 3] - box[b, 1])
    votes = FOOT_VOTES * np.clip(drop / (FOOT_DROP * height), -1, 1)
    low, high = np.where(drop > 0, a, b), np.where(drop > 0, b, a)
    hidden = np.where(drop > 0, contacts.below_px[back], contacts.below_px[forth])
    seen = stands[low] & COMPACT[role[low]] & STANDS[role[high]]
    seen &= stands[high] | (hidden >= ON_SHARE * np.maximum(contacts.down_px[high], 1))
    return np.where(seen, votes, 0.0)
