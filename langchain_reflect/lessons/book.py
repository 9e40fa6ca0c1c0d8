"""The lesson book: lessons are changed here and nowhere else.

A change is checked (`edits.py`), written to the ledger in one transaction, and then taken into the index (`finding.py`). If the
index fails in between, nothing is lost.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal

from langchain_reflect.errors import InvalidInput, RevisionConflict
from langchain_reflect.index.base import Vector, VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.lessons.edits import check, revisions_of
from langchain_reflect.lessons.finding import LessonFinder
from langchain_reflect.types import (
    AppliedEdit,
    Example,
    Lesson,
    LessonEdit,
    LessonStatus,
    LessonText,
    Namespace,
    Revision,
    now,
)

Review = Literal["none", "required"]
MakeClosing = Callable[[Sequence[AppliedEdit]], Closing]
_ATTEMPTS: Final = 10


class LessonBook:
    """Lessons of all namespaces: add, change, find.

    Args:
        ledger: Where lessons are kept.
        index: Where they are found by meaning.
        embedder: Makes the vectors by which they are found; loaded on first use.
        review: `required`: what a reflection writes waits as `proposed` until a person approves it.
        namespace: Where `add` and `search` are given none.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: VectorIndex,
        embedder: Embedder,
        *,
        review: Review = "none",
        namespace: Namespace = ("default",),
    ) -> None:
        self.ledger = ledger
        self.index = index
        self.embedder = embedder
        self.review = review
        self.namespace = namespace
        self._lock = threading.RLock()
        self._finder = LessonFinder(ledger, index, embedder)

    # Reading

    def list(self, namespace: Namespace | None = None, *, status: LessonStatus | Collection[LessonStatus] | None = None) -> list[Lesson]:
        """Lessons by id; those of one namespace, or of one or several statuses."""
        return self.ledger.lessons(namespace=namespace, statuses={status} if isinstance(status, str) else status)

    def show(self, lesson_id: str, *, namespace: Namespace | None = None) -> Lesson:
        """One lesson of a namespace (default the book's own).

        Raises:
            LessonNotFound: The id is unknown in the namespace.
        """
        return self.ledger.lesson(lesson_id, namespace=self._space(namespace))

    def history(self, lesson_id: str, *, namespace: Namespace | None = None) -> Sequence[Revision]:
        """All revisions of a lesson, oldest first.

        Raises:
            LessonNotFound: The id is unknown in the namespace.
        """
        self.show(lesson_id, namespace=namespace)
        return self.ledger.revisions(lesson_id, namespace=self._space(namespace))

    def search(self, text: str, *, namespace: Namespace | None = None, limit: int = 10) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a text, with their cosine, best first."""
        return self.candidates(self.embedder.embed_query(text), self._space(namespace), limit)

    # Changes by people

    def add(
        self,
        *,
        when: str,
        do: str,
        when_not: str = "",
        why: str = "",
        title: str = "",
        examples: Iterable[Example | tuple[str, str]] = (),
        tasks: Iterable[str] = (),
        namespace: Namespace | None = None,
        status: LessonStatus | None = None,
        by: str = "human",
    ) -> Lesson:
        """Write a lesson by hand.

        Args:
            when: The condition under which the advice holds.
            do: The advice.
            when_not: Where it does not hold.
            why: The reason.
            title: A few words.
            examples: At most two pairs of input and output.
            tasks: Tasks like those it is meant for; recall matches them too.
            namespace: Whose lesson it is; default the book's own.
            status: Default `candidate`: served, on trial. `active`: served as proven.
            by: Who wrote it.

        Raises:
            InvalidInput: A field is empty, too long or unsafe.
        """
        pairs = tuple(e if isinstance(e, Example) else Example(input=e[0], output=e[1]) for e in examples)
        text = LessonText(title=title, when=when, when_not=when_not, do=do, why=why, examples=pairs)
        return self._change(LessonEdit(kind="add", text=text, status=status, tasks=tuple(tasks)), self._space(namespace), by)

    def _space(self, namespace: Namespace | None) -> Namespace:
        if namespace is None and any("{" in part for part in self.namespace):
            raise InvalidInput(
                f"namespace {self.namespace!r} has placeholders that only a run fills; pass namespace=(...) with their values"
            )
        return self.namespace if namespace is None else namespace

    def approve(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Serve a lesson as proven."""
        return self._set_status(lesson_id, "active", by, reason, namespace)

    def reject(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Never serve a lesson; it is kept as `retired`."""
        return self._set_status(lesson_id, "retired", by, reason, namespace)

    retire = reject

    def restore(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Serve a retired lesson again, on trial."""
        return self._set_status(lesson_id, "candidate", by, reason, namespace)

    def quarantine(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Stop serving a lesson until somebody has looked at it."""
        return self._set_status(lesson_id, "quarantined", by, reason, namespace)

    def edit(
        self,
        lesson_id: str,
        *,
        by: str = "human",
        reason: str = "",
        when: str | None = None,
        do: str | None = None,
        when_not: str | None = None,
        why: str | None = None,
        title: str | None = None,
        namespace: Namespace | None = None,
    ) -> Lesson:
        """Reword a lesson; fields that are not given stay. It goes on trial again."""
        lesson = self.show(lesson_id, namespace=namespace)
        given = {"when": when, "do": do, "when_not": when_not, "why": why, "title": title}
        text = lesson.text.model_copy(update={name: value for name, value in given.items() if value is not None})
        return self._change(LessonEdit(kind="revise", lesson_id=lesson_id, text=text, reason=reason), lesson.namespace, by)

    def _set_status(self, lesson_id: str, status: LessonStatus, by: str, reason: str, namespace: Namespace | None) -> Lesson:
        lesson = self.show(lesson_id, namespace=namespace)
        return self._change(LessonEdit(kind="status", lesson_id=lesson_id, status=status, reason=reason), lesson.namespace, by)

    def _change(self, edit: LessonEdit, namespace: Namespace, by: str) -> Lesson:
        (done,) = self._commit([edit], namespace, by, default_status="candidate")
        if not done.applied or done.lesson_id is None:
            raise InvalidInput(f"the lesson cannot be changed so: {done.reason}")
        return self.show(done.lesson_id, namespace=namespace)

    # Changes by a reflection

    def commit(
        self, edits: Sequence[LessonEdit], *, namespace: Namespace, actor: str, closing: MakeClosing | None = None
    ) -> Sequence[AppliedEdit]:
        """Apply edits: each is checked, and all that pass are written in one transaction, then taken into the index.

        Args:
            edits: In the order in which they were meant; later ones see what earlier ones did.
            namespace: Lessons of other namespaces do not exist for these edits.
            actor: Who made them, such as a reflection's id.
            closing: Makes what the reflection leaves behind from what became of the edits; written in the same transaction.

        Returns:
            For each edit whether it was applied, and why not.

        Raises:
            LedgerError: Nothing was written.
        """
        default: LessonStatus = "proposed" if self.review == "required" else "candidate"
        return self._commit(edits, namespace, actor, default_status=default, closing=closing)

    def _commit(
        self,
        edits: Sequence[LessonEdit],
        namespace: Namespace,
        actor: str,
        *,
        default_status: LessonStatus,
        closing: MakeClosing | None = None,
    ) -> Sequence[AppliedEdit]:
        with self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                done, revisions = self._applied(edits, namespace, actor, default_status)
                try:
                    self.ledger.append_revisions(revisions, closing=closing(done) if closing else None)
                    break
                except RevisionConflict:  # another process changed one of the lessons: the edits are checked against what it made of it
                    if attempt == _ATTEMPTS:
                        raise
        if revisions:
            self._finder.follow()
        return done

    def _applied(
        self, edits: Sequence[LessonEdit], namespace: Namespace, actor: str, default_status: LessonStatus
    ) -> tuple[Sequence[AppliedEdit], Sequence[Revision]]:
        """What becomes of edits, as the book is now, and the revisions that they make."""
        known = self._named_in(edits, namespace)
        revisions: list[Revision] = []
        done: list[AppliedEdit] = []
        for edit in edits:
            problem = check(edit, known)
            if problem is not None:
                done.append(AppliedEdit(edit=edit, applied=False, lesson_id=edit.lesson_id, reason=problem))
                continue
            new_id = partial(self._new_id, edit, namespace, actor, known)
            made = revisions_of(edit, known, namespace=namespace, actor=actor, new_id=new_id, default_status=default_status, at=now())
            revisions += made
            known |= {revision.lesson.id: revision.lesson for revision in made}
            done.append(AppliedEdit(edit=edit, applied=True, lesson_id=made[0].lesson.id))
        return done, revisions

    def _named_in(self, edits: Iterable[LessonEdit], namespace: Namespace) -> dict[str, Lesson]:
        ids = {name for edit in edits for name in (edit.lesson_id, *edit.merged) if name}
        return {lesson.id: lesson for lesson in self.ledger.lessons(namespace=namespace, ids=ids)} if ids else {}

    def _new_id(self, edit: LessonEdit, namespace: Namespace, actor: str, known: Mapping[str, Lesson]) -> str:
        """Deterministic, so that replaying a reflection gives the same book; counted up where the id is taken."""
        said = edit.text.model_dump_json() if edit.text else ""
        for attempt in range(1000):
            digest = hashlib.sha256("\0".join((actor, repr(namespace), said, str(attempt))).encode("utf-8", "surrogatepass"))
            lesson_id = f"L-{digest.hexdigest()[:12]}"
            if lesson_id not in known and not self.ledger.lessons(ids=[lesson_id]):
                return lesson_id
        raise InvalidInput(f"the lesson {said[:80]!r} has been added a thousand times by {actor!r}; edit the one that exists")

    # Finding

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson."""
        return self._finder.is_empty(namespace)

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a vector, see `LessonFinder.candidates`."""
        return self._finder.candidates(vector, namespace, limit)

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        return self._finder.vectors(lesson_ids)

    def reindex(self) -> int:
        """Fill the index anew from the ledger, see `LessonFinder.reindex`."""
        return self._finder.reindex()
