"""What a lesson said before: word diffs, the book as of a time, and how to undo a reflection. Pure."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from langchain_reflect.types import Lesson, LessonText, Namespace, Noun, Revision

Change = Literal["same", "removed", "added"]
Piece = tuple[Change, str]
"""A part of two texts: in both, in the first only, or in the second only."""
MERGED_INTO: Final = "merged into "
"""How the reason of a superseded lesson begins; the id of the one that took it in follows."""
_WORDS: Final = re.compile(r"\s+|\S+")


class Undone(Noun):
    """What became of the lessons that an undone reflection had touched."""

    id: str
    """Of the reflection or consolidation."""
    restored: tuple[str, ...] = ()
    """Lessons that are again as they were before it."""
    retired: tuple[str, ...] = ()
    """Lessons that it had added."""
    left: tuple[str, ...] = ()
    """Lessons that somebody changed afterwards; they stay as they are."""
    reviews: tuple[str, ...] = ()
    """Its open reviews, now rejected."""

    def __str__(self) -> str:
        """One line for people."""
        counts = f"{len(self.restored)} restored, {len(self.retired)} retired, {len(self.reviews)} reviews closed"
        left = f"left alone, because somebody changed them since (`force` undoes these too): {', '.join(self.left)}" if self.left else ""
        if not (self.restored or self.retired or self.reviews):
            return f"nothing of {self.id} was undone" + (f"; {left}" if left else "")
        return f"undid {self.id}: {counts}" + (f"; {left}" if left else "")


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """The revisions that undo a reflection, and what they come to."""

    revisions: Sequence[Revision]
    undone: Undone
    before: Revision | None
    """The revision that undid it before, if one did."""


def diff_words(before: str, after: str) -> list[Piece]:
    """Two texts as pieces: `same` and `removed` ones make the first, `same` and `added` ones the second."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[Piece] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("same", "".join(old[i:j])))
        else:
            pieces += _change("".join(old[i:j]), "".join(new[k:m]))
    return _joined(pieces)


def word_diff(before: str, after: str) -> str:
    """Two texts as one, with `[-removed-]` and `{+added+}` words."""
    marks = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    return "".join(marks[change][0] + text + marks[change][1] for change, text in diff_words(before, after))


def field_diffs(before: Lesson | None, after: Lesson) -> dict[str, list[Piece]]:
    """What a revision changed, by field: the fields of the text, and the status.

    Args:
        before: The lesson before it; None if it added the lesson.
        after: The lesson after it.
    """
    old, new = _said(before), _said(after)
    return {name: diff_words(old[name], new[name]) for name in new if old[name] != new[name]}


def fold(revisions: Iterable[Revision]) -> dict[str, Lesson]:
    """The lessons that revisions lead to, by id.

    Args:
        revisions: In any order.
    """
    last: dict[str, Lesson] = {}
    for revision in revisions:
        known = last.get(revision.lesson.id)
        if known is None or revision.lesson.revision > known.revision:
            last[revision.lesson.id] = revision.lesson
    return dict(sorted(last.items()))


def pages(read: Callable[..., Sequence[Revision]], namespace: Namespace | None, *, size: int = 1000) -> Iterator[Revision]:
    """All revisions in their order, without ever holding more than one page of them.

    Args:
        read: `Ledger.journal`.
        namespace: Only this one; None: all.
        size: Revisions of a page.
    """
    page = read(namespace=namespace, limit=size)
    while page:
        yield from page
        page = read(namespace=namespace, after=page[-1], limit=size)


