"""Recorded lessons of other people's agents go into one book as drafts, twice, in random order: is it small, true and complete?

Each lesson counts as learned from one episode of its own. No model is asked: where it would be, the calibrated threshold `alike` decides
alone, among lessons from tasks of one kind.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
from sections import Table, Vector, lines, remembering

from langchain_reflect.index.base import Vectors
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.lessons.edits import MAX_FIELD_CHARS, MAX_TASK_CHARS
from langchain_reflect.lessons.likeness import says_same
from langchain_reflect.lessons.safety import clean_text
from langchain_reflect.lessons.shelf import are_related, read_shelf, vectors_of
from langchain_reflect.reflection.candidates import candidates, placed
from langchain_reflect.reflection.curation import Candidate, Curation, Judged, Measures, measures_of
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.schemas import SHORT, CurateAnswer, shorten
from langchain_reflect.types import SERVABLE, Lesson, LessonDraft, Namespace, RolloutGroup

SPACE: Namespace = ("recorded",)
BATCH = 50
"""Drafts of one commit."""
CAP = 200
ORDERS = 4
TWINS = 0.90
"""Cosine from which two lessons of one kind of task are near-twins."""
POLICY = ReflectionPolicy(max_lessons=None)
GROUP = RolloutGroup(key="recorded", namespace=SPACE, graph="", task="", rollouts=())


@dataclass
class Tally:
    """What became of the drafts of one or several passes."""

    drafts: int = 0
    added: int = 0
    repeats: int = 0
    """Taken for a lesson by code alone."""
    strangers: int = 0
    """Near to nothing, so code alone added them."""
    asked: int = 0
    merged: int = 0
    """Of the asked: above `alike`."""
    doubted: int = 0
    """Of the merged: `says_same` speaks against it."""
    reasons: dict[UUID, str] = field(default_factory=dict)
    """Why an episode's draft was not taken."""
    seconds: Counter[str] = field(default_factory=Counter)
    """By phase."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        started = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - started  # type: ignore[assignment]  # seconds are no whole numbers

    def per_thousand(self) -> float:
        """Seconds for 1,000 drafts, without embedding them."""
        return 1000 * sum(s for phase, s in self.seconds.items() if phase != "embed") / max(1, self.drafts)


def drafts_of(rows: Sequence[Mapping[str, Any]]) -> list[LessonDraft]:
    """Recorded lessons as a reflection would have drafted them, each with an episode of its own."""
    return [_draft(row) for row in rows]


def _draft(row: Mapping[str, Any]) -> LessonDraft:
    meta = row["meta"]
    when = meta.get("when_to_use") or " ".join(dict.fromkeys(w for w in (meta.get("family"), row["domain"], "tasks") if w))
    said = str(row["text"]).removeprefix(f"When: {when}").strip()
    text = clean_text(LessonDraft(when=shorten(when, SHORT), do=shorten(said, MAX_FIELD_CHARS)))
    tasks = tuple(filter(None, [str(meta.get("source_task_text") or "").strip()]))
    return LessonDraft(when=text.when, do=text.do, cites=(episode_of(row),), tasks=tasks)


def episode_of(row: Mapping[str, Any]) -> UUID:
    """The one episode that a recorded lesson counts as learned from."""
    return uuid5(NAMESPACE_URL, row["id"])


@contextmanager
def new_book(embedder: Embedder) -> Iterator[LessonBook]:
    """An empty book on a ledger of its own."""
    with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
        yield LessonBook(ledger, ExactIndex(), embedder)


def feed(drafts: Sequence[LessonDraft], book: LessonBook, *, turn: str, cap: int | None = None) -> Tally:
    """Curate drafts and commit them, some at a time, as the nodes of the reflection do.

    Args:
        drafts: In this order.
        book: Where they go.
        turn: Makes the ids of the reflections.
        cap: Most served lessons.
    """
    tally, measures = Tally(), measures_of(POLICY, likeness_of(book.embedder, book.ledger))
    for start in range(0, len(drafts), BATCH):
        _feed(drafts[start : start + BATCH], book, tally, measures=measures, actor=f"R-{turn}-{start}", cap=cap)
    return tally


def _feed(drafts: Sequence[LessonDraft], book: LessonBook, tally: Tally, *, measures: Measures, actor: str, cap: int | None) -> None:
    mine = placed([Studied(group=0, drafts=tuple(drafts))], [GROUP])
    said = [d.key_text() for d in drafts]
    with tally.timed("embed"):
        vectors = vectors_of(book.ledger, book.embedder, [task for each in mine for task in each.draft.tasks])
        vectors |= dict(zip(said, book.embedder.embed_documents(said), strict=True))
    with tally.timed("read"):
        shelf = read_shelf(book.ledger, book.embedder, SPACE)
    with tally.timed("compare"):
        curation = Curation(measures, {SPACE: shelf}, {})
        for candidate in candidates(mine, vectors):
            _curate(candidate, curation, measures, tally)
    with tally.timed("commit"):
        done = book.commit([p.edit for p in curation.proposals], namespace=SPACE, actor=actor, cap=cap)
    tally.drafts += len(drafts)
    tally.added += sum(each.applied and each.edit.kind == "add" for each in done)
    tally.reasons |= {episode: each.reason for each in done if not each.applied for episode in each.edit.evidence}


def _curate(candidate: Candidate, curation: Curation, measures: Measures, tally: Tally) -> None:
    refused, adds = len(curation.refused), _adds(curation)
    near = curation.near(candidate)
    if near:
        answer, doubted = by_cosine(candidate.draft, near, measures.likeness.alike)
        curation.hear(candidate, near, Judged("", answer))
        tally.asked += 1
        tally.merged += answer.action == "MERGE"
        tally.doubted += doubted
    elif _adds(curation) > adds:
        tally.strangers += 1
    else:
        tally.repeats += 1
    tally.reasons |= {e: each.reason for each in curation.refused[refused:] for e in candidate.draft.cites}


def _adds(curation: Curation) -> int:
    return sum(p.edit.kind == "add" for p in curation.proposals)


def by_cosine(draft: LessonDraft, near: Sequence[Neighbour], alike: float) -> tuple[CurateAnswer, bool]:
    """The threshold's answer, and whether it takes for one what the words tell apart."""
    best = next((n for n in near if n.related), None)
    if best is None or best.cosine < alike:
        return CurateAnswer(action="ADD"), False
    return CurateAnswer(action="MERGE", ids=[best.name]), not says_same(best.text, draft)


