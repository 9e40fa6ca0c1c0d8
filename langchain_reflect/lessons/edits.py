"""Edits of the lesson book, as pure functions: is an edit possible, and which revisions does it make?

A lesson is the last of its revisions, so applying an edit means writing the next ones. Three rules hold for every kind of edit:

- **Support is conserved exactly.** `revise` keeps the lesson's evidence; `merge` gives the survivor the union of all evidence.
- **Reworded or merged means on trial again.** A served lesson whose text changes, or that takes in others, goes back to `candidate`:
  its track record was earned by another text (a person's approval is none, and stays with its words). An edit that names a status itself
  is obeyed, unless the text looks unsafe and no person stands behind it.
- **Approved means this wording.** `approved_by` names the person who wrote it as proven, approved it or reworded it; it is lost when
  somebody else's words take their place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from langchain_reflect.ledger.outcomes import storable
from langchain_reflect.lessons.history import MERGED_INTO
from langchain_reflect.lessons.safety import clean_text, suspicion
from langchain_reflect.types import SERVABLE, Lesson, LessonEdit, LessonStatus, LessonText, Namespace, Revision

MAX_TASKS: Final = 8
"""Most source tasks that a lesson keeps; recall compares a new task with each of them."""
MAX_TASK_CHARS: Final = 500
"""A longer source task is cut; embedding models read little more."""
MAX_FIELD_CHARS: Final = 600
"""A longer field is refused: the whole prompt block has room for some 300 tokens."""
MAX_EXAMPLES: Final = 2
T = TypeVar("T")
_GONE: Final[frozenset[LessonStatus]] = frozenset({"retired", "superseded"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the lessons that edits name, all of one namespace. An id that is missing here does not exist."""

    heads: Mapping[str, Lesson]
    """Each lesson as it is now."""
    pasts: Mapping[str, Sequence[Lesson]] = field(default_factory=dict)
    """All revisions, oldest first, of the lessons that a `restore` brings back."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By whom, when and on which terms an edit is made."""

    namespace: Namespace
    """Of a new lesson."""
    actor: str
    """See `Revision.actor`; also the origin of a new lesson."""
    at: datetime
    default_status: LessonStatus = "candidate"
    """Of a new lesson if the edit names none. Text that looks unsafe is `quarantined` instead."""
    approver: str | None = None
    """The person who makes the edit, or who approved it in a review."""

    @property
    def is_reviewed(self) -> bool:
        """Whether a person approved what somebody else wrote."""
        return self.approver not in (None, self.actor)


def check(edit: LessonEdit, known: Known, approver: str | None = None) -> str | None:
    """What is wrong with an edit, or None if it can be applied.

    Args:
        edit: The proposed change.
        known: The lessons that it names.
        approver: See `Terms`.
    """
    missing = [i for i in named(edit) if i not in known.heads]
    if missing:
        return f"no such lesson: {', '.join(missing)}"
    problem = _stale(edit, known) or _CHECKS[edit.kind](edit, known, approver)
    return problem or (text_problem(edit.text) if edit.text else None)


def revisions_of(edit: LessonEdit, known: Known, terms: Terms, new_id: Callable[[], str]) -> list[Revision]:
    """The revisions that an edit makes; `check` must have found nothing wrong with it.

    Args:
        edit: The change.
        known: The lessons that it names.
        terms: By whom, when and on which terms.
        new_id: Makes the id of a new lesson.

    Returns:
        The revised lesson first, then the ones that a merge superseded.
    """
    absorbed = [known.heads[i] for i in edit.merged]
    if edit.kind == "add":
        lesson = _added(edit, absorbed, terms).model_copy(update={"id": new_id()})
    elif edit.kind == "restore":
        lesson = _restored(edit, known, terms)
    else:
        assert edit.lesson_id is not None, "check() refuses an edit without its lesson"
        lesson = _changed(edit, known.heads[edit.lesson_id], absorbed, terms)
    revision = Revision(lesson=lesson, kind=edit.kind, reason=edit.reason, actor=terms.actor, at=terms.at)
    return [revision, *(_superseded(other, lesson.id, terms) for other in absorbed)]


def _superseded(lesson: Lesson, by: str, terms: Terms) -> Revision:
    gone = lesson.model_copy(update={"revision": lesson.revision + 1, "status": "superseded", "updated_at": terms.at})
    return Revision(lesson=gone, kind="merge", reason=f"{MERGED_INTO}{by}", actor=terms.actor, at=terms.at)


def named(edit: LessonEdit) -> list[str]:
    """The lessons that an edit is about: the one it changes first."""
    return [*([edit.lesson_id] if edit.lesson_id else []), *edit.merged, *edit.against]


def _stale(edit: LessonEdit, known: Known) -> str | None:
    """Whether a merged lesson is another by now than the one that the edit was made for."""
    if edit.expected and len(edit.expected) != len(edit.merged):
        return f"{len(edit.expected)} expected revisions for {len(edit.merged)} merged lessons"
    heads = [known.heads[i] for i in edit.merged]
    changed = [head for head, revision in zip(heads, edit.expected, strict=False) if head.revision != revision]
    return f"{changed[0].id} was changed after this was proposed (revision {changed[0].revision} by now)" if changed else None


