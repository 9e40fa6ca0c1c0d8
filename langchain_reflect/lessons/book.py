"""The lesson book: lessons are changed here and nowhere else.

A change is checked (`edits.py`), written to the ledger in one transaction (`committing.py`), and then taken into the index (`finding.py`).
If the index fails in between, nothing is lost. What people do stands in `people.py`; here are reading, finding, undo and files.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from langchain_reflect.errors import InvalidInput, LessonNotFound, ReflectionNotFound, shown
from langchain_reflect.index.base import Vector
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.field import Field
from langchain_reflect.lessons.auditing import Audit, audit
from langchain_reflect.lessons.authors import check_person, is_model
from langchain_reflect.lessons.committing import lesson_id_of
from langchain_reflect.lessons.finding import LessonFinder, Path
from langchain_reflect.lessons.floors import Floors
from langchain_reflect.lessons.history import Undone, fold, pages, undo_plan
from langchain_reflect.lessons.packs import EXPORTED, Imported, PackedLesson, read_pack, write_lines
from langchain_reflect.lessons.people import HumanChanges
from langchain_reflect.lessons.reviewing import decided
from langchain_reflect.lessons.safety import clean_text, suspicion
from langchain_reflect.lessons.spaces import Progress, prune
from langchain_reflect.types import SERVABLE, Lesson, LessonEdit, LessonStatus, LessonText, Namespace, Review, ReviewState, Revision, now


class LessonBook(HumanChanges):
    """Lessons of all namespaces: add, change, find, undo. See `Committing` for the arguments."""

    # Reading

    def list(
        self,
        namespace: Namespace | None = None,
        *,
        status: LessonStatus | Collection[LessonStatus] | None = None,
        at: datetime | None = None,
    ) -> list[Lesson]:
        """Lessons by id; those of one namespace, or of one or several statuses.

        Args:
            namespace: Default all.
            status: Default any.
            at: The lessons as they were then, with the statuses of then; default now. What was erased since is in no past either.

        Raises:
            InvalidInput: `at` has no time zone.
        """
        statuses = {status} if isinstance(status, str) else status
        if at is None:
            return self.ledger.lessons(namespace=namespace, statuses=statuses)
        then = fold(self.ledger.journal(namespace=namespace, until=_with_zone(at)))
        return [lesson for lesson in then.values() if statuses is None or lesson.status in statuses]

    def show(self, lesson_id: str, *, namespace: Namespace | None = None, at: datetime | None = None) -> Lesson:
        """One lesson of a namespace (default the book's own), as it is or as it was at a time.

        Raises:
            LessonNotFound: The id is unknown in the namespace, or was at that time.
            InvalidInput: `at` has no time zone.
        """
        lesson = self._known_lesson(lesson_id, namespace)
        if at is None:
            return lesson
        then = fold(r for r in self.history(lesson_id, namespace=namespace) if r.at <= _with_zone(at))
        if not then:
            raise LessonNotFound(f"lesson {lesson_id!r} did not exist at {at.isoformat()}; it was added at {lesson.created_at.isoformat()}")
        return then[lesson_id]

    def history(self, lesson_id: str, *, namespace: Namespace | None = None) -> Sequence[Revision]:
        """All revisions of a lesson, oldest first.

        Raises:
            LessonNotFound: The id is unknown in the namespace.
        """
        self.show(lesson_id, namespace=namespace)
        return self.ledger.revisions(lesson_id, namespace=self._space(namespace))

    def journal(self, namespace: Namespace | None = None) -> Iterator[Revision]:
        """All revisions in the order in which they were made, read page by page; of one namespace, or of all."""
        return pages(self.ledger.journal, namespace)

    def reviews(
        self, namespace: Namespace | None = None, *, state: ReviewState | None = "open", lesson_id: str | None = None
    ) -> Sequence[Review]:
        """What models asked, oldest first: by default what waits for `approve` or `reject`; of one namespace, or of all."""
        return self.ledger.reviews(namespace=namespace, state=state, lesson_id=lesson_id)

    def search(self, text: str, *, namespace: Namespace | None = None, limit: int = 10) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a text, with their cosine, best first."""
        return self.candidates(self.embedder.embed_query(text), self._space(namespace), limit)

    def audit(
        self,
        namespace: Namespace | None = None,
        *,
        twins: float = 0.9,
        cap: int | None = None,
        tokens: Callable[[LessonText], int] | None = None,
    ) -> Audit:
        """The health of the lessons of a namespace, or of all. Nothing is embedded or changed.

        Args:
            namespace: Default all.
            twins: Cosine from which two lessons say nearly the same.
            cap: Most served lessons of a namespace; None: any number.
            tokens: Counts those of a lesson; default a careful guess.
        """
        lessons, facts = self.ledger.lessons(namespace=namespace), self.ledger.lesson_facts(namespace=namespace)
        vectors = self.ledger.text_vectors(self.embedder.id, {lesson.key_text() for lesson in lessons})
        return audit(lessons, vectors, facts, self.reviews(namespace), at=now(), twins=twins, cap=cap, tokens=tokens)

    # Taking back

    def undo(
        self, reflection_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None, force: bool = False
    ) -> Undone:
        """Take back all that one reflection or consolidation did to the lessons of a namespace, in one transaction.

        Lessons that it added are retired. Lessons that it changed are as before, without the evidence that it gave them. Those that
        somebody changed afterwards are left alone, and named. Its open reviews are rejected.

        Args:
            reflection_id: `R-…` or `C-…`.
            by: Who undoes it.
            reason: Why.
            namespace: Default the book's own.
            force: Undo also what somebody changed afterwards.

        Raises:
            ReflectionNotFound: No reflection with this id is known in the namespace.
            InvalidInput: It was undone before.
        """
        space, at = self._space(namespace), now()
        check_person(by)
        if not isinstance(reflection_id, str):
            raise InvalidInput(f"reflection_id={shown(reflection_id)}; expected an id such as 'R-3f9a2c1b7d04', as in `report.id`")

        def write() -> tuple[Undone, bool]:
            ids = dict.fromkeys(r.lesson.id for r in self.ledger.journal(namespace=space, actor=reflection_id))
            asked = [r for r in self.ledger.reviews(namespace=space) if r.actor == reflection_id]
            if not is_model(reflection_id) or not (ids or asked or self.ledger.knows_reflection(reflection_id, namespace=space)):
                raise _unknown(reflection_id, space)
            pasts = {i: self.ledger.revisions(i, namespace=space) for i in ids}
            plan = undo_plan(pasts, reflection_id, by=by, reason=reason, at=at, force=force)
            if plan.before and not plan.revisions and not plan.undone.left and not asked:
                raise InvalidInput(f"{reflection_id!r} was undone before by {plan.before.actor!r} at {plan.before.at:%Y-%m-%d %H:%M} UTC")
            rejected = [decided(r, "rejected", by=by, reason=f"{reflection_id} was undone", at=at) for r in asked]
            self.ledger.append_revisions(plan.revisions, decided=rejected)
            return plan.undone.model_copy(update={"reviews": tuple(r.id for r in rejected)}), bool(plan.revisions)

        return self._written(write)

    # Files

    def export(self, path: str | os.PathLike[str], *, namespace: Namespace | None = None, overwrite: bool = False) -> int:
        """Write the lessons of a namespace that are served or proposed, as one JSON object a line; returns how many.

        Args:
            path: The file.
            namespace: Default the book's own.
            overwrite: Whether a file that exists is replaced.

        Raises:
            InvalidInput: The file exists.
            LedgerError: It cannot be written.
        """
        lessons = self.ledger.lessons(namespace=self._space(namespace), statuses=EXPORTED)
        return write_lines(path, (lesson.model_dump_json() for lesson in lessons), overwrite=overwrite)

    def import_(
        self,
        source: str | os.PathLike[str] | Iterable[Mapping[str, Any]],
        *,
        by: str = "import",
        trust: bool = False,
        namespace: Namespace | None = None,
    ) -> Imported:
        """Take in lessons of a file, or all of them or none. The same file again adds nothing.

        Their evidence, status and approval stay behind: they belong to the ledger that they come from.

        Args:
            source: A file with one JSON object a line (`when`, `do`, and what else a lesson says), or such objects.
            by: Who imports.
            trust: Serve them, on trial; else they wait as `proposed`. Text that looks unsafe is `quarantined` in either case.
            namespace: Whose lessons they become; default the book's own.

        Raises:
            InvalidInput: The file cannot be read, or a row is no lesson; the message has its line.
        """
        space, rows = self._space(namespace), {_plain(row): (number, row) for number, row in read_pack(source)}
        check_person(by)
        texts = {lesson.text for lesson in self.ledger.lessons(namespace=space)}
        fresh = [text for text in rows if text not in texts and not self._is_imported(text, space, by)]
        edits = [_import_edit(text, *rows[text], trust=trust) for text in fresh]
        done = self.commit(edits, namespace=space, actor=by) if edits else ()
        ids = [(d.lesson_id, d.edit.status) for d in done if d.lesson_id is not None]
        quarantined = tuple(i for i, status in ids if status == "quarantined")
        return Imported(added=tuple(i for i, _ in ids), quarantined=quarantined, known=len(rows) - len(fresh), trusted=trust)

    def _is_imported(self, text: LessonText, namespace: Namespace, by: str) -> bool:
        """Whether it came before, whatever it says by now, or was erased since."""
        lesson_id = lesson_id_of(by, namespace, text.model_dump_json())
        return bool(self.ledger.lessons(ids=[lesson_id])) or self.ledger.is_erased(lesson_id, namespace=namespace)

    # Finding

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson."""
        return self._finder.is_empty(namespace)

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a vector, see `LessonFinder.candidates`."""
        return self._finder.candidates(vector, namespace, limit)

    def field(self, vector: Vector, namespace: Namespace) -> Field | None:
        """Every servable lesson of a namespace with its cosine, see `LessonFinder.field`."""
        return self._finder.field(vector, namespace)

    def servable(self, lesson_ids: Sequence[str], namespace: Namespace, *, version: int | None = None) -> Mapping[str, Lesson]:
        """Those of the lessons that may be shown, see `LessonFinder.servable`."""
        return self._finder.servable(lesson_ids, namespace, version=version)

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        return self._finder.vectors(lesson_ids)

    def path(self, vector: Vector, namespace: Namespace) -> Path:
        """What answers `candidates` at present, see `LessonFinder.path`."""
        return self._finder.path(vector, namespace)

    def nearest_texts(self, vector: Vector, lessons: Sequence[Lesson]) -> Mapping[str, str]:
        """Which text of each lesson is nearest to a vector, see `LessonFinder.nearest_texts`."""
        return self._finder.nearest_texts(vector, lessons)

    def served(self, namespace: Namespace) -> int:
        """Number of servable lessons of a namespace."""
        return self.ledger.lesson_count(namespace=namespace, statuses=SERVABLE)

    @property
    def floors(self) -> Floors:
        """Least cosines of lessons that may be shown, see `LessonFinder.floors`."""
        return self._finder.floors

    def calibrate(self) -> None:
        """Find the embedder's floors now, see `LessonFinder.calibrate`."""
        self._finder.calibrate()

    def close(self) -> None:
        """End the thread that keeps the index up to date; index and ledger stay open."""
        self._finder.close()

    def reindex(self, embedder: Embedder | None = None, *, progress: Progress | None = None) -> int:
        """Fill the index anew from the ledger, with the vectors of another embedder if one is given.

        Only texts without a vector by it are embedded, and a call that was cut short goes on where it ended; until all are there, nothing
        changes for anybody. Then every book that has another embedder, this one too, raises `EmbedderChanged`: open it with the new one.

        Args:
            embedder: From `resolve_embedder`; default the book's own.
            progress: Told how many of how many texts are embedded.

        Returns:
            Number of lessons in the index.

        Raises:
            IndexUnavailable: The index cannot be reached; the embedder has taken over nevertheless.
        """
        if embedder is None or embedder is self.embedder:
            return self._finder.reindex(progress)
        return LessonFinder(self.ledger, self.index, embedder).reindex(progress)

    def prune_vectors(self) -> int:
        """Drop the vectors that embedders made which are not in use any more; returns how many. Going back would embed all texts again.

        On a Chroma server their collections go as well, if it can be reached.
        """
        self._finder.prune_index()
        return prune(self.ledger)


def _with_zone(at: datetime) -> datetime:
    if not isinstance(at, datetime):
        raise InvalidInput(f"at={at!r:.80} is no time; expected a datetime such as datetime.now(UTC)")
    if at.tzinfo is None:
        raise InvalidInput(f"at={at!r} has no time zone; use datetime.now(UTC) or add tzinfo=UTC")
    return at


def _unknown(reflection_id: str, namespace: Namespace) -> ReflectionNotFound:
    where = f"in namespace {'/'.join(namespace)!r}"
    return ReflectionNotFound(f"no reflection {reflection_id!r:.80} {where}; expected an id such as 'R-3f9a2c1b7d04', see `reflect status`")


def _plain(row: PackedLesson) -> LessonText:
    return clean_text(row)


def _import_edit(text: LessonText, number: int, row: PackedLesson, *, trust: bool) -> LessonEdit:
    status: LessonStatus = "quarantined" if suspicion(text) else "candidate" if trust else "proposed"
    return LessonEdit(kind="add", text=text, status=status, tasks=row.tasks, reason=f"imported, line {number}")
