"""What was said of an episode counts once, the latest of it, whenever and in whatever order it comes in."""

import threading
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from itertools import count, permutations
from uuid import UUID, uuid4

import numpy as np
import pytest

from langchain_reflect.errors import EpisodeErased, EpisodeNotFound, InvalidInput, OutcomeConflict, ReflectError
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.ledger.outcomes import content_hash
from langchain_reflect.types import Episode, Outcome, ReflectionReport, now, resolve, source_rank

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HUGE = 10**5000


@pytest.fixture
def ledger(either):
    """Of either kind; whatever a test does to it, it does not contradict itself."""
    yield either
    assert either.verify() == []


@pytest.fixture
def episode(ledger):
    """A known one that nobody has judged."""
    made = Episode(id=uuid4(), task="move my flight")
    ledger.save_episode(made)
    return made.id


def reflect(ledger):
    """A reflection sees all there is."""
    report = ReflectionReport(id=f"R-{uuid4().hex}")
    ledger.append_revisions([], closing=Closing(report=report, namespace=ledger.namespace, seen=ledger.rollouts()))
    assert ledger.due() == 0


def said(ledger, episode):
    return [(o.source, o.key, o.reward if o.feedback is None else o.feedback) for o in ledger.outcomes(episode)]


def due(ledger):
    """Ids of the due episodes, which both ways of asking agree on."""
    found = {r.episode.id for r in ledger.rollouts(unreflected=True)}
    assert ledger.due() == len(found)
    return found


# The same again, and another


def test_the_same_report_again_is_no_news(ledger, episode):
    first = ledger.record_outcome(episode, reward=1, source="zendesk", key="e1", observed_at=EARLY)
    reflect(ledger)
    assert ledger.record_outcome(episode, reward=1, source="zendesk", key="e1", observed_at=EARLY) == first
    assert ledger.record_outcome(episode, reward=True, source="zendesk", key="e1") == first, "without a time it is what is known already"
    assert ledger.outcomes(episode) == [first]
    assert ledger.counts()["outcomes"] == 1
    assert due(ledger) == set()


def test_the_same_content_at_another_time_is_another_report(ledger, episode):
    ledger.record_outcome(episode, reward=1, observed_at=EARLY)
    ledger.record_outcome(episode, reward=0, observed_at=EARLY + HOUR)
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + 2 * HOUR)
    assert said(ledger, episode) == [("user", "", 1.0)]
    assert ledger.counts()["outcomes"] == 3


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_latest_judgement_counts_whatever_arrives_first(ledger, episode, order):
    for at in order:
        ledger.record_outcome(episode, reward=at / 2, observed_at=EARLY + at * HOUR)
    assert said(ledger, episode) == [("user", "", 1.0)]
    assert ledger.record_outcome(episode, reward=0.25, observed_at=EARLY).reward == 1.0, "what counts is returned"
    assert ledger.counts()["outcomes"] == 4


def test_judgements_of_one_moment_are_told_apart_by_their_content(ledger):
    several = [Outcome(episode_id=uuid4(), reward=n / 4) for n in range(5)]
    wanted = max(several, key=content_hash).reward
    for order in (several, several[::-1]):
        known = uuid4()
        ledger.save_episode(Episode(id=known, task="t"))
        for outcome in order:
            ledger.record_outcome(known, reward=outcome.reward, observed_at=EARLY)
        assert said(ledger, known) == [("user", "", wanted)]


def test_sources_and_keys_do_not_supersede_each_other(ledger, episode):
    for source, key in (("user", ""), ("user", "b"), ("User", ""), ("user ", ""), ("zendesk", "b")):
        ledger.record_outcome(episode, reward=0.5, source=source, key=key, observed_at=EARLY)
    assert len(ledger.outcomes(episode)) == 5


