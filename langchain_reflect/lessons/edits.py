"""Edits of the lesson book, as pure functions: is an edit possible, and which revisions does it make?

A lesson is the last of its revisions, so applying an edit means writing the next ones. Two rules hold for every kind of edit:

- **Support is conserved exactly.** `revise` keeps the lesson's evidence; `merge` gives the survivor the union of all evidence.
- **Reworded means on trial again.** A served lesson whose text changes goes back to the book's default status (`candidate`, or `proposed`
  where a person reviews), because its track record was earned by another text. An edit that names a status itself is obeyed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

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


def check(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:
    """What is wrong with an edit, or None if it can be applied.

    Args:
        edit: The proposed change.
        known: The lessons that the edit names, by id, all of one namespace. An id that is missing here does not exist.
    """
    missing = [i for i in _named(edit) if i not in known]
    if missing:
        return f"no such lesson: {', '.join(missing)}"
    problem = _CHECKS[edit.kind](edit, known)
    return problem or (_text_problem(edit.text) if edit.text else None)


def revisions_of(
    edit: LessonEdit,
    known: Mapping[str, Lesson],
    *,
    namespace: Namespace,
    actor: str,
    new_id: Callable[[], str],
    default_status: LessonStatus,
    at: datetime,
) -> list[Revision]:
    """The revisions that an edit makes; `check` must have found nothing wrong with it.

    Args:
        edit: The change.
        known: The lessons that the edit names, by id.
        namespace: Of a new lesson.
        actor: A person's name, `human`, `import`, or a reflection's id; also the origin of a new lesson.
        new_id: Makes the id of a new lesson.
        default_status: Of a new or reworded lesson if the edit names none. Text that looks unsafe is `quarantined` instead.
        at: Time of the change.

    Returns:
        The revised lesson first, then the ones that a merge superseded.
    """
    if edit.kind == "add":
        lesson = _added(edit, namespace, actor, default_status, at).model_copy(update={"id": new_id()})
        return [Revision(lesson=lesson, kind="add", actor=actor, reason=edit.reason, at=at)]
    assert edit.lesson_id is not None, "check() refuses an edit without its lesson"
    kept, absorbed = known[edit.lesson_id], [known[i] for i in edit.merged]
    changed = _changed(edit, kept, absorbed, default_status, at)
    revisions = [Revision(lesson=changed, kind=edit.kind, actor=actor, reason=edit.reason, at=at)]
    for lesson in absorbed:
        gone = lesson.model_copy(update={"revision": lesson.revision + 1, "status": "superseded", "updated_at": at})
        revisions.append(Revision(lesson=gone, kind="merge", actor=actor, reason=f"merged into {kept.id}", at=at))
    return revisions


def _named(edit: LessonEdit) -> list[str]:
    return [*([edit.lesson_id] if edit.lesson_id else []), *edit.merged]


def _check_add(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:  # noqa: ARG001  all checks are called alike
    if edit.text is None:
        return "an added lesson needs a text"
    if edit.lesson_id is not None or edit.merged:
        return "an added lesson names no other lesson"
    return f"a new lesson cannot be {edit.status}" if edit.status in _GONE else None


def _check_revise(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:
    if edit.lesson_id is None or edit.text is None:
        return "a revision needs a lesson id and a text"
    if edit.merged:
        return "a revision absorbs no other lesson; use merge"
    lesson = known[edit.lesson_id]
    if lesson.status in _GONE and edit.status is None:
        return f"{lesson.id} is {lesson.status}; restore it first"
    return None if _changes(edit, lesson) else f"{lesson.id} already says that"


def _check_merge(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:
    if edit.lesson_id is None:
        return "a merge needs the id of the lesson that stays"
    if edit.lesson_id in edit.merged or len(set(edit.merged)) < len(edit.merged):
        return f"{edit.lesson_id} cannot absorb itself or a lesson twice"
    gone = [i for i in (edit.lesson_id, *edit.merged) if known[i].status in _GONE]
    if gone:
        return f"{gone[0]} is {known[gone[0]].status}; it cannot be merged"
    return None if edit.merged or _changes(edit, known[edit.lesson_id]) else f"{edit.lesson_id} already has that support"


def _check_retire(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:
    if edit.lesson_id is None:
        return "to retire needs a lesson id"
    if edit.text is not None or edit.merged:
        return "to retire changes no text and absorbs nothing"
    status = known[edit.lesson_id].status
    return f"{edit.lesson_id} is already {status}" if status in _GONE else None


def _check_status(edit: LessonEdit, known: Mapping[str, Lesson]) -> str | None:
    if edit.lesson_id is None or edit.status is None:
        return "a change of status needs a lesson id and a status"
    if edit.text is not None or edit.merged:
        return "a change of status changes no text and absorbs nothing"
    return f"{edit.lesson_id} is already {edit.status}" if known[edit.lesson_id].status == edit.status else None


_CHECKS: Final = {
    "add": _check_add,
    "revise": _check_revise,
    "merge": _check_merge,
    "retire": _check_retire,
    "status": _check_status,
}


def _text_problem(text: LessonText) -> str | None:
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


def _changes(edit: LessonEdit, lesson: Lesson) -> bool:
    """Whether the edit brings another wording, status, evidence or task."""
    return (
        (edit.text is not None and clean_text(edit.text) != lesson.text)
        or (edit.status is not None and edit.status != lesson.status)
        or not set(edit.evidence) <= set(lesson.evidence)
        or _tasks(lesson.tasks, edit.tasks) != lesson.tasks
    )


def _added(edit: LessonEdit, namespace: Namespace, actor: str, default: LessonStatus, at: datetime) -> Lesson:
    assert edit.text is not None, "check() refuses to add without a text"
    text = clean_text(edit.text)
    return Lesson(
        **text.model_dump(),
        id="",
        namespace=namespace,
        status=edit.status or ("quarantined" if suspicion(text) else default),
        evidence=_union(edit.evidence),
        tasks=_tasks(edit.tasks),
        origin=actor,
        created_at=at,
        updated_at=at,
    )


def _changed(edit: LessonEdit, lesson: Lesson, absorbed: Sequence[Lesson], default: LessonStatus, at: datetime) -> Lesson:
    text = lesson.text if edit.text is None else clean_text(edit.text)
    fields = {
        **{name: getattr(text, name) for name in LessonText.model_fields},
        "revision": lesson.revision + 1,
        "status": _status(edit, lesson, text, default),
        "evidence": _union(lesson.evidence, *(other.evidence for other in absorbed), edit.evidence),
        "tasks": _tasks(lesson.tasks, *(other.tasks for other in absorbed), edit.tasks),
        "updated_at": at,
    }
    return lesson.model_copy(update=fields)


def _status(edit: LessonEdit, lesson: Lesson, text: LessonText, default: LessonStatus) -> LessonStatus:
    if edit.kind == "retire":
        return "retired"
    if edit.status is not None:
        return edit.status
    if text == lesson.text:
        return lesson.status
    if suspicion(text):
        return "quarantined"
    return default if lesson.status in SERVABLE else lesson.status


def _union(*parts: Iterable[T]) -> tuple[T, ...]:
    """All items once, in the order they first came."""
    return tuple(dict.fromkeys(item for part in parts for item in part))


def _tasks(*parts: Iterable[str]) -> tuple[str, ...]:
    return _union(*([task[:MAX_TASK_CHARS] for task in part if task.strip()] for part in parts))[:MAX_TASKS]
