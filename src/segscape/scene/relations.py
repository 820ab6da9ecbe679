"""How regions lie to one another: the table of all relations of a scene.

Each relation is defined, as a formula over pixels, where it is computed:

=========================  =====================================================
touches                    `segscape.scene.relation_contact.touches`
on, supports               `segscape.scene.relation_contact.on`
inside, contains           `segscape.scene.relation_contact.contains`
surrounds, surrounded_by   `segscape.scene.relation_contact.surrounds`
left_of, right_of,         `segscape.scene.relation_space.directions`
above, below
near                       `segscape.scene.relation_space.near`
between                    `segscape.scene.relation_space.between`
in_front_of, behind        `segscape.scene.relation_depth.in_front_of`
=========================  =====================================================

What one relation says no weaker one repeats: where a contains, surrounds or rests on b, the pair has no direction, is
not near, and is no side of "between". What is inside is neither in front nor behind. What rests on another is in front
of it, which is not said again; but where junctions show it behind, its foot is hidden, and it does not rest there. What
is a background (by role) has contacts and contents, but no place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segscape.errors import InputError
from segscape.scene import relation_contact as contact
from segscape.scene import relation_space as space
from segscape.scene.measures import Borders, Measures
from segscape.scene.relation_depth import in_front_of
from segscape.scene.relation_kernels import encloses
from segscape.scene.relation_table import Family, relations_from, strongest
from segscape.scene.run_map import RunMap
from segscape.scene.scene import Relation
from segscape.scene.vocabulary import ROLES


def relations_of(
    measures: Measures,
    borders: Borders,
    run_map: RunMap,
    roles: Sequence[str],
    thing: np.ndarray,
    most: int = 8,
) -> tuple[Relation, ...]:
    """All relations between the named regions of a scene.

    Of each predicate a region keeps the ``most`` strongest; a pair stays if either end keeps it, and then in both
    directions, so there are at most 2 · most · N of one predicate. Candidates come from the region adjacency graph and
    from nearest neighbours (`segscape.scene.relation_space.candidates`), never from all pairs.

    Args:
        measures, borders, run_map: of one image, `segscape.scene.regions.regions_of`.
        roles: what each class is, of `segscape.scene.vocabulary.ROLES`.
        thing: (classes,) bool.
        most: of each predicate for each region, at least 1.

    Returns:
        relations by subject, predicate (in the order of `PREDICATES`), object; strengths and evidence to four decimals.

    Raises:
        InputError: most is below 1.
    """
    if most < 1:
        raise InputError(f"a scene keeps at least 1 relation of each predicate for each region, not {most}")
    num = measures.num_regions
    if num < 2:
        return ()
    label = measures.label[:num]
    role = np.array([ROLES.index(name) for name in roles], np.int64)[label]
    things = np.zeros(len(measures.label), bool)
    things[:num] = thing[label]

    contacts = contact.contacts_of(measures, borders)
    enclosing = contact.enclosing_of(measures, borders)
    carried = contact.on(measures, contacts, role)
    bays = contact.surrounds(contacts, enclosing)

    def enclosed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        root = len(enclosing) - 1
        return encloses(enclosing, root, a, b) | encloses(enclosing, root, b, a)

    a, b = contacts.subject, contacts.object
    front = in_front_of(measures, run_map, contacts, role, enclosed(a, b), _within(num, a, b, carried))
    carried = carried.where(~_holds(num, carried.object, carried.subject, front))
    front = front.where(~_holds(num, front.subject, front.object, carried))

    first, second, touching = space.candidates(measures, borders, things[:num])
    backdrop = role == ROLES.index("background")
    free = ~backdrop[first] & ~backdrop[second] & ~enclosed(first, second)
    free &= ~_within(num, first, second, carried) & ~_within(num, first, second, bays)
    close = space.near(measures, run_map, first[free & ~touching], second[free & ~touching])
    families = (
        contact.touches(measures, contacts),
        carried,
        contact.contains(measures, contacts, enclosing),
        *space.directions(measures, first[free], second[free]),
        front,
        close,
        bays,
    )
    sides = space.between(measures, (first[free & touching], second[free & touching]), close, things)
    return relations_from([*(strongest(family, most) for family in families), sides])


def _holds(num: int, a: np.ndarray, b: np.ndarray, family: Family) -> np.ndarray:
    """(P,) bool, whether the family says it of (a, b)."""
    return np.isin(a * num + b, family.subject * num + family.object)


def _within(num: int, a: np.ndarray, b: np.ndarray, family: Family) -> np.ndarray:
    """(P,) bool, whether the family says it of (a, b) or of (b, a)."""
    return _holds(num, a, b, family) | _holds(num, b, a, family)