def test_a_time_of_another_zone_is_the_same_moment(ledger, episode):
    ledger.record_outcome(episode, reward=1, observed_at=EARLY)
    ledger.record_outcome(episode, reward=1, observed_at=EARLY.astimezone(timezone(timedelta(hours=9))))
    assert [o.observed_at for o in ledger.outcomes(episode)] == [EARLY]
    assert ledger.counts()["outcomes"] == 1


def test_a_judgement_makes_the_episode_due_again_even_if_an_earlier_one_wins(ledger, episode):
    assert due(ledger) == set()
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + HOUR)
    assert due(ledger) == {episode}
    reflect(ledger)
    ledger.record_outcome(episode, reward=0, observed_at=EARLY)
    assert due(ledger) == {episode}


# Retractions


def test_a_retraction_leaves_nothing_and_a_later_judgement_counts_again(ledger, episode):
    ledger.record_outcome(episode, reward=1, observed_at=EARLY)
    ledger.record_outcome(episode, reward=0.5, source="human", observed_at=EARLY)
    ledger.retract_outcome(episode, observed_at=EARLY + HOUR)
    assert said(ledger, episode) == [("human", "", 0.5)]
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + 2 * HOUR)
    assert said(ledger, episode) == [("human", "", 0.5), ("user", "", 1.0)]


def test_a_retraction_may_overtake_what_it_takes_back(ledger, episode):
    ledger.retract_outcome(episode, key="e", observed_at=EARLY + HOUR)
    late = ledger.record_outcome(episode, reward=1, key="e", observed_at=EARLY)
    assert late.reward == 1, "the caller's own words, as nothing counts"
    assert said(ledger, episode) == []
    assert (due(ledger), ledger.rollouts()) == (set(), [])


def test_a_retraction_takes_back_only_what_was_observed_before(ledger, episode):
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + HOUR)
    ledger.retract_outcome(episode, observed_at=EARLY)
    assert said(ledger, episode) == [("user", "", 1.0)]


def test_retracting_twice_is_retracting_once(ledger, episode):
    ledger.record_outcome(episode, reward=1, observed_at=EARLY)
    for _ in range(2):
        ledger.retract_outcome(episode, observed_at=EARLY + HOUR)
    ledger.retract_outcome(episode)
    assert (said(ledger, episode), ledger.counts()["outcomes"]) == ([], 2)


def test_an_episode_whose_only_judgement_was_taken_back_is_not_due(ledger, episode):
    other = uuid4()
    ledger.save_episode(Episode(id=other, task="t", started_at=now() + HOUR))
    ledger.record_outcome(other, reward=1)
    ledger.record_outcome(episode, reward=0)
    ledger.retract_outcome(episode)
    assert due(ledger) == {other}
    assert [r.episode.id for r in ledger.rollouts(limit=1)] == [other], "what does not count takes no place"
    ledger.record_outcome(episode, reward=0.5, source="human")
    reflect(ledger)
    ledger.retract_outcome(episode, source="human")
    assert due(ledger) == set()


def test_a_retraction_makes_an_episode_due_that_others_judged(ledger, episode):
    ledger.record_outcome(episode, reward=0, source="judge")
    ledger.record_outcome(episode, reward=1, source="human")
    reflect(ledger)
    ledger.retract_outcome(episode, source="human")
    assert due(ledger) == {episode}
    assert [r.reward for r in ledger.rollouts()] == [0.0]


def test_an_episode_is_below_by_what_counts_and_not_by_what_was_corrected(ledger, episode):
    ledger.record_outcome(episode, reward=0, observed_at=EARLY)
    assert len(ledger.rollouts(below=0.5)) == 1
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + HOUR)
    assert ledger.rollouts(below=0.5) == []


# Outcomes that come before their episode


def test_an_orphan_joins_when_its_episode_comes(ledger):
    unknown = uuid4()
    ledger.record_outcome(unknown, feedback="too slow")
    assert (said(ledger, unknown), due(ledger), ledger.rollouts()) == ([("user", "", "too slow")], set(), [])
    ledger.save_episode(Episode(id=unknown, task="t"))
    (rollout,) = ledger.rollouts()
    assert (rollout.episode.id, rollout.reward, rollout.feedback) == (unknown, None, ("too slow",))
    assert due(ledger) == {unknown}


