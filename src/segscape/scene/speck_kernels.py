"""The loops of `segscape.scene.specks`, compiled by numba."""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled
from segscape.scene.run_kernels import join, longer, root_of

BITS = 32  # of a piece's number in a heap's entry, below its area


@compiled
def merge(first, x0, width, piece, label, area_px, least, heap, size):  # type: ignore[no-untyped-def]
    """See `segscape.scene.specks.merge_specks`.

    ``heap`` (P + number of specks,) int64 begins with an entry for each speck, ``size`` in all, ascending: its area
    shifted left by `BITS`, and its number.

    Only specks know their contacts, in linked lists: a piece that is large enough is never asked for them, and lists
    of pieces that become one are joined in one step. A speck goes to one at least as large, so a contact is looked at
    log₂ ``least`` times at most.
    """
    meetings = _meetings(first, x0, width, piece, label, area_px, least)
    head, tail, following = _lists(meetings, label, area_px, least)
    parent, shared, around = np.empty_like(head), np.empty_like(head), np.empty_like(head)
    for p in range(len(label)):
        parent[p], shared[p] = p, -1
    while size:
        entry = heap[0]
        size -= 1
        _sink(heap, size)
        speck, area = entry & ((1 << BITS) - 1), entry >> BITS
        if parent[speck] != speck or area_px[speck] != area:
            continue  # it has become part of another, or larger, since
        num = 0
        contact = head[speck]
        while contact >= 0:
            neighbour = root_of(parent, meetings[contact >> 1, contact & 1])
            if neighbour != speck:
                if shared[neighbour] < 0:
                    shared[neighbour] = 0
                    around[num] = neighbour
                    num += 1
                shared[neighbour] += meetings[contact >> 1, 2]
            contact = following[contact]
        best = -1
        for k in range(num):
            neighbour = around[k]
            if shared[neighbour] > 0 and (best < 0 or _closer(neighbour, best, shared, area_px)):
                best = neighbour
        for k in range(num):
            shared[around[k]] = -1
        if best < 0:
            continue
        label[speck] = label[best]
        for k in range(num):
            neighbour = around[k]
            if label[neighbour] == label[speck]:
                root = join(parent, speck, neighbour)
                gone = speck + neighbour - root
                area_px[root] += area_px[gone]
                if tail[root] < 0:
                    head[root], tail[root] = head[gone], tail[gone]
                elif head[gone] >= 0:
                    following[tail[root]] = head[gone]
                    tail[root] = tail[gone]
                speck = root
        if area_px[speck] < least:
            _rise(heap, size, (area_px[speck] << BITS) | speck)
            size += 1
    for p in range(len(label)):
        parent[p] = root_of(parent, p)
    return parent


@compiled
def _sink(heap, size):  # type: ignore[no-untyped-def]
    """Fill the root of a binary heap with its last entry, which was at ``size``."""
    entry, i = heap[size], 0
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = entry


@compiled
def _rise(heap, size, entry):  # type: ignore[no-untyped-def]
    """Add an entry to a binary heap of ``size``."""
    i = size
    while i and heap[(i - 1) // 2] > entry:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = entry


@compiled
def _closer(one, than, shared, area_px):  # type: ignore[no-untyped-def]
    if shared[one] != shared[than]:
        return shared[one] > shared[than]
    if area_px[one] != area_px[than]:
        return area_px[one] > area_px[than]
    return one < than


@compiled
def _lists(meetings, label, area_px, least):  # type: ignore[no-untyped-def]
    """The contacts of each speck as a linked list: contact 2 m is with the first of meeting m, 2 m + 1 with the second.

    Returns:
        head, tail: (P,) int64 first and last contact of each piece; following: the next of each contact; -1 for none.
    """
    head, tail = np.full(len(label), -1, np.int64), np.full(len(label), -1, np.int64)
    following = np.full(2 * len(meetings), -1, np.int64)
    for contact in range(len(following)):
        speck = meetings[contact >> 1, 1 - (contact & 1)]
        if area_px[speck] < least:
            if tail[speck] < 0:
                head[speck] = contact
            else:
                following[tail[speck]] = contact
            tail[speck] = contact
    return head, tail, following


@compiled
def _meetings(first, x0, width, piece, label, area_px, least):  # type: ignore[no-untyped-def]
    """(M, 3) int64: two labelled pieces, one of them a speck, and how many pixel edges they share; 0 at a corner."""
    table = np.empty((1024, 3), np.int64)
    num = 0
    for y in range(len(first) - 1):
        # Of a row there are five a run at most, of its own and of the row above.
        needed = num + 5 * (first[y + 1] - first[max(y - 1, 0)])
        if needed > len(table):
            table = longer(table, num, 2 * needed)
        for j in range(first[y] + 1, first[y + 1]):
            num = _note(piece[j - 1], piece[j], 1, label, area_px, least, table, num)
        if y == 0:
            continue
        i, j = first[y - 1], first[y]
        end_i, end_j = first[y], first[y + 1]
        while i < end_i and j < end_j:
            stop_i = x0[i + 1] if i + 1 < end_i else width
            stop_j = x0[j + 1] if j + 1 < end_j else width
            overlap = min(stop_i, stop_j) - max(x0[i], x0[j])
            num = _note(piece[i], piece[j], overlap, label, area_px, least, table, num)
            if stop_i == stop_j and stop_i < width:
                num = _note(piece[i], piece[j + 1], 0, label, area_px, least, table, num)
                num = _note(piece[i + 1], piece[j], 0, label, area_px, least, table, num)
            i, j = i + (stop_i <= stop_j), j + (stop_j <= stop_i)
    return table[:num]


@compiled
def _note(p, q, edges, label, area_px, least, table, num):  # type: ignore[no-untyped-def]
    """Write a meeting of p and q at ``num`` of the table if it is one; how many there are then."""
    if p == q or label[p] < 0 or label[q] < 0 or min(area_px[p], area_px[q]) >= least:
        return num
    table[num, 0], table[num, 1], table[num, 2] = p, q, edges
    return num + 1
