"""Edits become revisions and reviews in one transaction, whoever makes them and whatever other processes do meanwhile."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar

from langchain_reflect.errors import InvalidInput, RevisionConflict
from langchain_reflect.index.base import VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.lessons.authors import approver_of, is_model
from langchain_reflect.lessons.capping import over_cap
from langchain_reflect.lessons.edits import Known, Terms, check, named, revisions_of
from langchain_reflect.lessons.finding import LessonFinder
from langchain_reflect.lessons.reviewing import contradiction, edit_review, why_waits
from langchain_reflect.types import SERVABLE, AppliedEdit, Lesson, LessonEdit, Namespace, Review, Revision, now

ReviewPolicy = Literal["none", "required"]
MakeClosing = Callable[[Sequence[AppliedEdit]], Closing]
T = TypeVar("T")
_ATTEMPTS: Final = 10
_MOST_ALIKE: Final = 1000


@dataclass(slots=True)
class _Made:
    """What edits have led to so far; later ones see it."""

    heads: dict[str, Lesson]
    pasts: dict[str, list[Lesson]]
    names: dict[str, str] = field(default_factory=dict)
    """Ids of lessons that were added under a name."""
    done: list[AppliedEdit] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    asked: list[Review] = field(default_factory=list)

    def take(self, made: Sequence[Revision]) -> None:
        self.revisions += made
        for revision in made:
            self.heads[revision.lesson.id] = revision.lesson
            self.pasts.setdefault(revision.lesson.id, []).append(revision.lesson)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    review: Review | None
    """None: the edit is not possible."""
    is_new: bool
    """Whether nobody had asked before."""


class Committing:
    """Applies edits; the base of the lesson book.

    Args:
        ledger: Where lessons are kept.
        index: Where they are found by meaning.
        embedder: Makes the vectors by which they are found; loaded on first use.
        review: `required`: what a model writes waits as `proposed` until a person approves it, and so do its changes of what is served.
        namespace: Where methods are given none.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: VectorIndex,
        embedder: Embedder,
        *,
        review: ReviewPolicy = "none",
        namespace: Namespace = ("default",),
    ) -> None:
        self.ledger = ledger
        self.index = index
        self.embedder = embedder
        self.review = review
        self.namespace = namespace
        self.follows = True
        """Whether the index takes in each change at once; else at the next recall."""
        self.on_change: Callable[[], object] = lambda: None
        """Called after this book has committed a change and embedded it."""
        self._lock = threading.RLock()
        self._finder = LessonFinder(ledger, index, embedder)

    def commit(
        self,
        edits: Sequence[LessonEdit],
        *,
        namespace: Namespace,
        actor: str,
        at: datetime | None = None,
        cap: int | None = None,
        since: int | None = None,
        closing: MakeClosing | None = None,
    ) -> Sequence[AppliedEdit]:
        """Apply edits: each is checked, and all that pass are written in one transaction, then taken into the index.

        Edits of a model (an actor `R-…` or `C-…`) that it may not make by itself wait for a person as reviews, see `reviewing.py`.

        Args:
            edits: In the order in which they were meant; later ones see what earlier ones did, and may mean a lesson that an earlier one
                added by its `name`.
            namespace: Lessons of other namespaces do not exist for these edits.
            actor: Who made them: a person's name, or a reflection's id.
            at: Time of all changes; default now.
            cap: Most served lessons of the namespace: where edits make them more, the least valuable are retired, see `over_cap`.
            since: Version of the book that they were made for: if somebody changed a lesson of the namespace since, nothing is written.
                None: it does not matter.
            closing: Makes what the reflection leaves behind from what became of the edits; written in the same transaction.

        Returns:
            For each edit, with names resolved, whether it was applied, and if not, why or for which review it waits; then what was retired
            because of the cap.

        Raises:
            BookChanged: Somebody changed lessons since then.
            LedgerError: Nothing was written.
        """
        is_held = is_model(actor) and self.review == "required"
        default: Literal["proposed", "candidate"] = "proposed" if is_held else "candidate"
        terms = Terms(namespace=namespace, actor=actor, at=at or now(), default_status=default, approver=approver_of(actor))

        def write() -> tuple[Sequence[AppliedEdit], bool]:
            made = self._made(edits, terms)
            if cap is not None:
                self._keep_to(cap, terms, made)
            end = closing(made.done) if closing else None
            self.ledger.append_revisions(made.revisions, asked=made.asked, closing=end, since=since)
            return made.done, bool(made.revisions)

        return self._written(write)

    def ask(self, edit: LessonEdit, *, namespace: Namespace, actor: str, at: datetime | None = None) -> Question:
        """Ask a person whether an edit is to be made; nothing is changed. The same question about the same words is asked once.

        Args:
            edit: What waits for the answer.
            namespace: Lessons of other namespaces do not exist for it.
            actor: Who asks.
            at: When; default now.
        """

        def write() -> tuple[Question, bool]:
            made = self._known([edit], namespace)
            if check(edit, Known(made.heads, made.pasts)) is not None:
                return Question(None, is_new=False), False
            asks = {"namespace": namespace, "actor": actor, "reason": edit.reason, "at": at or now()}
            review = self._question(edit, made.heads, asks)
            known = self.ledger.reviews(namespace=namespace, state=None, ids=[review.id])
            self.ledger.append_revisions([], asked=() if known else (review,))
            return Question(known[0] if known else review, is_new=not known), False

        return self._written(write)

    def write(self, revisions: Sequence[Revision]) -> None:
        """Write revisions that were made elsewhere, all or none, and take them into the index.

        Raises:
            RevisionConflict: Somebody changed one of the lessons since they were made.
        """
        before = self.ledger.lessons_version()
        self.ledger.append_revisions(revisions)
        if revisions:
            self._follow(before)

    def _written(self, write: Callable[[], tuple[T, bool]]) -> T:
        """The result of reading, deciding and writing, which is done again if another process changed the same lessons meanwhile.

        Args:
            write: Gives the result, and whether lessons changed.
        """
        with self._lock:
            before = self.ledger.lessons_version()
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    result, changed = write()
                    break
                except RevisionConflict:
                    if attempt == _ATTEMPTS:
                        raise
        if changed:
            self._follow(before)
        return result

    def _follow(self, before: int) -> None:
        if self.follows:
            self._finder.follow(before)
            self.on_change()

    def _space(self, namespace: Namespace | None) -> Namespace:
        if namespace is None and any("{" in part for part in self.namespace):
            raise InvalidInput(
                f"namespace {self.namespace!r} has placeholders that only a run fills; pass namespace=(...) with their values"
            )
        return self.namespace if namespace is None else namespace

    def _made(self, edits: Sequence[LessonEdit], terms: Terms) -> _Made:
        """What becomes of edits, as the book is now."""
        made = self._known(edits, terms.namespace)
        for given in edits:
            edit = _resolved(given, made.names)
            applied = self._taken(edit, terms, made)
            made.done.append(applied)
            if edit.kind == "add" and edit.name and applied.applied and applied.lesson_id:
                made.names[edit.name] = applied.lesson_id
        return made

    def _known(self, edits: Iterable[LessonEdit], namespace: Namespace) -> _Made:
        edits = list(edits)
        ids = {i for edit in edits for i in named(edit)}
        heads = {lesson.id: lesson for lesson in self.ledger.lessons(namespace=namespace, ids=ids)} if ids else {}
        brought_back = {e.lesson_id for e in edits if e.kind == "restore" and e.lesson_id in heads}
        return _Made(heads, {i: [r.lesson for r in self.ledger.revisions(i, namespace=namespace)] for i in brought_back if i})

    def _taken(self, edit: LessonEdit, terms: Terms, made: _Made) -> AppliedEdit:
        """Take in what one edit makes: revisions, a review, or nothing."""
        known = Known(made.heads, made.pasts)
        problem = _name_problem(edit, made) or check(edit, known, terms.approver)
        if problem is not None:
            return AppliedEdit(edit=edit, applied=False, lesson_id=edit.lesson_id, reason=problem)
        asks = {"namespace": terms.namespace, "actor": terms.actor, "reason": edit.reason, "at": terms.at}
        if edit.kind == "contradict":
            return self._asked(edit, contradiction(edit, asks=asks), "the lessons contradict each other", made)
        edit = _held_back(edit, terms)
        revisions = revisions_of(edit, known, terms, partial(self._new_id, edit, terms, made.heads))
        if is_model(terms.actor) and (why := why_waits(revisions, made.heads, required=self.review == "required")):
            return self._asked(edit, self._question(edit, made.heads, asks), why, made)
        made.take(revisions)
        return AppliedEdit(edit=edit, applied=True, lesson_id=revisions[0].lesson.id)

    def _keep_to(self, cap: int, terms: Terms, made: _Made) -> None:
        """Retire the least valuable lessons, if there are more now than may be served."""
        changed = {r.lesson.id for r in made.revisions}
        if not any(made.heads[i].status in SERVABLE for i in changed):
            return
        heads = {lesson.id: lesson for lesson in self.ledger.lessons(namespace=terms.namespace, statuses=SERVABLE)} | made.heads
        for lesson in over_cap(heads.values(), cap, spared=changed):
            made.heads[lesson.id] = lesson
            edit = LessonEdit(kind="retire", lesson_id=lesson.id, reason=f"over the cap of {cap} lessons, and the least valuable")
            made.take(revisions_of(edit, Known(made.heads), terms, lambda: ""))
            made.done.append(AppliedEdit(edit=edit, applied=True, lesson_id=lesson.id))

    def _question(self, edit: LessonEdit, heads: Mapping[str, Lesson], asks: Mapping[str, Any]) -> Review:
        """The review of an edit; another one if the same was approved before and taken back since."""
        for attempt in range(_MOST_ALIKE):
            review = edit_review(edit, heads, asks=asks, attempt=attempt)
            if all(kept.state != "approved" for kept in self.ledger.reviews(namespace=review.namespace, state=None, ids=[review.id])):
                return review
        raise InvalidInput(f"the same change of lesson {edit.lesson_id!r} was approved a thousand times; retire the lesson")

    def _asked(self, edit: LessonEdit, review: Review, why: str, made: _Made) -> AppliedEdit:
        kept = self.ledger.reviews(namespace=review.namespace, state=None, ids=[review.id])
        answered = next((r for r in kept if r.state != "open"), None)
        if answered is None:
            made.asked += [] if kept else [review]
            reason = f"waits for a person: {why}"
        else:
            reason = f"was asked before, and {answered.state} by {answered.by}" + (f": {answered.answer}" if answered.answer else "")
        return AppliedEdit(edit=edit, applied=False, lesson_id=edit.lesson_id, review_id=review.id, reason=reason)

    def _new_id(self, edit: LessonEdit, terms: Terms, heads: Mapping[str, Lesson]) -> str:
        """Deterministic, so that replaying a reflection gives the same book; counted up where the id is taken."""
        said = json.dumps(edit.text.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":")) if edit.text else ""
        for attempt in range(_MOST_ALIKE):
            lesson_id = lesson_id_of(terms.actor, terms.namespace, said, attempt)
            if lesson_id not in heads and not self.ledger.lessons(ids=[lesson_id]):
                return lesson_id
        raise InvalidInput(f"the lesson {said[:80]!r} has been added a thousand times by {terms.actor!r}; edit the one that exists")