def test_an_orphan_of_another_namespace_never_joins(ledger):
    shared = uuid4()
    ledger.record_outcome(shared, reward=1, namespace=("theirs",))
    ledger.save_episode(Episode(id=shared, task="t"))
    assert (said(ledger, shared), due(ledger), ledger.rollouts()) == ([], set(), [])
    assert len(ledger.outcomes(shared, namespace=("theirs",))) == 1


def test_an_erased_episode_stays_out_under_every_id_it_had(ledger):
    known, resumed = uuid4(), uuid4()
    ledger.save_episode(Episode(id=known, task="t", run_ids=(resumed,)))
    ledger.record_outcome(known, reward=1, observed_at=EARLY)
    ledger.forget(episode=known)
    for run_id in (known, resumed):
        with pytest.raises(EpisodeErased, match="nothing was kept"):
            ledger.record_outcome(run_id, reward=1, observed_at=EARLY)
    ledger.save_episode(Episode(id=known, task="t", run_ids=(resumed,)))
    assert (ledger.episodes(), ledger.counts()["outcomes"], due(ledger)) == ([], 0, set())


def test_what_was_erased_while_its_episode_was_unknown_stays_out_when_it_comes(ledger):
    known, resumed = uuid4(), uuid4()
    ledger.record_outcome(resumed, feedback="my name is X", source="crm", observed_at=EARLY)
    ledger.record_outcome(resumed, reward=1, observed_at=EARLY)
    ledger.forget(source="crm")
    ledger.save_episode(Episode(id=known, task="t", run_ids=(resumed,)))
    with pytest.raises(EpisodeErased, match="'crm'"):
        ledger.record_outcome(resumed, feedback="my name is X", source="crm", observed_at=EARLY)
    assert said(ledger, known) == [("user", "", 1.0)]


def test_an_erased_source_does_not_come_back_by_another_id_of_the_episode(ledger):
    known, resumed = uuid4(), uuid4()
    ledger.save_episode(Episode(id=known, task="t"))
    ledger.record_outcome(known, feedback="my name is X", source="crm", observed_at=EARLY)
    ledger.forget(source="crm")
    ledger.record_outcome(resumed, feedback="my name is X", source="crm", observed_at=EARLY)
    ledger.save_episode(Episode(id=known, task="t", run_ids=(resumed,)))
    assert (said(ledger, known), ledger.counts()["outcomes"]) == ([], 0)


# Strict


def test_strict_refuses_an_unknown_episode_and_another_content(ledger, episode):
    with pytest.raises(EpisodeNotFound, match="strict=False keeps the outcome"):
        ledger.record_outcome(uuid4(), reward=1, strict=True)
    for _ in range(2):
        assert ledger.record_outcome(episode, reward=1, strict=True).reward == 1
    with pytest.raises(
        OutcomeConflict, match=r"another outcome from source 'user' with key ''; use another key=, or strict=False"
    ) as raised:
        ledger.record_outcome(episode, reward=0, strict=True)
    assert isinstance(raised.value, ValueError)
    assert "1.0" not in str(raised.value), "a conflict does not tell what others said"
    assert (said(ledger, episode), ledger.counts()["outcomes"]) == ([("user", "", 1.0)], 1)
    assert ledger.record_outcome(episode, reward=0, strict=True, key="other").reward == 0


def test_of_threads_that_disagree_strictly_one_is_heard(ledger, episode):
    refused = []

    def report(n):
        try:
            ledger.record_outcome(episode, reward=n / 8, strict=True)
        except OutcomeConflict:
            refused.append(n)

    in_threads(8, report)
    assert (len(refused), ledger.counts()["outcomes"]) == (7, 1)


# Batches


