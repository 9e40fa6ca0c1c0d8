"""The short way of an outcome and the long one leave the same behind."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import bindparam, select, update

from langchain_reflect import Ledger
from langchain_reflect.ledger import outcomes, tables
from langchain_reflect.ledger.prepared import Prepared
from langchain_reflect.types import Episode

AT = datetime(2026, 1, 1, tzinfo=UTC)


def saved(ledger, count=1):
    ids = [uuid4() for _ in range(count)]
    ledger.save_episodes([(Episode(id=i, task="t", started_at=AT), ()) for i in ids])
    return ids


def rows_of(ledger, table, ids):
    place = {one: number for number, one in enumerate(ids)}
    rows = ledger._read(lambda c: c.execute(select(table).where(table.c.episode_id.in_(ids))).all())
    passing = {"recorded_at", "judged_at"}
    return sorted(str(r._asdict() | {"episode_id": place[r.episode_id]} | dict.fromkeys(passing, "")) for r in rows)


def test_a_prepared_statement_tells_how_many_rows_it_changed(either):
    known, unknown = saved(either)[0], uuid4()
    table = tables.episodes
    finish = Prepared(lambda _: update(table).where(table.c.id == bindparam("this"), table.c.arm == "treated").values(status="error"))
    assert [either._write(finish.run, {"this": one}) for one in (known, unknown)] == [1, 0]
    assert either.episode(known).status == "error"


def test_the_short_way_and_the_long_way_leave_the_same_rows(either, monkeypatch):
    given = {"reward": True, "feedback": "grüße\n", "source": "s", "key": "k", "observed_at": AT, "detail": {"a": [1, None, "ü"]}}
    short = saved(either)
    answers = [either.record_outcome(short[0], **given)]
    assert rows_of(either, tables.due, short) != []
    monkeypatch.setattr(outcomes, "_kept_as_first", lambda *_, **__: False)
    long = saved(either)
    answers.append(either.record_outcome(long[0], **given))
    for table in (tables.outcomes, tables.due):
        assert rows_of(either, table, short) == rows_of(either, table, long)
    assert answers[0] == answers[1].model_copy(update={"episode_id": short[0]}) == either.outcomes(short[0])[0]
    assert either.verify() == []


def test_a_later_source_moves_the_time_since_when_an_episode_is_due_and_never_back(either):
    [one] = saved(either)
    told = []
    for source in ("a", "b"):
        either.record_outcome(one, reward=1, source=source)
        told.append(either._read(lambda c: c.execute(select(tables.due.c.judged_at)).scalar()))
    latest = either._read(lambda c: c.execute(select(tables.outcomes.c.recorded_at).where(tables.outcomes.c.source == "b")).scalar())
    assert told[0] < told[1] == latest


@pytest.mark.parametrize("batch", [False, True])
def test_many_who_contradict_each_other_at_once_leave_what_the_latest_says(either: Ledger, batch):
    ids: list[UUID] = saved(either, 12)

    def say(number):
        given = {"reward": number / 8, "source": "s", "observed_at": AT + timedelta(seconds=number)}
        if number == 7:
            return [either.retract_outcome(i, source="s", observed_at=given["observed_at"]) for i in ids]
        if batch:
            return either.record_outcomes([(i, given) for i in (ids if number % 2 else ids[::-1])])
        return [either.record_outcome(i, **given) for i in ids]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, range(8)))
    assert [either.outcomes(i) for i in ids] == [[]] * len(ids)
    assert either.due() == 0
    assert either.verify() == []
