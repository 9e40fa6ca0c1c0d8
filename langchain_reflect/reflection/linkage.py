"""Which lessons of a namespace may be one lesson. Pure.

Complete linkage: in a cluster every two lessons are near and come from tasks of one kind, so that a chain of neighbours does not glue
lessons together that have nothing in common. The order in which lessons are given does not matter.
"""

import heapq
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from langchain_reflect.lessons.shelf import Shelf, are_related
from langchain_reflect.types import SERVABLE, Lesson

_ROWS: Final = 1000
"""Rows of the matrix of cosines that are looked at in one go: twenty thousand lessons would fill a gigabyte."""
Links = dict[int, dict[int, float]]


def lesson_clusters(shelf: Shelf, *, least: float, similar: float, most: int, apart: Collection[str] = ()) -> list[tuple[Lesson, ...]]:
    """Groups of served lessons that are near to each other, nearest group first; lessons without such neighbours are in none.

    Args:
        shelf: The lessons of a namespace.
        least: Smallest cosine between any two of a cluster.
        similar: Cosine from which two tasks are of one kind.
        most: Most lessons of a cluster, two or more.
        apart: Ids of lessons that are left out.
    """
    served = [i for i, lesson in enumerate(shelf.lessons) if lesson.status in SERVABLE and lesson.id not in apart]
    order = sorted(served, key=lambda i: shelf.lessons[i].id)
    found = _joined(_links(shelf, order, least, similar), most)
    return [tuple(shelf.lessons[order[i]] for i in members) for members in found]


def _links(shelf: Shelf, order: Sequence[int], least: float, similar: float) -> Links:
    """The cosine of every pair that may be together, in both directions, by place in `order`."""
    links: Links = {}
    texts = shelf.texts[list(order)] if order else np.zeros((0, 0), np.float32)
    for start in range(0, len(order), _ROWS):
        cosines = texts[start : start + _ROWS] @ texts.T
        for row, other in np.argwhere(cosines >= least).tolist():
            one = start + row
            if one < other and are_related(shelf.tasks[order[one]], shelf.tasks[order[other]], similar):
                links.setdefault(one, {})[other] = links.setdefault(other, {})[one] = float(cosines[row, other])
    return links


def _joined(links: Links, most: int) -> list[tuple[int, ...]]:
    """Join the two groups whose farthest members are nearest, as long as there are two that fit together."""
    members: dict[int, tuple[int, ...]] = {i: (i,) for i in links}
    linkage: dict[int, float] = {}
    heap = [(-cosine, one, other) for one, row in links.items() for other, cosine in row.items() if one < other]
    heapq.heapify(heap)
    while heap:
        far, one, other = heapq.heappop(heap)
        if links.get(one, {}).get(other) != -far or len(members[one]) + len(members[other]) > most:
            continue
        members[one] += members.pop(other)
        linkage[one] = -far
        for third in _join(links, one, other):
            heapq.heappush(heap, (-links[one][third], min(one, third), max(one, third)))
    found = [group for group in members if len(members[group]) > 1]
    return [tuple(sorted(members[group])) for group in sorted(found, key=lambda g: (-linkage[g], g))]


def _join(links: Links, one: int, other: int) -> list[int]:
    """Let a group stand for another as well; it is linked with what both were linked with. Returns those."""
    mine, theirs = links[one], links.pop(other)
    for third in (mine.keys() | theirs.keys()) - {one, other}:
        links[third].pop(one, None)
        links[third].pop(other, None)
    shared = sorted((mine.keys() & theirs.keys()) - {one, other})
    links[one] = {third: min(mine[third], theirs[third]) for third in shared}
    for third in shared:
        links[third][one] = links[one][third]
    return shared