def test_a_batch_is_all_or_none(ledger, episode):
    for bad in ({"reward": 7}, {"reward": 1, "strict": True}, {"reward": 1, "namespace": ("a\n",)}):
        with pytest.raises(ReflectError):
            ledger.record_outcomes([(episode, {"reward": 1}), (uuid4(), bad)])
    assert (ledger.counts()["outcomes"], due(ledger)) == (0, set())


def test_a_batch_answers_in_its_own_order_and_may_contradict_itself(ledger, episode):
    other = uuid4()
    reports = [(episode, 0.0, 2), (other, 1.0, 0), (episode, 1.0, 1), (episode, 0.0, 2)]
    kept = ledger.record_outcomes([(i, {"reward": r, "observed_at": EARLY + at * HOUR}) for i, r, at in reports])
    assert [(o.episode_id, o.reward) for o in kept] == [(episode, 0.0), (other, 1.0), (episode, 0.0), (episode, 0.0)]
    assert ledger.counts()["outcomes"] == 3
    assert ledger.record_outcomes([]) == []


def test_a_batch_has_a_limit_even_if_it_never_ends(ledger):
    with pytest.raises(InvalidInput, match="more than 10000 outcomes at once; give them in several calls"):
        ledger.record_outcomes((UUID(int=n), {"reward": 1}) for n in count())
    assert ledger.counts()["outcomes"] == 0


@pytest.mark.parametrize("bad", [1, "x", (uuid4(),), (uuid4(), None), (uuid4(), [1]), (uuid4(), {}, {}), {"episode_id": uuid4()}])
def test_what_is_no_pair_is_named(ledger, bad):
    with pytest.raises(InvalidInput, match="is no outcome; expected a pair"):
        ledger.record_outcomes([bad])


# Sources


def test_a_revoked_source_counts_for_nothing_until_it_is_trusted_again(ledger, episode):
    alone = uuid4()
    ledger.save_episode(Episode(id=alone, task="t"))
    ledger.record_outcome(episode, reward=1, source="bot", observed_at=EARLY)
    ledger.record_outcome(episode, reward=0, source="judge", observed_at=EARLY)
    ledger.record_outcome(alone, reward=1, source="bot", observed_at=EARLY)
    ledger.record_outcome(uuid4(), reward=1, source="bot", observed_at=EARLY)
    reflect(ledger)

    assert set(ledger.revoke_source("bot", reason="it was bribed")) == {episode, alone}
    assert ledger.revoke_source("bots") == []
    assert (said(ledger, episode), said(ledger, alone)) == ([("judge", "", 0.0)], [])
    assert due(ledger) == {episode}
    assert ledger.record_outcome(alone, reward=0.5, source="bot", observed_at=EARLY + HOUR).reward == 0.5
    assert said(ledger, alone) == []

    reflect(ledger)
    assert set(ledger.trust_source("bot")) == {episode, alone}
    assert said(ledger, alone) == [("bot", "", 0.5)], "what it said meanwhile was kept"
    assert due(ledger) == {episode, alone}


def test_a_source_is_revoked_in_one_namespace_only(ledger):
    mine, theirs = Episode(id=uuid4(), task="t"), Episode(id=uuid4(), task="t", namespace=("theirs",))
    ledger.save_episodes([(mine, ()), (theirs, ())])
    for one in (mine, theirs):
        ledger.record_outcome(one.id, reward=1, source="bot", namespace=one.namespace)
    assert ledger.revoke_source("bot") == [mine.id]
    assert len(ledger.outcomes(theirs.id, namespace=("theirs",))) == 1
    assert ledger.trust_source("bot", namespace=("theirs",)) == [theirs.id]
    assert said(ledger, mine.id) == []


