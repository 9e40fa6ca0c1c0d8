"""Where trials of lessons begin."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from langchain_reflect import Ledger
from langchain_reflect.lessons.authors import CREDIT, approver_of, check_person, is_model
from langchain_reflect.lessons.trials import wordings

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Row:
    lesson_id: str
    revision: int
    actor: str
    at: str
    body: dict
    reason: str = "why"


def row(
    revision: int, *, do: str = "first", status: str = "candidate", actor: str = "R-000000000001", approved_by: str | None = None
) -> Row:
    said = {"namespace": ["acme"], "status": status, "when": "asked", "do": do, "approved_by": approved_by}
    return Row("L-1", revision, actor, (NOON + timedelta(minutes=revision)).isoformat(), said)


def begins(*rows: Row) -> list[int]:
    return [wording.began for wording in wordings(rows)]


def test_another_text_begins_another_trial():
    first, second = wordings([row(1), row(2, do="second")])
    assert (first.began, first.is_current, first.do) == (1, False, "first")
    assert (second.began, second.is_current, second.do) == (2, True, "second")


def test_a_text_that_comes_back_begins_another_trial():
    assert begins(row(1), row(2, do="second"), row(3)) == [1, 2, 3]


def test_a_change_of_status_or_support_begins_none():
    assert begins(row(1, status="proposed"), row(2), row(3), row(4, status="active", actor=CREDIT)) == [1]


@pytest.mark.parametrize("out", ["retired", "superseded", "quarantined"])
def test_what_is_served_again_begins_anew(out: str):
    assert begins(row(1), row(2, status=out), row(3, actor="dana")) == [1, 3]


def test_a_decision_that_credit_takes_back_leaves_the_trial_going():
    (wording,) = wordings([row(1), row(2, status="retired", actor=CREDIT), row(3, actor=CREDIT)])
    assert (wording.began, wording.status, wording.revision) == (1, "candidate", 3)


def test_a_wording_tells_what_credit_decided_and_when():
    (wording,) = wordings([row(1), row(2, status="active", actor=CREDIT), row(3, status="active")])
    assert (wording.decided_at, wording.decided_from, wording.decided_for) == (NOON + timedelta(minutes=2), "candidate", "why")


def test_what_a_person_decides_afterwards_is_no_decision_of_credit():
    (wording,) = wordings([row(1), row(2, status="active", actor=CREDIT), row(3, actor="dana")])
    assert wording.decided_at is None


def test_the_writer_is_who_said_it_first():
    rows = [row(1), row(2, do="second", actor="dana"), row(3, actor="dana"), row(4, do="second", actor="R-000000000002")]
    assert [wording.writer for wording in wordings(rows)] == ["R-000000000001", "dana", "R-000000000001", "dana"]


def test_revisions_may_come_in_any_order():
    rows = [row(1), row(2, do="second"), row(3, do="second", status="active")]
    assert wordings(rows[::-1]) == wordings(rows)


def test_credit_is_neither_a_model_nor_a_person():
    assert not is_model(CREDIT)
    assert approver_of(CREDIT) is None
    with pytest.raises(ValueError, match="follows from evidence"):
        check_person(CREDIT)


def test_the_rows_of_the_ledger_are_such_revisions(ledger: Ledger):
    from langchain_reflect.types import Episode, Exposure, Lesson, Revision

    lesson = Lesson(id="L-1", namespace=("acme",), when="asked", do="say", approved_by="dana", status="active")
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="dana")])
    episode = Episode(id="00000000-0000-0000-0000-000000000001", namespace=("acme",), task="t")
    exposed = Exposure(episode_id=episode.id, lesson_id="L-1", revision=1, shown=True, probability=0.5, unit="u", policy="p")
    ledger.save_episode(episode, [exposed])
    (wording,) = wordings(ledger.trial_rows().revisions)
    assert (wording.lesson_id, wording.namespace, wording.status, wording.approved_by) == ("L-1", ("acme",), "active", "dana")