def _check_add(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001  all checks are called alike
    if edit.text is None:
        return "an added lesson needs a text"
    if edit.lesson_id is not None:
        return "an added lesson has no id yet; the ones that it takes the place of are its merged ones"
    if edit.status in _GONE:
        return f"a new lesson cannot be {edit.status}"
    return _merged_problem(edit.merged, known)


def _check_revise(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001
    if edit.lesson_id is None or edit.text is None:
        return "a revision needs a lesson id and a text"
    if edit.merged:
        return "a revision absorbs no other lesson; use merge"
    lesson = known.heads[edit.lesson_id]
    if lesson.status in _GONE and edit.status is None:
        return f"{lesson.id} is {lesson.status}; restore it first"
    return None if _changes(edit, lesson) else f"{lesson.id} already says that"


def _check_merge(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001
    if edit.lesson_id is None:
        return "a merge needs the id of the lesson that stays"
    if problem := _merged_problem([edit.lesson_id, *edit.merged], known):
        return problem
    return None if edit.merged or _changes(edit, known.heads[edit.lesson_id]) else f"{edit.lesson_id} already has that support"


def _merged_problem(ids: Sequence[str], known: Known) -> str | None:
    if len(set(ids)) < len(ids):
        return f"a lesson cannot absorb itself or be merged twice: {', '.join(ids)}"
    gone = [i for i in ids if known.heads[i].status in _GONE]
    return f"{gone[0]} is {known.heads[gone[0]].status}; it cannot be merged" if gone else None


def _check_retire(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001
    if edit.lesson_id is None:
        return "to retire needs a lesson id"
    if edit.text is not None or edit.merged:
        return "to retire changes no text and absorbs nothing"
    status = known.heads[edit.lesson_id].status
    return f"{edit.lesson_id} is already {status}" if status in _GONE else None


def _check_status(edit: LessonEdit, known: Known, approver: str | None) -> str | None:
    if edit.lesson_id is None or edit.status is None:
        return "a change of status needs a lesson id and a status"
    if edit.text is not None or edit.merged:
        return "a change of status changes no text and absorbs nothing"
    lesson = known.heads[edit.lesson_id]
    if lesson.status != edit.status or (edit.status == "active" and approver and not lesson.approved_by):
        return None
    return f"{edit.lesson_id} is already {edit.status}" + (f", approved by {lesson.approved_by}" if edit.status == "active" else "")


def _check_restore(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001
    if edit.lesson_id is None:
        return "to restore needs a lesson id"
    if edit.text is not None or edit.merged:
        return "to restore brings back what was said; it takes no text and absorbs nothing"
    head, past = known.heads[edit.lesson_id], known.pasts.get(edit.lesson_id, ())
    if edit.revision is not None and not 1 <= edit.revision <= len(past):
        return f"{edit.lesson_id} has no revision {edit.revision}; it has 1 to {len(past)}"
    text, status, approved_by = _brought_back(edit, head, past)
    if (text, status, approved_by) != (head.text, head.status, head.approved_by):
        return None
    return f"{head.id} is already {head.status}" if edit.revision is None else f"{head.id} already is as in revision {edit.revision}"


def _check_contradict(edit: LessonEdit, known: Known, approver: str | None) -> str | None:  # noqa: ARG001
    if edit.lesson_id is None or not edit.against:
        return "a contradiction needs a lesson id and the other side"
    if edit.text is not None or edit.merged or edit.status is not None:
        return "a contradiction changes nothing"
    if edit.lesson_id in edit.against:
        return f"{edit.lesson_id} cannot contradict itself"
    gone = [i for i in (edit.lesson_id, *edit.against) if known.heads[i].status in _GONE]
    return f"{gone[0]} is {known.heads[gone[0]].status}; nothing contradicts it" if gone else None


_CHECKS: Final = {
    "add": _check_add,
    "revise": _check_revise,
    "merge": _check_merge,
    "retire": _check_retire,
    "status": _check_status,
    "restore": _check_restore,
    "contradict": _check_contradict,
}


def text_problem(text: LessonText) -> str | None:
    """What is wrong with a lesson's text, or None.

    Args:
        text: What it says.
    """
    text = clean_text(text)
    for name in ("when", "do"):
        if not getattr(text, name):
            return f"`{name}` is empty"
    for name in ("title", "when", "when_not", "do", "why"):
        if len(getattr(text, name)) > MAX_FIELD_CHARS:
            return f"`{name}` has {len(getattr(text, name))} characters, at most {MAX_FIELD_CHARS} fit"
    if len(text.examples) > MAX_EXAMPLES:
        return f"{len(text.examples)} examples, at most {MAX_EXAMPLES} fit"
    if any(len(side) > MAX_FIELD_CHARS for e in text.examples for side in (e.input, e.output)):
        return f"an example is longer than {MAX_FIELD_CHARS} characters"
    return None


def rewords(edit: LessonEdit, lesson: Lesson) -> bool:
    """Whether the edit brings another wording."""
    return edit.text is not None and clean_text(edit.text) != lesson.text


def _changes(edit: LessonEdit, lesson: Lesson) -> bool:
    """Whether the edit brings another wording, status, evidence or task."""
    return (
        rewords(edit, lesson)
        or (edit.status is not None and edit.status != lesson.status)
        or not set(edit.evidence) <= set(lesson.evidence)
        or _tasks(lesson.tasks, edit.tasks) != lesson.tasks
    )


def _added(edit: LessonEdit, absorbed: Sequence[Lesson], terms: Terms) -> Lesson:
    assert edit.text is not None, "check() refuses to add without a text"
    text = clean_text(edit.text)
    status = _safe(edit.status, text, terms) or terms.default_status
    return Lesson(
        **text.model_dump(),
        id="",
        namespace=terms.namespace,
        status=status,
        evidence=_union(*(other.evidence for other in absorbed), edit.evidence),
        tasks=_tasks(edit.tasks, *(other.tasks for other in absorbed)),
        origin=terms.actor,
        approved_by=terms.approver if status == "active" or terms.is_reviewed else None,
        created_at=terms.at,
        updated_at=terms.at,
    )


def _changed(edit: LessonEdit, lesson: Lesson, absorbed: Sequence[Lesson], terms: Terms) -> Lesson:
    text = clean_text(edit.text) if edit.text is not None and rewords(edit, lesson) else lesson.text
    status = _status(edit, lesson, text, terms)
    fields = {
        "evidence": _union(lesson.evidence, *(other.evidence for other in absorbed), edit.evidence),
        "tasks": _tasks(lesson.tasks, *(other.tasks for other in absorbed), edit.tasks),
        "approved_by": _approved_by(edit, lesson, text, terms),
    }
    return _next(lesson, text, status, terms.at, **fields)


def _approved_by(edit: LessonEdit, lesson: Lesson, text: LessonText, terms: Terms) -> str | None:
    """Whoever stands behind the words, now."""
    approves = edit.status == "active" and terms.approver is not None
    return terms.approver if text != lesson.text or approves else lesson.approved_by


def _status(edit: LessonEdit, lesson: Lesson, text: LessonText, terms: Terms) -> LessonStatus:
    if edit.kind == "retire":
        return "retired"
    if text == lesson.text:
        anew = edit.kind == "merge" and edit.merged and lesson.status in SERVABLE and lesson.approved_by is None
        return edit.status or ("candidate" if anew else lesson.status)
    return _safe(edit.status, text, terms) or ("candidate" if lesson.status in SERVABLE else lesson.status)


def _safe(status: LessonStatus | None, text: LessonText, terms: Terms) -> LessonStatus | None:
    """The status that an edit names, unless its new words look unsafe: then only a person may name one."""
    return "quarantined" if (status is None or terms.approver is None) and suspicion(text) else status


def _restored(edit: LessonEdit, known: Known, terms: Terms) -> Lesson:
    assert edit.lesson_id is not None, "check() refuses it"
    head = known.heads[edit.lesson_id]
    text, status, approved_by = _brought_back(edit, head, known.pasts.get(head.id, ()))
    return _next(head, text, status, terms.at, approved_by=approved_by)


def _brought_back(edit: LessonEdit, head: Lesson, past: Sequence[Lesson]) -> tuple[LessonText, LessonStatus, str | None]:
    """Text, status and approval after a restore: served again means on trial, unless a person approved exactly these words."""
    if edit.revision is None:
        return head.text, "candidate", head.approved_by
    then = past[edit.revision - 1]
    approved = [lesson for lesson in past if lesson.approved_by and lesson.text == then.text]
    if not approved:
        return then.text, "candidate" if then.status in SERVABLE else then.status, None
    was_active = then.status in SERVABLE and any(lesson.status == "active" for lesson in approved)
    status: LessonStatus = "active" if was_active else "candidate" if then.status in SERVABLE else then.status
    return then.text, status, approved[-1].approved_by


def _next(lesson: Lesson, text: LessonText, status: LessonStatus, at: datetime, **fields: Any) -> Lesson:
    said = {name: getattr(text, name) for name in LessonText.model_fields}
    return lesson.model_copy(update={**said, "revision": lesson.revision + 1, "status": status, "updated_at": at, **fields})


def _union(*parts: Iterable[T]) -> tuple[T, ...]:
    """All items once, in the order they first came."""
    return tuple(dict.fromkeys(item for part in parts for item in part))


def _tasks(*parts: Iterable[str]) -> tuple[str, ...]:
    return _union(*([storable(task[:MAX_TASK_CHARS]) for task in part if task.strip()] for part in parts))[:MAX_TASKS]
