"""Simple ways to keep lessons, on the same inputs as `feeding.py`: what a book becomes that only adds, or that replaces what is near.

`add only`: every lesson is another bullet, as in ACE's published playbooks. `literal`: but none whose advice stands there word for word.
`replace`: the nearest one is overwritten from a cosine of 0.95 on, as a memory store does that updates by similarity alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from feeding import TWINS, Fed, best_of, fed, seen_by, shuffled, twin_share
from sections import Table, remembering

from langchain_reflect.index.base import Vectors
from langchain_reflect.reflection.drafting import plain
from langchain_reflect.types import LessonDraft

REPLACED = 0.95
Keep = Callable[[list[int], Sequence[LessonDraft], Vectors], list[int]]
"""The book so far and the inputs, as indices, and what becomes of it with all inputs once more."""


def add_only(book: list[int], drafts: Sequence[LessonDraft], rows: Vectors) -> list[int]:
    """Everything is kept."""
    del rows
    return [*book, *range(len(drafts))]


def literal(book: list[int], drafts: Sequence[LessonDraft], rows: Vectors) -> list[int]:
    """The first of those that say literally the same is kept."""
    del rows
    said = dict.fromkeys(plain(drafts[i].do) for i in book)
    kept = list(book)
    for i, draft in enumerate(drafts):
        if (text := plain(draft.do)) not in said:
            said[text] = None
            kept.append(i)
    return kept


def replace(book: list[int], drafts: Sequence[LessonDraft], rows: Vectors) -> list[int]:
    """The last of those that are near is kept."""
    kept = list(book)
    for i in range(len(drafts)):
        cosines = rows[kept] @ rows[i] if kept else np.zeros(0)
        if len(cosines) and cosines.max() >= REPLACED:
            kept[int(cosines.argmax())] = i
        else:
            kept.append(i)
    return kept


WAYS: dict[str, Keep] = {"add only": add_only, "literal": literal, f"replace from {REPLACED}": replace}
HEAD = ["source", "way", "lessons", "of ours", "added again", "near-twins", "inputs not covered", "episodes lost"]


def keeping(data: Path, limit: int) -> Table:
    """Each source, kept in each way."""
    rows = [row for each in fed(data, limit) for row in compared(each)]
    note = f"near-twins: {TWINS} or more, from one kind of task. Covered: by a lesson above our calibrated `alike`."
    return Table("keeping", HEAD, rows, note)


def compared(ours: Fed) -> list[list[str]]:
    """Our book against the same inputs, in the same order, kept in other ways."""
    drafts = shuffled(ours.drafts, 0)
    rows, tasks = seen_by(remembering(), drafts)
    worth = ours.worth
    first = [
        "ours",
        str(worth.served),
        "1.0",
        str(ours.again.added),
        f"{worth.twins:.1%}",
        str(ours.inputs - worth.covered),
        str(worth.unsupported),
    ]
    found = [[ours.name, *first]]
    for name, keep in WAYS.items():
        book = keep([], drafts, rows)
        again = len(keep(book, drafts, rows)) - len(book)
        twins = twin_share(rows[book], [tasks[i] for i in book])
        bare = int((best_of(rows, rows[book]) < ours.alike).sum())
        lost = len(drafts) - len(set(book))
        found.append(
            ["", name, str(len(book)), f"{len(book) / max(1, worth.served):.1f}", str(again), f"{twins:.1%}", str(bare), str(lost)]
        )
    return found
