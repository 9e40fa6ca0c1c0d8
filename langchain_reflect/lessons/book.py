"""The lesson book: lessons are changed here and nowhere else.

A change is checked (`edits.py`), written to the ledger in one transaction, and then taken into the index. If the index fails in
between, nothing is lost: before each query the index takes in what changed in the ledger since it last did, and while it cannot
be reached, recall answers from the vectors in the ledger.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal

from pydantic import TypeAdapter

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable, InvalidInput
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector, VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import Rows, nearest
from langchain_reflect.ledger import Ledger, LessonVectors
from langchain_reflect.lessons.edits import check, revisions_of
from langchain_reflect.types import (
    SERVABLE,
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
logger = logging.getLogger(__name__)
_TAG_KEY: Final = "embedder_tag"
_BATCH: Final = 500
_PATIENCE: Final = 0.05
"""Seconds that a recall waits while another thread brings the index up to date."""
_PAUSE: Final = 30.0
"""Seconds after which an index that failed is tried again."""
_TAG: Final = TypeAdapter(EmbedderTag)


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
        self._index_lock = threading.RLock()
        self._ready = False
        self._taken = 0
        self._index_failed = False
        self._next_try = 0.0
        self._rows: dict[Namespace, tuple[int, Rows]] = {}

    # Reading

    def list(self, namespace: Namespace | None = None, *, status: LessonStatus | Collection[LessonStatus] | None = None) -> list[Lesson]:
        """Lessons by id; those of one namespace, or of one or several statuses."""
        return self.ledger.lessons(namespace=namespace, statuses={status} if isinstance(status, str) else status)

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson."""
        return not self.ledger.lessons(namespace=namespace, statuses=SERVABLE, limit=1)

    def show(self, lesson_id: str) -> Lesson:
        """One lesson.

        Raises:
            LessonNotFound: The id is unknown.
        """
        return self.ledger.lesson(lesson_id)

    def history(self, lesson_id: str) -> Sequence[Revision]:
        """All revisions of a lesson, oldest first.

        Raises:
            LessonNotFound: The id is unknown.
        """
        self.ledger.lesson(lesson_id)
        return self.ledger.revisions(lesson_id)

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

    def approve(self, lesson_id: str, *, by: str = "human", reason: str = "") -> Lesson:
        """Serve a lesson as proven."""
        return self._set_status(lesson_id, "active", by, reason)

    def reject(self, lesson_id: str, *, by: str = "human", reason: str = "") -> Lesson:
        """Never serve a lesson; it is kept as `retired`."""
        return self._set_status(lesson_id, "retired", by, reason)

    retire = reject

    def restore(self, lesson_id: str, *, by: str = "human", reason: str = "") -> Lesson:
        """Serve a retired lesson again, on trial."""
        return self._set_status(lesson_id, "candidate", by, reason)

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
    ) -> Lesson:
        """Reword a lesson; fields that are not given stay. It goes on trial again."""
        lesson = self.show(lesson_id)
        given = {"when": when, "do": do, "when_not": when_not, "why": why, "title": title}
        text = lesson.text.model_copy(update={name: value for name, value in given.items() if value is not None})
        return self._change(LessonEdit(kind="revise", lesson_id=lesson_id, text=text, reason=reason), lesson.namespace, by)

    def _set_status(self, lesson_id: str, status: LessonStatus, by: str, reason: str) -> Lesson:
        lesson = self.show(lesson_id)
        return self._change(LessonEdit(kind="status", lesson_id=lesson_id, status=status, reason=reason), lesson.namespace, by)

    def _change(self, edit: LessonEdit, namespace: Namespace, by: str) -> Lesson:
        (done,) = self._commit([edit], namespace, by, default_status="candidate")
        if not done.applied or done.lesson_id is None:
            raise InvalidInput(f"the lesson cannot be changed so: {done.reason}")
        return self.show(done.lesson_id)

    # Changes by a reflection

    def commit(self, edits: Sequence[LessonEdit], *, namespace: Namespace, actor: str) -> Sequence[AppliedEdit]:
        """Apply edits: each is checked, and all that pass are written in one transaction, then taken into the index.

        Args:
            edits: In the order in which they were meant; later ones see what earlier ones did.
            namespace: Lessons of other namespaces do not exist for these edits.
            actor: Who made them, such as a reflection's id.

        Returns:
            For each edit whether it was applied, and why not.

        Raises:
            LedgerError: Nothing was written.
        """
        return self._commit(edits, namespace, actor, default_status="proposed" if self.review == "required" else "candidate")

    def _commit(
        self, edits: Sequence[LessonEdit], namespace: Namespace, actor: str, *, default_status: LessonStatus
    ) -> Sequence[AppliedEdit]:
        with self._lock:
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
            self.ledger.append_revisions(revisions)
        if revisions and not self._index_failed:
            self._take_in_quietly()
        return done

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

    # The index

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons of exactly this namespace nearest to a vector, with their cosine, best first.

        What the index finds is confirmed in the ledger, so a stale index can never revive a retired lesson. Where the index cannot
        be used, the ledger's own vectors are compared.

        Raises:
            EmbedderChanged: The lessons were embedded by another model.
        """
        hits = self._ask_index(vector, namespace, limit)
        ids = [hit.lesson_id for hit in hits]
        found = {lesson.id: lesson for lesson in self.ledger.lessons(namespace=namespace, statuses=SERVABLE, ids=ids)}
        return [(found[hit.lesson_id], hit.similarity) for hit in hits if hit.lesson_id in found]

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        held = self.ledger.vectors(self.embedder.id, ids=lesson_ids) if lesson_ids else []
        return {each.lesson_id: each.vectors[0] for each in held}

    def reindex(self) -> int:
        """Fill the index anew from the ledger; only texts without a vector by the present embedder are embedded.

        Returns:
            Number of lessons in the index.

        Raises:
            IndexUnavailable: The index cannot be reached.
        """
        with self._index_lock:
            tag = self.embedder.tag
            lessons = self.ledger.lessons(statuses=SERVABLE)
            self._embed_missing(lessons)
            self.ledger.set_meta(_TAG_KEY, _tag_text(tag))
            try:
                self.index.open(tag)
            except (EmbedderChanged, IndexUnavailable) as error:
                logger.info("the index cannot be used as it is, so it is made anew: %s", error)
            self.index.reset()
            self._ready, self._taken = True, 0
            self._take_in()
            return len(lessons)

    def _ask_index(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[Hit]:
        self._check_embedder()
        hits = None if self._index_failed else self._query(vector, namespace, limit)
        if hits is None:
            self._try_again_later()
            return nearest(self._ledger_rows(namespace), vector, limit)
        return hits

    def _query(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[Hit] | None:
        """What the index finds; None if it fails, or if somebody else is still waiting for it."""
        if not self._index_lock.acquire(timeout=_PATIENCE):
            return None
        try:
            self._take_in()
        except IndexUnavailable as error:
            self._note_failure(error)
            return None
        finally:
            self._index_lock.release()
        try:
            return self.index.query(vector, namespace=namespace, limit=limit)
        except IndexUnavailable as error:
            self._note_failure(error)
            return None

    def _try_again_later(self) -> None:
        """Every while, see on another thread whether the index can be used again; a run must never wait for a server that hangs."""
        if not self._index_failed or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + _PAUSE
        threading.Thread(target=self._take_in_quietly, name="reflect-index", daemon=True).start()

    def _take_in_quietly(self) -> None:
        """After a commit: the change is safe in the ledger, so a failing index or embedder must not undo it."""
        try:
            self._check_embedder()
            with self._index_lock:
                self._take_in()
        except IndexUnavailable as error:
            self._note_failure(error)
        except Exception:
            logger.exception("lessons were written but not yet taken into the index; it is tried again at the next recall")

    def _take_in(self) -> None:
        """Bring the index up to date with the ledger."""
        if not self._ready:
            self.index.open(self.embedder.tag)
            self._taken = self._stored_mark() if self.index.count() else 0
            self._ready = True
        if self.ledger.lessons_version() > self._taken:
            version, changed = self.ledger.lessons_changed_since(self._taken)
            for start in range(0, len(changed), _BATCH):
                self._refresh(changed[start : start + _BATCH])
            self._mark(version)
        self._index_failed = False

    def _refresh(self, ids: Sequence[str]) -> None:
        servable = self.ledger.lessons(ids=ids, statuses=SERVABLE)
        self._embed_missing(servable)
        entries = [_entry(held) for held in self.ledger.vectors(self.embedder.id, ids=[lesson.id for lesson in servable])]
        self.index.upsert(entries)
        self.index.delete(set(ids) - {entry.lesson_id for entry in entries})

    def _mark(self, version: int) -> None:
        """Remember how far the index has read; an index that ends with the process needs no memory beyond it."""
        self._taken = version
        if self.index.identity:
            self.ledger.set_meta(self._mark_key(), str(version))

    def _stored_mark(self) -> int:
        return int(self.ledger.meta(self._mark_key()) or 0) if self.index.identity else 0

    def _mark_key(self) -> str:
        return "taken_in:" + hashlib.sha256(f"{self.index.identity}\0{self.embedder.id}".encode()).hexdigest()[:32]

    def _embed_missing(self, lessons: Sequence[Lesson]) -> None:
        texts = self.ledger.missing_texts(self.embedder.id, lessons)
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH]
            self.ledger.put_vectors(self.embedder.id, dict(zip(some, self.embedder.embed_documents(some), strict=True)))

    def _check_embedder(self) -> None:
        """Refuse vectors of another space than the ledger's, before anything is compared with them."""
        if self._ready:
            return
        tag = self.embedder.tag
        stored = self.ledger.meta(_TAG_KEY)
        if stored is None:
            self.ledger.set_meta(_TAG_KEY, _tag_text(tag))
        else:
            tag.check(_tag_of(stored))

    def _ledger_rows(self, namespace: Namespace) -> Rows:
        """The vectors of one namespace as a matrix, kept until lessons change."""
        version = self.ledger.lessons_version()
        known = self._rows.get(namespace)
        if known is None or known[0] != version:
            self._embed_missing(self.ledger.lessons(namespace=namespace, statuses=SERVABLE))
            held = self.ledger.vectors(self.embedder.id, namespace=namespace, statuses=SERVABLE)
            known = (version, Rows.of((each.lesson_id, each.vectors) for each in held))
            self._rows[namespace] = known
        return known[1]

    def _note_failure(self, error: IndexUnavailable) -> None:
        self._next_try = time.monotonic() + _PAUSE
        if not self._index_failed:
            logger.warning("the index cannot be used, so lessons are found by the vectors in the ledger: %s", error)
        self._index_failed = True


def _entry(held: LessonVectors) -> IndexEntry:
    return IndexEntry(lesson_id=held.lesson_id, revision=held.revision, namespace=held.namespace, vectors=held.vectors)


def _tag_text(tag: EmbedderTag) -> str:
    return _TAG.dump_json(tag).decode()


def _tag_of(text: str) -> EmbedderTag:
    return _TAG.validate_json(text)