def undo_plan(pasts: Mapping[str, Sequence[Revision]], undoes: str, *, by: str, reason: str, at: datetime, force: bool = False) -> UndoPlan:
    """How to take back all that one reflection did.

    A lesson that it added is retired. One that it changed gets back its text, status and approval, and loses the evidence and tasks that
    the reflection gave it; support that came later stays. Where somebody else changed words or status since, the lesson is left alone.

    Args:
        pasts: All revisions of each lesson that it touched, oldest first.
        undoes: Id of the reflection or consolidation.
        by: Who undoes it.
        reason: Why.
        at: Time of the new revisions.
        force: Undo also what somebody else changed since.
    """
    mark, revisions, restored, retired, left = f"undoes {undoes}", list[Revision](), list[str](), list[str](), list[str]()
    said: dict[str, Any] = {"actor": by, "reason": f"{mark}: {reason}" if reason else mark, "at": at}
    before: Revision | None = None
    kept = set() if force else {i for i, past in pasts.items() if _is_changed_since(past, undoes)}
    for lesson_id, past in pasts.items():
        if found := _undone_by(past, undoes, mark):
            before = found
        elif lesson_id in kept or _survivor(past, undoes) in kept:
            left.append(lesson_id)
        elif past[0].actor == undoes:
            retired.append(lesson_id)
            revisions += [Revision(lesson=_retired(past[-1].lesson, at), kind="retire", **said)]
        else:
            restored.append(lesson_id)
            revisions += [Revision(lesson=_as_before(past, undoes, at), kind="restore", **said)]
    undone = Undone(id=undoes, restored=tuple(restored), retired=tuple(retired), left=tuple(left))
    return UndoPlan(revisions, undone, before)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Changes that only blanks stand between become one, which reads better."""
    joined: list[Piece] = []
    removed = added = ""
    items = [*pieces, ("same", "")]
    for at, (change, text) in enumerate(items):
        if change == "removed":
            removed += text
        elif change == "added":
            added += text
        elif text.isspace() and removed and added and at + 2 < len(items):
            removed, added = removed + text, added + text
        else:
            joined += [*_change(removed, added), ("same", text)]
            removed = added = ""
    return [piece for piece in joined if piece[1]]


def _change(removed: str, added: str) -> list[Piece]:
    pieces: list[Piece] = [("removed", removed), ("added", added)]
    return [piece for piece in pieces if piece[1]]


def _said(lesson: Lesson | None) -> dict[str, str]:
    if lesson is None:
        return dict.fromkeys([*LessonText.model_fields, "status"], "")
    examples = "\n".join(f"{e.input} -> {e.output}" for e in lesson.examples)
    return {name: getattr(lesson, name) for name in LessonText.model_fields} | {"examples": examples, "status": lesson.status}


def _undone_by(past: Sequence[Revision], undoes: str, mark: str) -> Revision | None:
    """The revision that undid it already, after the last thing it did to the lesson."""
    last = max(at for at, revision in enumerate(past) if revision.actor == undoes)
    return next((r for r in past[last + 1 :] if r.reason == mark or r.reason.startswith(f"{mark}: ")), None)


def _survivor(past: Sequence[Revision], undoes: str) -> str | None:
    """The lesson that took this one in, if the reflection merged them: both stay, or both come back."""
    merged = [r.reason for r in past if r.actor == undoes and r.lesson.status == "superseded" and r.reason.startswith(MERGED_INTO)]
    return merged[-1].removeprefix(MERGED_INTO) if merged else None


def _is_changed_since(past: Sequence[Revision], undoes: str) -> bool:
    """Whether somebody else changed words, status or approval after it began."""
    first = next(at for at, revision in enumerate(past) if revision.actor == undoes)
    later = range(first + 1, len(past))
    return any(past[at].actor != undoes and _stand(past[at - 1].lesson) != _stand(past[at].lesson) for at in later)


def _stand(lesson: Lesson) -> tuple[LessonText, str, str | None]:
    return lesson.text, lesson.status, lesson.approved_by


def _retired(lesson: Lesson, at: datetime) -> Lesson:
    return lesson.model_copy(update={"status": "retired", "revision": lesson.revision + 1, "updated_at": at})


def _as_before(past: Sequence[Revision], undoes: str, at: datetime) -> Lesson:
    first = next(i for i, revision in enumerate(past) if revision.actor == undoes)
    base, head, lost = past[first - 1].lesson, past[-1].lesson, set[object]()
    for i in range(first, len(past)):
        if past[i].actor == undoes:
            before, after = past[i - 1].lesson, past[i].lesson
            lost |= ({*after.evidence} - {*before.evidence}) | ({*after.tasks} - {*before.tasks})
    kept = {"evidence": tuple(e for e in head.evidence if e not in lost), "tasks": tuple(t for t in head.tasks if t not in lost)}
    stands = {name: getattr(base, name) for name in (*LessonText.model_fields, "status", "approved_by")}
    return head.model_copy(update={**stands, **kept, "revision": head.revision + 1, "updated_at": at})