def lesson_id_of(actor: str, namespace: Namespace, said: str, attempt: int = 0) -> str:
    """The id of an added lesson.

    Args:
        actor: Who adds it.
        namespace: Whose it is.
        said: Its text as JSON.
        attempt: Counts how many of the same there are.
    """
    digest = hashlib.sha256("\0".join((actor, repr(namespace), said, str(attempt))).encode("utf-8", "surrogatepass"))
    return f"L-{digest.hexdigest()[:12]}"


def _held_back(edit: LessonEdit, terms: Terms) -> LessonEdit:
    """Where a person reviews, no model serves what it adds, whatever status it names."""
    serves = edit.kind == "add" and edit.status in SERVABLE and terms.default_status == "proposed"
    return edit.model_copy(update={"status": None}) if serves else edit


def _name_problem(edit: LessonEdit, made: _Made) -> str | None:
    if not edit.name:
        return None
    if edit.kind != "add":
        return "only an added lesson takes a name"
    return f"the name {edit.name!r} is taken" if edit.name in made.names or edit.name in made.heads else None


def _resolved(edit: LessonEdit, names: Mapping[str, str]) -> LessonEdit:
    """The edit with ids in place of the names of lessons that were added before it."""
    if not names:
        return edit
    ids = {"merged": tuple(names.get(i, i) for i in edit.merged), "against": tuple(names.get(i, i) for i in edit.against)}
    return edit.model_copy(update={**ids, "lesson_id": names.get(edit.lesson_id, edit.lesson_id) if edit.lesson_id else None})
