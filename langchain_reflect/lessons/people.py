"""What people do to lessons: write, approve, reject, reword, retire, restore, and decide what models asked."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from langchain_reflect.errors import InvalidInput
from langchain_reflect.lessons.authors import approver_of, check_person
from langchain_reflect.lessons.committing import Committing
from langchain_reflect.lessons.edits import Known, Terms, check, revisions_of
from langchain_reflect.lessons.reviewing import decided
from langchain_reflect.types import (
    Example,
    Lesson,
    LessonEdit,
    LessonStatus,
    LessonText,
    Namespace,
    Review,
    ReviewState,
    Revision,
    now,
)

_REVIEW: Final = "V-"


class HumanChanges(Committing):
    """Changes by a person; each is kept with who made it and why."""

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
            status: Default `candidate`: served, on trial. `active`: served as proven, and approved by who writes it.
            by: Who wrote it.

        Raises:
            InvalidInput: A field is empty, too long or unsafe, or `by` stands for a model.
        """
        pairs = tuple(e if isinstance(e, Example) else Example(input=e[0], output=e[1]) for e in examples)
        text = LessonText(title=title, when=when, when_not=when_not, do=do, why=why, examples=pairs)
        return self._change(LessonEdit(kind="add", text=text, status=status, tasks=tuple(tasks)), namespace, by)

    def approve(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Serve a lesson as proven, with the words it has now; or let a model make the change that a review asks about.

        A review's edit is checked again, against the lesson as it is now. If it no longer applies, the review stays open with the problem.

        Args:
            lesson_id: Of a lesson (`L-…`) or of a review (`V-…`).
            by: Who approves.
            reason: Why.
            namespace: Default the book's own.

        Returns:
            The lesson as it is afterwards; for a review, the first one that it is about.

        Raises:
            InvalidInput: It is approved already, somebody else decided first, or the edit no longer applies.
            LessonNotFound: The id is unknown in the namespace.
            ReviewNotFound: Likewise.
        """
        if lesson_id.startswith(_REVIEW):
            return self._decide(lesson_id, "approved", by, reason, namespace)
        return self._set_status(lesson_id, "active", by, reason, namespace)

    def reject(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Never serve a lesson, which is kept as `retired`; or refuse what a review asks for, which changes no lesson.

        Args:
            lesson_id: Of a lesson (`L-…`) or of a review (`V-…`).
            by: Who rejects.
            reason: Why.
            namespace: Default the book's own.

        Raises:
            InvalidInput: It is retired already, or somebody else decided first.
            LessonNotFound: The id is unknown in the namespace.
            ReviewNotFound: Likewise.
        """
        if lesson_id.startswith(_REVIEW):
            return self._decide(lesson_id, "rejected", by, reason, namespace)
        return self._set_status(lesson_id, "retired", by, reason, namespace)

    def retire(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Stop serving a lesson; it is kept."""
        return self._set_status(lesson_id, "retired", by, reason, namespace)

    def quarantine(self, lesson_id: str, *, by: str = "human", reason: str = "", namespace: Namespace | None = None) -> Lesson:
        """Stop serving a lesson until somebody has looked at it."""
        return self._set_status(lesson_id, "quarantined", by, reason, namespace)

    def restore(
        self, lesson_id: str, revision: int | None = None, *, by: str = "human", reason: str = "", namespace: Namespace | None = None
    ) -> Lesson:
        """Bring back an earlier revision, as a new one; support that came since stays.

        Args:
            lesson_id: The lesson.
            revision: Whose words and status come back. What was served then is on trial again, unless a person approved exactly these
                words: then it is served as it was. None: the present words are served again, on trial.
            by: Who brings it back.
            reason: Why.
            namespace: Default the book's own.

        Raises:
            InvalidInput: There is no such revision, or nothing would change.
            LessonNotFound: The id is unknown in the namespace.
        """
        edit = LessonEdit(kind="restore", lesson_id=lesson_id, revision=revision, reason=reason)
        return self._change(edit, self._known_lesson(lesson_id, namespace).namespace, by)

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
        approve: bool = False,
        namespace: Namespace | None = None,
    ) -> Lesson:
        """Reword a lesson; fields that are not given stay, and who rewords it stands behind its words (`approved_by`).

        A served lesson goes on trial again. A proposed one stays proposed.

        Args:
            lesson_id: The lesson.
            by: Who rewords it.
            reason: Why.
            when: See `add`.
            do: Likewise.
            when_not: Likewise.
            why: Likewise.
            title: Likewise.
            approve: Serve it as proven at once, whatever its status was.
            namespace: Default the book's own.

        Raises:
            InvalidInput: It says that already, or a field is empty, too long or unsafe.
            LessonNotFound: The id is unknown in the namespace.
        """
        lesson = self._known_lesson(lesson_id, namespace)
        given = {"when": when, "do": do, "when_not": when_not, "why": why, "title": title}
        text = lesson.text.model_copy(update={name: value for name, value in given.items() if value is not None})
        status: LessonStatus | None = "active" if approve else None
        edit = LessonEdit(kind="revise", lesson_id=lesson_id, text=text, status=status, reason=reason)
        return self._change(edit, lesson.namespace, by)

    def _known_lesson(self, lesson_id: str, namespace: Namespace | None) -> Lesson:
        return self.ledger.lesson(lesson_id, namespace=self._space(namespace))

    def _set_status(self, lesson_id: str, status: LessonStatus, by: str, reason: str, namespace: Namespace | None) -> Lesson:
        lesson = self._known_lesson(lesson_id, namespace)
        edit = LessonEdit(kind="status", lesson_id=lesson_id, status=status, reason=reason)
        return self._change(edit, lesson.namespace, by)

    def _change(self, edit: LessonEdit, namespace: Namespace | None, by: str) -> Lesson:
        space = self._space(namespace)
        (done,) = self.commit([edit], namespace=space, actor=check_person(by))
        if not done.applied or done.lesson_id is None:
            raise InvalidInput(f"the lesson cannot be changed so: {done.reason}")
        return self.ledger.lesson(done.lesson_id, namespace=space)

    def _decide(self, review_id: str, state: ReviewState, by: str, reason: str, namespace: Namespace | None) -> Lesson:
        """Keep a decision and what follows from it, in one transaction; of two who decide at once, one wins."""
        space = self._space(namespace)
        check_person(by)

        def write() -> tuple[str, bool]:
            while True:
                review = decided(self.ledger.review(review_id, namespace=space), state, by=by, reason=reason, at=now())
                revisions = self._following(review, review.edit) if review.kind == "edit" and review.edit and state == "approved" else []
                if self.ledger.decide(review, revisions):
                    return (revisions[0].lesson.id if revisions else review.lessons[0]), bool(revisions)
                # somebody else was faster, and reading it again says who

        return self.ledger.lesson(self._written(write), namespace=space)

    def _following(self, review: Review, edit: LessonEdit) -> list[Revision]:
        """The revisions that follow from an approved review.

        Raises:
            InvalidInput: Its edit no longer applies; the review keeps the problem.
        """
        found, approver = self._known([edit], review.namespace), approver_of(review.by)
        edit, known = self._as_of_now(edit, review.namespace), Known(found.heads, found.pasts)
        if problem := check(edit, known, approver):
            self.ledger.decide(review.model_copy(update=_still_open(f"no longer applies: {problem}")))
            raise InvalidInput(f"review {review.id!r} no longer applies: {problem}; reject it, or change the lesson first")
        said = f"{edit.reason} (approved by {review.by}{': ' if review.answer else ''}{review.answer})".strip()
        terms = Terms(namespace=review.namespace, actor=review.actor, at=review.decided_at or now(), approver=approver)
        return revisions_of(edit.model_copy(update={"reason": said}), known, terms, partial(self._new_id, edit, terms, found.heads))

    def _as_of_now(self, edit: LessonEdit, namespace: Namespace) -> LessonEdit:
        """The edit without the revisions that it expected, if its lessons still say the same: only support came since."""
        pairs = zip(edit.merged, edit.expected, strict=False)
        pasts = [(self.ledger.revisions(i, namespace=namespace), expected) for i, expected in pairs]
        is_same = all(len(past) >= n > 0 and past[n - 1].lesson.text == past[-1].lesson.text for past, n in pasts)
        return edit.model_copy(update={"expected": ()}) if is_same else edit


def _still_open(problem: str) -> dict[str, object]:
    return {"state": "open", "by": "", "answer": problem, "decided_at": None}
