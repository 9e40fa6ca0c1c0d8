"""Where the trials of lessons begin: a trial is one wording of one lesson, for as long as it is served without a break. Pure.

- Another text begins another trial, whoever brings it: a track record was earned by words. An earlier text that comes back does too.
- A change of status, new support, or others that a merge takes in without another text begin none.
- What was out of service (`retired`, `superseded`, `quarantined`) and is served again begins anew, so that evidence which a person has
  overruled does not retire the lesson again at once. Where `credit` takes its own decision back, the trial goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Final

from langchain_reflect.ledger.trial_rows import RevisionRow
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.types import SERVABLE, LessonStatus, LessonText, Namespace

_FIELDS: Final = tuple(LessonText.model_fields)
_OUT: Final = frozenset({"retired", "superseded", "quarantined"})


@dataclass(frozen=True, slots=True)
class Wording:
    """One trial of a lesson, with the lesson as it was at its end, or is now."""

    lesson_id: str
    namespace: Namespace
    began: int
    """The revision that it began with."""
    began_at: datetime
    revision: int
    """The last revision of it."""
    status: LessonStatus
    writer: str
    """Who wrote these words first, as a revision's actor."""
    approved_by: str | None
    title: str
    when: str
    do: str
    is_current: bool
    """Whether the lesson says this now."""
    decided_at: datetime | None = None
    """If the present status was given by `credit`: when."""
    decided_from: LessonStatus | None = None
    """And which status it had before."""
    decided_for: str = ""
    """And the reason that was given."""


def wordings(changes: Iterable[RevisionRow]) -> list[Wording]:
    """The trials of lessons, by lesson and in their order.

    Args:
        changes: All revisions of the lessons, in any order.
    """
    ordered = sorted(changes, key=lambda change: (change.lesson_id, change.revision))
    return [wording for _, past in groupby(ordered, key=lambda change: change.lesson_id) for wording in _of_lesson(list(past))]


def _of_lesson(past: Sequence[RevisionRow]) -> list[Wording]:
    found: list[Wording] = []
    writers: dict[str, str] = {}
    before: RevisionRow | None = None
    for change in past:
        said = _said(change)
        writers.setdefault(said, change.actor)
        if before is None or said != _said(before) or _is_back(before, change):
            found.append(_begun(change, writers[said]))
        else:
            found[-1] = _continued(found[-1], before, change)
        before = change
    return [*(replace(one, is_current=False) for one in found[:-1]), found[-1]]


def _said(change: RevisionRow) -> str:
    return repr([change.body.get(name) for name in _FIELDS])


def _is_back(before: RevisionRow, change: RevisionRow) -> bool:
    """Whether a lesson that was out of service is served again, by another word than that of `credit`."""
    return before.body["status"] in _OUT and change.body["status"] in SERVABLE and change.actor != CREDIT


def _begun(change: RevisionRow, writer: str) -> Wording:
    body = change.body
    return Wording(
        lesson_id=change.lesson_id,
        namespace=tuple(body["namespace"]),
        began=change.revision,
        began_at=datetime.fromisoformat(change.at),
        revision=change.revision,
        status=body["status"],
        writer=writer,
        approved_by=body.get("approved_by"),
        title=body.get("title") or "",
        when=body["when"],
        do=body["do"],
        is_current=True,
    )


def _continued(wording: Wording, before: RevisionRow, change: RevisionRow) -> Wording:
    status: LessonStatus = change.body["status"]
    last = replace(wording, revision=change.revision, status=status, approved_by=change.body.get("approved_by"))
    if status == before.body["status"]:
        return last
    if change.actor != CREDIT:
        return replace(last, decided_at=None, decided_from=None, decided_for="")
    decided = {"decided_from": before.body["status"], "decided_for": change.reason}
    return replace(last, decided_at=datetime.fromisoformat(change.at), **decided)
