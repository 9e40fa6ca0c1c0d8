"""What chance decided and what came of it, read in columns."""

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect import Ledger
from langchain_reflect.types import Episode, Exposure, Fingerprint, Lesson, Revision, decisive, source_rank

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICY = "holdout=0.1"


def episode(number: int = 0, **given) -> Episode:
    fields = {"namespace": ("acme",), "task": f"task {number}", "started_at": NOON + timedelta(minutes=number)}
    return Episode(**({"id": UUID(int=number + 1)} | fields | given))


def exposure(of: Episode, lesson_id: str = "L-1", **given) -> Exposure:
    drawn = {"unit": str(of.id), "policy": POLICY, "dose": 2, "probability": 0.75, "shown": True, "revision": 1, "tokens": 40}
    return Exposure(**({"episode_id": of.id, "lesson_id": lesson_id} | drawn | given))


def by_id(rows) -> dict[UUID, tuple[float, float, bool]]:
    return {UUID(i): (r, a, bool(t)) for i, r, a, t in zip(rows.id, rows.reward, rows.at, rows.trusted, strict=True)}


REPORTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["verifier", "test:ci", "human", "zendesk", "rule", "judge:a", "judge"]),
        st.sampled_from(["", "k"]),
        st.integers(0, 2),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.sampled_from([None, "good", "bad"]),
        st.booleans(),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=REPORTS, revoked=st.sets(st.sampled_from(["human", "judge", "verifier"]), max_size=2))
def test_the_reward_read_fast_is_the_one_that_is_resolved_slowly(either: Ledger, reports, revoked):
    space = ("acme", uuid4().hex)
    episodes = [episode(id=uuid4(), namespace=space) for _ in range(3)]
    for one in episodes:
        either.save_episode(one, [exposure(one)])
    for which, source, key, minute, reward, feedback, retracts in reports:
        at = NOON + timedelta(minutes=minute)
        if retracts or (reward is None and feedback is None):
            either.retract_outcome(episodes[which].id, source=source, key=key, observed_at=at, namespace=space)
        else:
            told = {"reward": reward, "feedback": feedback, "source": source, "key": key}
            either.record_outcome(episodes[which].id, **told, observed_at=at, namespace=space)
    for source in revoked:
        either.revoke_source(source, namespace=space)
    read = by_id(either.trial_rows(namespace=space))
    for one in episodes:
        best = decisive(either.outcomes(one.id, namespace=space))
        reward, at, trusted = read[one.id]
        if best is None:
            assert math.isnan(reward)
            assert math.isnan(at)
        else:
            assert (reward, at, trusted) == (best.reward, best.observed_at.timestamp(), source_rank(best.source) < 3)


def test_an_episode_has_the_terms_on_which_chance_was_drawn(either: Ledger):
    acting = Fingerprint(model="m1", prompt="p")
    one = episode(1, task_key="refund", fingerprint=acting)
    two, three = episode(2, task_key="refund"), episode(3, graph="other", task_key="refund")
    for each in (one, two, three):
        either.save_episode(each, [exposure(each), exposure(each, "L-2", shown=False, probability=0.5)])
    rows = either.trial_rows()
    row = {UUID(i): n for n, i in enumerate(rows.id)}
    first, second, last = row[one.id], row[two.id], row[three.id]
    assert rows.spaces[rows.space[first]] == (("acme",), "agent")
    assert rows.group[first] == rows.group[second] != rows.group[last]
    assert len(set(rows.unit)) == 3
    assert rows.agents[rows.agent[first]] == acting.model_dump()
    assert rows.agent[second] == -1
    assert (rows.policies[rows.policy[first]], rows.arms[rows.arm[first]], rows.dose[first]) == (POLICY, "treated", 2)
    assert rows.started[first] == one.started_at.timestamp()
    mine = rows.episode == first
    read = [(rows.wordings[w], s, p) for w, s, p in zip(rows.wording[mine], rows.shown[mine], rows.probability[mine], strict=True)]
    assert sorted(read) == [(("L-1", 1), True, 0.75), (("L-2", 1), False, 0.5)]