def test_a_verifier_outweighs_a_person_and_a_person_a_judge(ledger, episode):
    for at, (source, reward, resolved) in enumerate(
        [
            ("judge:gpt", 0.1, 0.1),
            ("judge", 0.2, 0.2),
            ("rule", 0.3, 0.3),
            ("zendesk", 0.4, 0.4),
            ("human", 0.5, 0.5),
            ("rule:length", 0.6, 0.5),
            ("verifier", 0.7, 0.7),
            ("human", 0.8, 0.7),
            ("Test:unit", 0.9, 0.9),
        ]
    ):
        ledger.record_outcome(episode, reward=reward, source=source, observed_at=EARLY + at * HOUR)
        assert ledger.rollouts()[0].reward == resolved, source
    ledger.record_outcome(episode, feedback="no number", source="verifier:style", observed_at=EARLY + 20 * HOUR)
    assert ledger.rollouts()[0].reward == 0.9
    ledger.revoke_source("Test:unit")
    ledger.retract_outcome(episode, source="verifier")
    assert ledger.rollouts()[0].reward == 0.8
    assert [source_rank(s) for s in ("test:unit", "human", "zendesk", "rule", "judge:x", "judgement")] == [0, 1, 1, 2, 3, 1]


def test_what_is_resolved_does_not_depend_on_the_order():
    same = [Outcome(episode_id=UUID(int=1), reward=r, source=s, observed_at=EARLY) for r in (0.0, 0.5, 1.0) for s in ("user", "human")]
    assert {resolve(order) for order in permutations(same)} == {1.0}
    assert resolve([]) is None
    assert resolve([Outcome(episode_id=UUID(int=1), feedback="x")]) is None


# Several at once


def in_threads(number, work):
    failed = []

    def guarded(n):
        try:
            work(n)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


@pytest.mark.parametrize("timed", [{"observed_at": EARLY}, {}], ids=["timed", "untimed"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "orphan"])
def test_threads_that_report_the_same_a_hundred_times_have_one_effect(ledger_url, known, timed):
    judged = uuid4()
    with Ledger(ledger_url, durability="fast") as ledger:
        if known:
            ledger.save_episode(Episode(id=judged, task="t"))

        def report(n):
            for _ in range(13 if n < 4 else 12):
                ledger.record_outcome(judged, reward=1, source="zendesk", key="e1", **timed)

        in_threads(8, report)
        assert (said(ledger, judged), ledger.counts()["outcomes"]) == ([("zendesk", "e1", 1.0)], 1)
        assert (due(ledger), ledger.verify()) == ({judged} if known else set(), [])


# Bad inputs, by their numbers in the reliability page


class Mute:
    def __repr__(self):
        raise RuntimeError("this object does not show itself")


class Vague(tzinfo):
    def utcoffset(self, _):
        return None


def nested(depth):
    made = []
    for _ in range(depth):
        made = [made]
    return made