# What the book is worth afterwards


@dataclass(frozen=True)
class Worth:
    """A book, against what went into it."""

    served: int
    twins: float
    """Share of the served lessons that have a near-twin from a task of the same kind."""
    covered: int
    """Inputs with a served lesson above `alike`."""
    explained: int
    """Other inputs with a recorded reason."""
    lost: int
    unsupported: int
    """Inputs whose episode is neither evidence of a lesson nor refused with a reason; and episodes that nobody put in."""


def worth(drafts: Sequence[LessonDraft], book: LessonBook, tally: Tally) -> Worth:
    """Look at what became of drafts.

    Args:
        drafts: All that went in.
        book: Where they went.
        tally: With the reasons.
    """
    lessons, measures = book.list(SPACE), measures_of(POLICY, likeness_of(book.embedder, book.ledger))
    served = [x for x in lessons if x.status in SERVABLE]
    rows, tasks = seen_by(book.embedder, served)
    mine, _ = seen_by(book.embedder, drafts)
    is_covered = best_of(mine, rows) >= measures.likeness.alike
    gone = {episode for x in lessons if x.status not in SERVABLE for episode in x.evidence}
    is_explained = np.array([d.cites[0] in gone or d.cites[0] in tally.reasons for d in drafts])
    cited, kept = {d.cites[0] for d in drafts}, {e for x in lessons for e in x.evidence}
    return Worth(
        served=len(served),
        twins=twin_share(rows, tasks),
        covered=int(is_covered.sum()),
        explained=int((~is_covered & is_explained).sum()),
        lost=int((~is_covered & ~is_explained).sum()),
        unsupported=len(cited - kept - set(tally.reasons)) + len(kept - cited),
    )


def seen_by(embedder: Embedder, lessons: Sequence[LessonDraft] | Sequence[Lesson]) -> tuple[Vectors, list[Vectors]]:
    """Vectors of what lessons say, and of the tasks of each."""
    if not lessons:
        return np.zeros((0, embedder.dimension), np.float32), []
    none = np.zeros((0, 0), np.float32)
    said = embedder.embed_documents([x.key_text() for x in lessons])
    return said, [embedder.embed_documents(kept_tasks(x)) if x.tasks else none for x in lessons]


def kept_tasks(lesson: LessonDraft | Lesson) -> list[str]:
    """Its tasks, as long as a book keeps them."""
    return [task[:MAX_TASK_CHARS] for task in lesson.tasks]


def best_of(rows: Vectors, others: Vectors) -> Vector:
    """For each row the cosine of the nearest of the others; -1 if there is none."""
    return (rows @ others.T).max(axis=1) if len(others) else np.full(len(rows), -1, np.float32)


def twin_share(rows: Vectors, tasks: Sequence[Vectors]) -> float:
    """Share of lessons with another one at `TWINS` or above, from a task of the same kind."""
    cosines = np.triu(rows @ rows.T, 1)
    pairs = [(i, j) for i, j in np.argwhere(cosines >= TWINS) if are_related(tasks[i], tasks[j], POLICY.similar)]
    return len({i for pair in pairs for i in pair}) / max(1, len(rows))


# All of a source