def test_what_was_not_drawn_is_left_out(either: Ledger):
    forced, drawn = episode(1), episode(2)
    either.save_episode(forced, [exposure(forced, unit="")])
    either.save_episode(drawn, [exposure(drawn), exposure(drawn, "L-2", unit="")])
    rows = either.trial_rows()
    assert [UUID(i) for i in rows.id] == [drawn.id]
    assert [rows.wordings[w] for w in rows.wording] == [("L-1", 1)]


def test_an_episode_that_goes_on_is_pending_until_it_is_judged(either: Ledger):
    running = episode(1, status="interrupted")
    either.save_episode(running, [exposure(running)])
    assert np.isnan(either.trial_rows().reward).all()
    either.record_outcome(running.id, reward=1.0, namespace=("acme",))
    assert either.trial_rows().reward.tolist() == [1.0]


def test_when_an_episode_was_first_judged_does_not_depend_on_what_became_of_it(either: Ledger):
    judged, silent = episode(1), episode(2)
    for one in (judged, silent):
        either.save_episode(one, [exposure(one)])
        either.record_outcome(one.id, reward=1.0, source="judge", namespace=("acme",))
        either.record_outcome(one.id, feedback="hm", source="user", namespace=("acme",))
    before = datetime.now(UTC).timestamp()
    either.record_outcome(judged.id, reward=1.0, source="zendesk", observed_at=datetime(2020, 1, 1, tzinfo=UTC), namespace=("acme",))
    after = datetime.now(UTC).timestamp()

    def told():
        rows = either.trial_rows()
        return {UUID(i): at for i, at in zip(rows.id, rows.told.tolist(), strict=True)}

    first = told()
    assert before <= first[judged.id] <= after
    assert np.isnan(first[silent.id])
    either.record_outcome(judged.id, reward=0.0, source="zendesk", namespace=("acme",))
    either.revoke_source("zendesk", namespace=("acme",))
    assert told()[judged.id] == first[judged.id]


def test_an_outcome_of_another_namespace_judges_nothing(either: Ledger):
    one = episode(1)
    either.save_episode(one, [exposure(one)])
    either.record_outcome(one.id, reward=1.0, namespace=("other",))
    assert np.isnan(either.trial_rows().reward).all()


def test_one_namespace_and_one_graph_are_read_alone(either: Ledger):
    here, there, beside = episode(1), episode(2, namespace=("other",)), episode(3, graph="second")
    for one in (here, there, beside):
        either.save_episode(one, [exposure(one)])
        either.record_outcome(one.id, reward=1.0, namespace=one.namespace)
    found = either.trial_rows(namespace=("acme",), graph="second")
    assert [UUID(i) for i in found.id] == [beside.id]
    assert found.reward.tolist() == [1.0]
    assert found.spaces == [(("acme",), "second")]
    assert len(either.trial_rows(namespace=("acme",)).id) == 2
    assert len(either.trial_rows().id) == 3


def test_the_revisions_of_exposed_lessons_are_read(either: Ledger):
    for name in ("L-1", "L-2"):
        lesson = Lesson(id=name, namespace=("acme",), when="w", do="d")
        either.append_revisions([Revision(lesson=lesson, kind="add", actor="dana", reason="why")])
    one = episode(1)
    either.save_episode(one, [exposure(one)])
    rows = either.trial_rows(namespace=("acme",))
    assert [(r.lesson_id, r.revision, r.kind, r.actor, r.reason, r.body["do"]) for r in rows.revisions] == [
        ("L-1", 1, "add", "dana", "why", "d")
    ]
    assert rows.version == 2


def test_an_empty_ledger_has_empty_columns(either: Ledger):
    rows = either.trial_rows()
    assert (len(rows.id), len(rows.episode), len(rows.reward), rows.spaces, rows.revisions) == (0, 0, 0, [], [])