REFUSED = {
    "B1 nan": ({"reward": float("nan")}, "reward nan is outside [0, 1]; scale it"),
    "B1 decimal nan": ({"reward": Decimal("NaN")}, "reward nan is outside [0, 1]"),
    "B1 decimal signalling nan": ({"reward": Decimal("sNaN")}, "reward of type Decimal is not one number"),
    "B2 inf": ({"reward": float("inf")}, "reward inf is outside [0, 1]"),
    "B2 -inf": ({"reward": np.float64("-inf")}, "reward -inf is outside [0, 1]"),
    "B3 1e308": ({"reward": 1e308}, "reward 1e+308 is outside [0, 1]"),
    "B3 below": ({"reward": -0.01}, "reward -0.01 is outside [0, 1]; scale it, for example (score - worst) / (best - worst)"),
    "B3 above": ({"reward": 1.0000001}, "reward 1.0000001 is outside [0, 1]"),
    "B4 number as text": ({"reward": "0.9"}, "reward '0.9' is a str; expected a number in [0, 1] or a bool"),
    "B4 word": ({"reward": "good"}, "reward 'good' is a str"),
    "B4 bytes": ({"reward": b"1"}, "reward b'1' is a bytes"),
    "B6 array": ({"reward": np.array([0.5, 0.6])}, "reward of type ndarray is not one number"),
    "B6 array of one": ({"reward": np.array([0.5])}, "reward of type ndarray is not one number"),
    "B6 empty array": ({"reward": np.array([])}, "reward of type ndarray is not one number"),
    "B6 array of text": ({"reward": np.array("x")}, "reward of type ndarray is not one number"),
    "B7 2**63": ({"reward": 2**63}, "reward 9.223372036854776e+18 is outside [0, 1]"),
    "B7 5,000 digits": ({"reward": HUGE}, "reward is a int that is too large; expected a number in [0, 1]"),
    "B8 nothing": ({}, "an outcome needs a reward in [0, 1], a feedback text, or both; got neither"),
    "B8 blank": ({"feedback": " \n\t"}, "got neither"),
    "B8 both None": ({"reward": None, "feedback": None}, "got neither"),
    "B9 complex": ({"reward": 1j}, "reward 1j is a complex"),
    "B9 numpy complex": ({"reward": np.complex64(1)}, "is a complex64; expected a number"),
    "B9 fraction": ({"reward": Fraction(1, 2)}, "reward Fraction(1, 2) is a Fraction"),
    "B9 list": ({"reward": [1]}, "reward [1] is a list"),
    "B9 dict": ({"reward": {"value": 1}}, "reward {'value': 1} is a dict"),
    "B9 mute": ({"reward": Mute()}, "reward <Mute object> is a Mute"),
    "B10 unknown field": ({"rewrad": 1}, "an outcome has no 'rewrad'; expected reward, feedback, source, key"),
    "B10 no field": ({"reward": 1, "episode": 1}, "an outcome has no 'episode'"),
    "B11 long key": ({"reward": 1, "key": "k" * 201}, "expected at most 200 characters"),
    "B11 newline": ({"reward": 1, "key": "a\n"}, "key 'a\\n' cannot be used; expected at most 200 characters, none of them control"),
    "B13 escape": ({"reward": 1, "key": "a\x1b[31m"}, "key 'a\\x1b[31m' cannot be used"),
    "B13 NUL": ({"reward": 1, "source": "a\0"}, "source 'a\\x00' cannot be used"),
    "B13 surrogate": ({"reward": 1, "source": "\ud800"}, "source '\\ud800' cannot be used"),
    "B13 number as key": ({"reward": 1, "key": 0}, "key 0 is a int; expected text"),
    "B13 huge key": ({"reward": 1, "key": HUGE}, "key <int object> is a int"),
    "B13 empty source": ({"reward": 1, "source": ""}, "source '' is empty; expected who judged"),
    "B13 false source": ({"reward": 1, "source": False}, "source False is a bool; expected text"),
    "B13 huge source": ({"reward": 1, "source": "s" * 10_000_000}, "cannot be used; expected at most 200 characters"),
    "B20 naive": ({"reward": 1, "observed_at": datetime(2026, 1, 1)}, "has no time zone; expected a datetime such as datetime.now(UTC)"),  # noqa: DTZ001
    "B20 vague": ({"reward": 1, "observed_at": datetime(2026, 1, 1, tzinfo=Vague())}, "has no time zone"),
    "B20 date": ({"reward": 1, "observed_at": date(2026, 1, 1)}, "has no time zone"),
    "B20 text": ({"reward": 1, "observed_at": "2026-01-01T00:00:00Z"}, "observed_at '2026-01-01T00:00:00Z' has no time zone"),
    "B20 huge": ({"reward": 1, "observed_at": HUGE}, "observed_at <int object> has no time zone"),
    "B20 year 9999": ({"reward": 1, "observed_at": datetime.max.replace(tzinfo=UTC)}, "lies in the future, so it would win over every"),
    "B20 in a year": ({"reward": 1, "observed_at": now() + timedelta(days=366)}, "lies in the future"),
    "B20 past the end": (
        {"reward": 1, "observed_at": datetime.max.replace(tzinfo=timezone(-14 * HOUR))},
        "lies outside the years 1 to 9999 in UTC",
    ),
    "B20 before the beginning": ({"reward": 1, "observed_at": datetime.min.replace(tzinfo=timezone(14 * HOUR))}, "outside the years"),
    "B26 10 MB": ({"feedback": "x" * 10_000_000}, "feedback has 10000000 characters; expected at most 16000, so give a summary"),
    "B26 one more": ({"feedback": "x" * 16_001}, "feedback has 16001 characters"),
    "feedback number": ({"feedback": 5}, "feedback 5 is a int; expected text"),
    "feedback huge number": ({"feedback": HUGE}, "feedback <int object> is a int"),
    "feedback bytes": ({"feedback": b"bad"}, "feedback b'bad' is a bytes"),
    "detail nan": ({"reward": 1, "detail": {"score": float("nan")}}, "is not plain JSON"),
    "detail object": ({"reward": 1, "detail": {"at": EARLY}}, "is not plain JSON"),
    "detail mute": ({"reward": 1, "detail": Mute()}, "detail <Mute object> is not plain JSON"),
    "detail bytes key": ({"reward": 1, "detail": {b"k": 1}}, "is not plain JSON"),
    "detail 5,000 digits": ({"reward": 1, "detail": {"n": HUGE}}, "detail <dict object> is not plain JSON"),
    "detail deep": ({"reward": 1, "detail": nested(400)}, "detail is nested too deeply; expected at most 200 levels"),
    "detail deeper": ({"reward": 1, "detail": nested(100_000)}, "detail <list object> is not plain JSON"),
    "detail big": ({"reward": 1, "detail": ["x" * 64_001]}, "detail has 64005 characters as JSON; expected at most 64000"),
    "B31 no namespace": ({"reward": 1, "namespace": ()}, "namespace () cannot be used; expected a tuple of 1 to 16 texts"),
    "B31 false namespace": ({"reward": 1, "namespace": False}, "namespace False cannot be used"),
    "B32 namespace dict": ({"reward": 1, "namespace": {"$ne": "x"}}, "namespace {'$ne': 'x'} cannot be used"),
    "B32 namespace text": ({"reward": 1, "namespace": "acme"}, "namespace 'acme' cannot be used"),
    "B34 namespace number": ({"reward": 1, "namespace": (HUGE,)}, "namespace <tuple object> has the part <int object>"),
}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A ledger that only hears what it refuses."""
    with Ledger(tmp_path_factory.mktemp("quiet"), durability="fast") as opened:
        yield opened


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_cannot_be_meant_is_named_and_nothing_is_kept(quiet, fields, message):
    with pytest.raises(InvalidInput) as raised:
        quiet.record_outcome(uuid4(), **fields)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 600, "a huge value is not shown whole"
    assert isinstance(raised.value, ValueError)
    assert quiet.counts()["outcomes"] == 0


NO_IDS = ["not-a-uuid", "", 7, None, b"x" * 16, {"id": 1}, HUGE, Mute(), "x" * 1_000_000, "\ud800"]


@pytest.mark.parametrize("bad", NO_IDS, ids=[f"{n}" for n in range(len(NO_IDS))])
def test_an_episode_id_that_is_none_is_refused_everywhere(quiet, bad):
    calls = (
        lambda: quiet.record_outcome(bad, reward=1),
        lambda: quiet.record_outcomes([(bad, {"reward": 1})]),
        lambda: quiet.retract_outcome(bad),
        lambda: quiet.outcomes(bad),
    )
    for call in calls:
        with pytest.raises(InvalidInput, match=r"is not a UUID; pass the run_id of the run") as raised:
            call()
        assert len(str(raised.value)) < 300


def test_what_takes_back_or_revokes_checks_its_names_too(quiet):
    for call in (
        lambda: quiet.retract_outcome(uuid4(), source="a\n"),
        lambda: quiet.retract_outcome(uuid4(), source=""),
        lambda: quiet.retract_outcome(uuid4(), key=3),
        lambda: quiet.retract_outcome(uuid4(), observed_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda: quiet.retract_outcome(uuid4(), observed_at=now() + 48 * HOUR),
        lambda: quiet.revoke_source(""),
        lambda: quiet.revoke_source(None),
        lambda: quiet.trust_source("a\0"),
    ):
        with pytest.raises(InvalidInput, match=r"^(source|key|observed_at) "):
            call()
    assert quiet.counts()["outcomes"] == 0


ACCEPTED = {
    "B5 True": ({"reward": True}, {"reward": 1.0}),
    "B5 False": ({"reward": False}, {"reward": 0.0}),
    "B5 numpy bool": ({"reward": np.bool_(1)}, {"reward": 1.0}),
    "B6 decimal": ({"reward": Decimal("0.5")}, {"reward": 0.5}),
    "B6 numpy": ({"reward": np.float32(0.5)}, {"reward": 0.5}),
    "B6 numpy int": ({"reward": np.int8(1)}, {"reward": 1.0}),
    "B6 array without dimension": ({"reward": np.array(0.25)}, {"reward": 0.25}),
    "exactly": ({"reward": 0.1 + 0.2}, {"reward": 0.30000000000000004}),
    "smallest": ({"reward": 5e-324}, {"reward": 5e-324}),
    "negative zero": ({"reward": -0.0}, {"reward": 0.0}),
    "B12 no key": ({"reward": 1, "key": None, "source": None}, {"key": "", "source": "user"}),
    "B11 quotes": ({"reward": 1, "key": "'; DROP TABLE outcomes; --"}, {"key": "'; DROP TABLE outcomes; --"}),
    "B20 1969": ({"reward": 1, "observed_at": datetime(1969, 7, 20, tzinfo=UTC)}, {"observed_at": datetime(1969, 7, 20, tzinfo=UTC)}),
    "B20 year 1": ({"reward": 1, "observed_at": datetime.min.replace(tzinfo=UTC)}, {"observed_at": datetime.min.replace(tzinfo=UTC)}),
    "B26 at the limit": ({"feedback": "x" * 16_000}, {"feedback": "x" * 16_000}),
    "B27 NUL": ({"feedback": "a\0b"}, {"feedback": "a\ufffdb"}),
    "B28 surrogate": ({"feedback": "a\ud800b"}, {"feedback": "a?b"}),
    "B29 bidi": ({"feedback": "\u202eabc\u200b\U000e0041"}, {"feedback": "\u202eabc\u200b\U000e0041"}),
    "emoji": ({"feedback": "👩\u200d🚀 ñ", "source": "ñ👩\u200d🚀"}, {"feedback": "👩\u200d🚀 ñ", "source": "ñ👩\u200d🚀"}),
    "detail": (
        {"reward": 1, "detail": {"k\ud800": ["\0", 1e308, -0.0, None, True], "": {}}},
        {"detail": {"k\ud800": ["\0", 1e308, -0.0, None, True], "": {}}},
    ),
    "detail of 200 levels": ({"reward": 1, "detail": nested(199)}, {"detail": nested(199)}),
}


@pytest.mark.parametrize(("fields", "wanted"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_unusual_value_comes_back_as_it_was_meant(ledger, episode, fields, wanted):
    kept = ledger.record_outcome(episode, **fields)
    assert {name: getattr(kept, name) for name in wanted} == wanted
    assert ledger.outcomes(episode) == [kept]
    assert ledger.record_outcome(episode, **fields) == kept
    assert ledger.counts()["outcomes"] == 1


def test_an_outcome_after_a_reflection_is_a_new_reason_to_reflect(ledger, episode):
    ledger.record_outcome(episode, reward=0)
    reflect(ledger)
    ledger.record_outcome(episode, feedback="because the fare was gone", source="human")
    assert due(ledger) == {episode}


def test_a_second_retraction_takes_back_what_was_said_after_the_first(either):
    episode_id = uuid4()
    for reward in (1.0, 0.0):
        either.record_outcome(episode_id, reward=reward)
        either.retract_outcome(episode_id)
        assert either.outcomes(episode_id) == []
