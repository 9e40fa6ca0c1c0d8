"""The log that steers recall, and its fold."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect import Ledger
from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger.steering import fold, folds
from langchain_reflect.types import Steered, Steering

HERE = ("default",)


def test_nobody_steers_a_new_ledger(either):
    assert either.steering(HERE, "agent") == Steering()
    assert (either.steering_log(), either.paused()) == ([], {})


def test_a_pause_holds_until_it_is_resumed(either):
    paused = either.steer("paused", HERE, "agent", by="dana", reason="it hurts")
    held = either.steering(HERE, "agent")
    assert (held.paused, held.by, held.reason, held.since) == (True, "dana", "it hurts", paused.at)
    assert either.paused() == {(HERE, "agent"): held}
    resumed = either.steer("resumed", HERE, "agent", by="kim", reason="fixed")
    after = either.steering(HERE, "agent")
    assert (after.paused, after.by, after.reason, after.since, after.resumed_at) == (False, "kim", "fixed", None, resumed.at)
    assert [entry.kind for entry in either.steering_log()] == ["resumed", "paused"]


def test_another_process_sees_it_at_its_next_look(ledger_url):
    with Ledger(ledger_url) as one, Ledger(ledger_url) as other:
        assert not other.steering(HERE, "agent").paused
        one.steer("paused", HERE, "agent", by="dana")
        assert other.steering(HERE, "agent").paused
        other.steer("resumed", HERE, "agent", by="dana")
        assert not one.steering(HERE, "agent").paused


def test_graphs_and_namespaces_are_steered_apart_and_a_namespace_as_a_whole(either):
    either.steer("paused", HERE, "a", by="dana")
    assert not either.steering(HERE, "b").paused
    assert not either.steering(("other",), "a").paused
    either.steer("paused", HERE, by="dana")
    assert either.steering(HERE, "b").paused
    either.steer("resumed", HERE, "b", by="dana")
    assert [either.steering(HERE, graph).paused for graph in "abc"] == [True, False, True]
    either.steer("resumed", HERE, by="dana")
    assert either.paused() == {}


def test_doses_do_not_resume_a_graph(either):
    either.steer("paused", HERE, "agent", by="credit", reason="it hurts")
    either.steer("doses", HERE, "agent", by="credit", body={1: 0.75, 2: 0.25})
    held = either.steering(HERE, "agent")
    assert (held.paused, held.reason, held.doses) == (True, "it hurts", {1: 0.75, 2: 0.25})


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("stopped", {"by": "dana"}),
        ("paused", {"by": " "}),
        ("paused", {"by": "dana", "body": {1: 1.0}}),
        ("doses", {"by": "credit"}),
        ("doses", {"by": "credit", "body": {0: 1.0}}),
        ("doses", {"by": "credit", "body": {1: -1.0}}),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(ledger, kind, given):
    with pytest.raises(InvalidInput):
        ledger.steer(kind, HERE, "agent", **given)
    assert ledger.steering_log() == []


def test_secrets_in_a_reason_are_masked(ledger):
    ledger.steer("paused", by="dana", reason="key sk-abcdefghijklmnopqrstuvwxyz123456 leaked")
    assert "sk-abc" not in ledger.steering_log()[0].reason


def test_the_same_entry_again_is_kept_once(ledger):
    from langchain_reflect.ledger import steering

    entry = Steered(number=0, namespace=HERE, graph="a", kind="paused", by="dana", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert ledger._write(steering.append, entry) == ledger._write(steering.append, entry)
    assert len(ledger.steering_log()) == 1


def test_a_decision_gives_way_to_a_newer_word_about_its_graph_only(either):
    known = either.steer("paused", HERE, "a", by="credit").number
    assert either.steer("paused", HERE, "b", by="credit", after=known - 1).graph == "b"
    newer = either.steer("resumed", HERE, "a", by="dana")
    assert either.steer("paused", HERE, "a", by="credit", after=known) == newer
    everywhere = either.steer("resumed", HERE, by="dana")
    assert either.steer("paused", HERE, "b", by="credit", after=newer.number) == everywhere
    assert either.steer("paused", HERE, "b", by="credit", after=everywhere.number).kind == "paused"
    assert either.steer("resumed", HERE, by="dana", after=everywhere.number).graph == "b"


def test_a_backup_has_the_log(ledger, tmp_path):
    ledger.steer("paused", HERE, "agent", by="dana", reason="it hurts")
    with Ledger(ledger.backup(tmp_path / "copy.db")) as copy:
        assert copy.paused() == ledger.paused()
        assert copy.verify() == []


entries = st.lists(
    st.builds(
        Steered,
        number=st.just(0),
        namespace=st.just(HERE),
        graph=st.sampled_from(["", "a", "b"]),
        kind=st.sampled_from(["paused", "resumed", "doses"]),
        by=st.sampled_from(["dana", "credit"]),
        body=st.sampled_from([{}, {"1": 1.0}, {"1": 0.5, "3": 0.5}]),
    )
)


@given(entries)
def test_the_newest_word_of_each_kind_holds(log):
    log = [entry.model_copy(update={"number": n, "at": entry.at + timedelta(seconds=n)}) for n, entry in enumerate(log, 1)]
    for (_, graph), held in folds(log).items():
        mine = [entry for entry in log if entry.graph in ("", graph)]
        switches = [entry for entry in mine if entry.kind != "doses"]
        assert held == fold(mine)
        assert held.paused == bool(switches and switches[-1].kind == "paused")
        assert (held.since is not None) == held.paused
        if switches:
            assert (held.by, held.reason) == (switches[-1].by, switches[-1].reason)
