"""The book is built anew from the ledger: every reflection is repeated with the model's stored words, every other change is made again.

With the code that wrote it, the same book comes out bit for bit: ids follow from what they are made of, times are stored. With a mended
curation another one comes out, and `apply` writes the difference as further revisions, so that nothing of the journal is lost. No model is
asked, and of the ledger nothing is changed meanwhile.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

from langchain_reflect.errors import EpisodeNotFound, InvalidInput
from langchain_reflect.index.base import Vector
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.lessons.shelf import Shelf, digest_of, vectors_of
from langchain_reflect.reflection.curation import measures_of
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.records import FORM, Record
from langchain_reflect.reflection.repeating import groups_of, repeat
from langchain_reflect.reflection.rewriting import remade, rewritten
from langchain_reflect.types import Episode, Lesson, Namespace, Noun, Revision, now

ACTOR: Final = "replay"
"""Who wrote the difference."""


class Difference(Noun):
    """A lesson that a replay makes another one."""

    lesson_id: str
    before: Lesson | None
    """As it is; None if it would be new."""
    after: Lesson | None
    """As it would be; None if it would not be there."""


class Replay(Noun):
    """What a replay led to."""

    namespace: Namespace
    reflections: int
    """Reflections that were repeated."""
    revisions: int
    """Other changes that were made again."""
    lessons: tuple[Lesson, ...]
    """The book that came out, by id."""
    differences: tuple[Difference, ...] = ()
    as_it_was: tuple[str, ...] = ()
    """Reflections whose record was erased, or lessons that they had read: their changes were taken as they are."""
    unanswered: tuple[str, ...] = ()
    """Advice that was left out, because the question that is asked about it now has no stored answer."""
    lost: tuple[str, ...] = ()
    """Changes of lessons that are not there any more, one line each."""

    @property
    def is_same(self) -> bool:
        """Whether the book came out as it is."""
        return not self.differences


@dataclass(slots=True)
class _Bench:
    """What is being built, and from what."""

    original: LessonBook
    policy: ReflectionPolicy
    prompts: Prompts
    namespace: Namespace
    book: LessonBook
    heads: dict[str, Lesson] = field(default_factory=dict)
    past: list[tuple[int, Mapping[str, Lesson]]] = field(default_factory=list)
    """The book by the versions of the original."""
    last: Revision | None = None
    revisions: int = 0
    reflections: int = 0
    as_it_was: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def note(self, version: int) -> None:
        """Take in what has just been written, as a version of the original."""
        for revision in self.book.ledger.journal(namespace=self.namespace, after=self.last):
            self.heads[revision.lesson.id], self.last = revision.lesson, revision
        self.past.append((version, dict(self.heads)))

    def vectors(self, texts: Sequence[str]) -> dict[str, Vector]:
        """The vectors of texts; those that the original has are taken from there."""
        embedder = self.original.embedder
        self.book.ledger.put_vectors(embedder.id, self.original.ledger.text_vectors(embedder.id, texts))
        return vectors_of(self.book.ledger, embedder, texts)

    def at(self, version: int) -> Mapping[str, Lesson]:
        """The book as it was at a version of the original."""
        return next((lessons for of, lessons in reversed(self.past) if of <= version), {})


@dataclass(frozen=True, slots=True)
class _Event:
    """One commit of the original."""

    version: int
    actor: str
    revisions: Sequence[Revision] = ()
    record: Record | None = None
    """Set for a reflection that can be repeated."""
    is_late: bool = False
    """Whether a person approved it after the reflection had ended."""


def replay(book: LessonBook, *, policy: ReflectionPolicy, prompts: Prompts, namespace: Namespace) -> Replay:
    """Build the lessons of a namespace anew.

    Args:
        book: The lessons, with their ledger and embedder.
        policy: Where a record says nothing.
        prompts: With the worked example, which no draft may repeat.
        namespace: Whose lessons.
    """
    whole = book.ledger.journal(namespace=namespace)
    journal = [r for r in whole if r.actor != ACTOR]
    before = {(r.lesson.id, r.lesson.revision): r.lesson for r in whole}
    with TemporaryDirectory() as folder, Ledger(folder, namespace=namespace, durability="fast") as scratch:
        bench = _Bench(book, policy, prompts, namespace, LessonBook(scratch, ExactIndex(), book.embedder, namespace=namespace))
        events = list(_events(book.ledger, journal, namespace))
        stale = _stale([e.record for e in events if e.record is not None], whole)
        for event in events:
            if event.record is None or event.record.at in stale:
                _again(bench, event, before)
            else:
                _repeated(bench, event.actor, event.record)
            bench.note(event.version)
        lessons = tuple(bench.heads[i] for i in sorted(bench.heads))
    touched = {r.lesson.id for r in whole if r.actor == ACTOR}
    found = {lesson.id: lesson for lesson in book.ledger.lessons(namespace=namespace)}
    return Replay(
        namespace=namespace,
        reflections=bench.reflections,
        revisions=bench.revisions,
        lessons=lessons,
        differences=tuple(_differences(found, {x.id: x for x in lessons}, touched)),
        as_it_was=tuple(bench.as_it_was),
        unanswered=tuple(bench.unanswered),
        lost=tuple(bench.lost),
    )


def apply(book: LessonBook, replayed: Replay, *, reason: str = "", leave_out: bool = False) -> int:
    """Write what differs as revisions of the actor `replay`, all or none; returns how many lessons changed.

    Args:
        book: The lessons that were replayed.
        replayed: From `replay`.
        reason: For the history.
        leave_out: Write it although some advice was left out for want of a stored answer.

    Raises:
        InvalidInput: Advice was left out.
        RevisionConflict: Somebody changed one of the lessons since; replay again.
    """
    if replayed.unanswered and not leave_out:
        raise InvalidInput(
            f"{len(replayed.unanswered)} pieces of advice would be lost, because today's code asks about them what was never answered "
            f"(first: {replayed.unanswered[0]!r:.120}); nothing was written. To write it all the same, leave them out on purpose "
            "(leave_out=True, or `--leave-out`)"
        )
    at = now()
    made = [rewritten(d.before, d.after, actor=ACTOR, reason=reason or "built anew", at=at) for d in replayed.differences]
    book.write(made)
    return len(made)


def _events(ledger: Ledger, journal: Sequence[Revision], namespace: Namespace) -> Iterator[_Event]:
    """The commits in their order; a reflection that changed nothing comes after what it had seen."""
    records = {i: (version, _record(said, namespace)) for i, version, said in ledger.reflection_records(namespace=namespace)}
    commits = [_Event(*key, list(rows)) for key, rows in groupby(journal, key=lambda r: (r.version, r.actor))]
    acted = {(c.version, c.actor) for c in commits}
    silent = [_Event(v, i, record=record) for i, (v, record) in records.items() if (v, i) not in acted and record is not None]
    known = [_with_record(commit, *records.get(commit.actor, (commit.version, None))) for commit in commits]
    yield from sorted([*known, *silent], key=lambda e: (e.version, not e.revisions, e.actor))


def _with_record(commit: _Event, version: int, record: Record | None) -> _Event:
    """A reflection's own commit is repeated from its record; what a person approved later has its name, but another version."""
    return replace(commit, record=record) if commit.version == version else replace(commit, is_late=True)