@dataclass(frozen=True)
class Fed:
    """One source, fed."""

    name: str
    inputs: int
    first: Tally
    again: Tally
    worth: Worth
    sizes: Sequence[int]
    """Served lessons after one pass, by order."""
    alike: float
    drafts: Sequence[LessonDraft]

    def row(self) -> list[str]:
        """Cells of the table."""
        first, worth = self.first, self.worth
        return [
            self.name,
            str(self.inputs),
            str(worth.served),
            str(self.again.added),
            f"{worth.twins:.1%}",
            f"{worth.covered}/{worth.explained}/{worth.lost}",
            str(worth.unsupported),
            "/".join(map(str, self.sizes)) + f" ({self.order_spread():.1%})",
            f"{first.strangers}/{first.repeats}",
            f"{first.asked}: {first.merged} merged, {first.doubted} of them doubted",
            f"{first.per_thousand():.2f}",
        ]

    def order_spread(self) -> float:
        """How much larger the largest book is than the smallest."""
        return max(self.sizes) / max(1, min(self.sizes)) - 1


HEAD = [
    "source",
    "inputs",
    "served",
    "added again",
    "twins",
    "covered/explained/lost",
    "unsupported",
    "served, by order",
    "code: new/same",
    "judge",
    "s/1k",
]


def sources(data: Path, limit: int) -> dict[str, list[dict[str, Any]]]:
    """Recorded lessons by source, the largest source first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in lines(data / "lessons/dev/lessons.jsonl.gz"):
        found.setdefault(row["source"], []).append(row)
    return {name: rows[:limit] for name, rows in sorted(found.items(), key=lambda item: -len(item[1]))}


@cache
def fed(data: Path, limit: int, *, names: Sequence[str] | None = None, orders: int = ORDERS, cap: int | None = None) -> list[Fed]:
    """Feed each source into a book of its own, twice.

    Args:
        data: Folder of the recorded data.
        limit: Most lessons of a source.
        names: Which sources; default all.
        orders: So many random orders, for the size of the book.
        cap: Most served lessons.
    """
    return [_fed(name, rows, orders, cap) for name, rows in sources(data, limit).items() if names is None or name in names]


def _fed(name: str, rows: Sequence[Mapping[str, Any]], orders: int, cap: int | None) -> Fed:
    drafts, embedder, sizes = drafts_of(rows), remembering(), []
    embedder.embed_documents([text for d in drafts for text in (d.key_text(), *kept_tasks(d))])
    for seed in range(1, orders):
        with new_book(embedder) as book:
            feed(shuffled(drafts, seed), book, turn="1", cap=cap)
            sizes.append(len(book.list(SPACE, status=SERVABLE)))
    with new_book(embedder) as book:
        first = feed(shuffled(drafts, 0), book, turn="1", cap=cap)
        measured = worth(drafts, book, first)
        again = feed(shuffled(drafts, orders), book, turn="2", cap=cap)
        alike = likeness_of(embedder, book.ledger).alike
    return Fed(name, len(drafts), first, again, measured, [measured.served, *sizes], alike, drafts)


def shuffled(drafts: Sequence[LessonDraft], seed: int) -> list[LessonDraft]:
    """In random order."""
    mixed = list(drafts)
    random.Random(seed).shuffle(mixed)
    return mixed


def feeding(data: Path, limit: int) -> Table:
    """Every source, without a cap."""
    note = "The judge is the threshold `alike`; `doubted`: the words speak against the merge. unsupported: evidence lost or made up."
    found = fed(data, limit)
    return Table("feeding", HEAD, [*(each.row() for each in found), total(found)], note)


def total(found: Sequence[Fed]) -> list[str]:
    """Cells of all sources together."""
    sizes = [sum(each.sizes[at] for each in found) for at in range(len(found[0].sizes))]
    worths, firsts = [each.worth for each in found], [each.first for each in found]
    served = sum(w.served for w in worths)
    asked, merged, doubted = (sum(getattr(t, name) for t in firsts) for name in ("asked", "merged", "doubted"))
    return [
        "all",
        str(sum(each.inputs for each in found)),
        str(served),
        str(sum(each.again.added for each in found)),
        f"{sum(w.twins * w.served for w in worths) / max(1, served):.1%}",
        "/".join(str(sum(getattr(w, name) for w in worths)) for name in ("covered", "explained", "lost")),
        str(sum(w.unsupported for w in worths)),
        "/".join(map(str, sizes)) + f" ({max(sizes) / max(1, min(sizes)) - 1:.1%})",
        f"{sum(t.strangers for t in firsts)}/{sum(t.repeats for t in firsts)}",
        f"{asked}: {merged} merged, {doubted} of them doubted",
        f"{np.mean([t.per_thousand() for t in firsts]):.2f}",
    ]


def capped(data: Path, limit: int) -> Table:
    """Every source that is larger than the cap."""
    names = tuple(name for name, rows in sources(data, limit).items() if len(rows) > CAP)
    return Table(f"feeding, at most {CAP} lessons", HEAD, [each.row() for each in fed(data, limit, names=names, orders=2, cap=CAP)])