def _stale(records: Sequence[Record], journal: Sequence[Revision]) -> set[datetime]:
    """Times of the reflections that had read lessons of which something was erased since: now they would be asked something else."""
    heads: dict[str, Lesson] = {}
    found, at = set[datetime](), 0
    for record in sorted((r for r in records if r.compared), key=lambda r: r.read):
        while at < len(journal) and journal[at].version <= record.read:
            heads[journal[at].lesson.id] = journal[at].lesson
            at += 1
        if digest_of(heads.values()) != record.compared:
            found.add(record.at)
    return found


def _record(said: object, namespace: Namespace) -> Record | None:
    if not isinstance(said, dict) or said.get("form") != FORM or "groups" not in said:
        return None
    record = Record.model_validate(said)
    return record if all(g.namespace == namespace for g in record.groups) else None


def _repeated(bench: _Bench, actor: str, record: Record) -> None:
    book, settings = bench.original, record.settings
    ids = {r.episode for g in record.groups for r in g.rollouts}
    groups = groups_of(record, _episodes(book.ledger, ids, bench.namespace))
    seen = list(bench.at(record.read).values())
    texts = [text for lesson in seen for text in (lesson.key_text(), *lesson.tasks)]
    shelf = Shelf.of(record.read, seen, bench.vectors(texts))
    repeated = repeat(
        record,
        groups,
        shelf=shelf,
        measures=lambda: measures_of(bench.policy, likeness_of(book.embedder, book.ledger)),
        vectors=bench.vectors,
        prompts=bench.prompts,
        max_drafts=bench.policy.max_drafts,
    )
    bench.book.review = "none" if settings is None else settings.review
    cap = bench.policy.max_lessons if settings is None else settings.max_lessons
    bench.book.commit([p.edit for p in repeated.proposals], namespace=bench.namespace, actor=actor, at=record.at, cap=cap)
    bench.reflections += 1
    bench.unanswered += repeated.unanswered


def _again(bench: _Bench, event: _Event, before: Mapping[tuple[str, int], Lesson]) -> None:
    """Changes by people, imports and what cannot be repeated: made again on the lessons as they are here."""
    heads, made = dict(bench.heads), []
    for revision in event.revisions:
        lesson = revision.lesson
        had = before.get((lesson.id, lesson.revision - 1))
        again = remade(revision, had, heads.get(lesson.id))
        if again is None:
            why = "is there already" if had is None else "is not there any more"
            bench.lost.append(f"{revision.kind} of {lesson.id} by {revision.actor}: the lesson {why}")
        else:
            made.append(again)
            heads[lesson.id] = again.lesson
    bench.book.ledger.append_revisions(made)
    bench.revisions += len(made)
    if event.actor.startswith("R-") and not event.is_late:
        bench.as_it_was.append(event.actor)


def _episodes(ledger: Ledger, ids: Iterable[UUID], namespace: Namespace) -> dict[UUID, Episode]:
    found = {}
    for episode_id in ids:
        try:
            found[episode_id] = ledger.episode(episode_id, namespace=namespace)
        except EpisodeNotFound:
            continue
    return found


def _differences(found: Mapping[str, Lesson], made: Mapping[str, Lesson], touched: set[str]) -> Iterator[Difference]:
    for lesson_id in sorted(found.keys() | made.keys()):
        before, after = found.get(lesson_id), made.get(lesson_id)
        if after is None and before is not None and before.status == "retired" and lesson_id in touched:
            continue  # an earlier replay has taken it out
        if before is None or after is None or _seen(before, replayed=lesson_id in touched) != _seen(after, replayed=lesson_id in touched):
            yield Difference(lesson_id=lesson_id, before=before, after=after)


def _seen(lesson: Lesson, *, replayed: bool) -> Lesson:
    """What counts: all of it; after an earlier replay all but the number and time of its revision."""
    return lesson.model_copy(update={"revision": 0, "updated_at": lesson.created_at}) if replayed else lesson
