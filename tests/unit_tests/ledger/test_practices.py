"""What a practice needs to go on is in the ledger: each run counts once, and its episodes are its own."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from langchain_reflect import Episode, Ledger
from langchain_reflect.errors import ClaimLost, EpisodeErased, InvalidInput
from langchain_reflect.ledger import practices
from langchain_reflect.types import PracticeRun, RolloutGroup, Usage


@pytest.fixture
def ledger(ledger_url):
    with Ledger(ledger_url) as opened:
        yield opened


def episode_of(ledger, **more):
    episode = Episode(id=uuid4(), task="Name it", task_key="k", **more)
    ledger.save_episode(episode)
    return episode


def run_of(episode, key="0/0/0/treated", **more):
    return PracticeRun(**({"key": key, "epoch": 0, "arm": "treated", "episode_id": episode.id, "reward": 0.0} | more))


def test_a_run_and_its_outcome_are_kept_together(ledger):
    practice, episode = ledger.begin_practice("p", digest="d"), episode_of(ledger)
    run = run_of(episode, usage=Usage(calls=2, tokens_in=3), family="f", shown=("L-1",))
    ledger.keep_practice_run(practice, run, {"reward": 0.0, "feedback": "No.", "source": "verifier"}, seconds=1.5)
    assert ledger.practice_runs(practice.id) == [run]
    assert ledger.outcomes(episode.id)[0].feedback == "No."
    assert ledger.practices("p")[0].seconds == 1.5


def test_a_run_is_kept_once(ledger):
    practice, episode = ledger.begin_practice("p", digest="d"), episode_of(ledger)
    for reward in (0.0, 1.0):
        ledger.keep_practice_run(practice, run_of(episode, reward=reward), seconds=0.0)
    assert [r.reward for r in ledger.practice_runs(practice.id)] == [0.0]


def test_whoever_began_it_last_is_the_only_one_to_write(ledger):
    first, episode = ledger.begin_practice("p", digest="d"), episode_of(ledger)
    second = ledger.begin_practice("p", digest="d")
    assert (first.id, second.fence) == (second.id, first.fence + 1)
    with pytest.raises(ClaimLost, match="'p' was taken over"):
        ledger.keep_practice_run(first, run_of(episode), {"reward": 1.0}, seconds=0.0)
    with pytest.raises(ClaimLost):
        ledger.note_practice(first)
    assert ledger.outcomes(episode.id) == [], "nothing of it was written"
    ledger.keep_practice_run(second, run_of(episode), {"reward": 1.0}, seconds=0.0)


def test_a_name_belongs_to_one_namespace_and_one_digest(ledger):
    mine = ledger.begin_practice("p", digest="d")
    assert ledger.begin_practice("p", digest="e", namespace=("other",)).id != mine.id
    with pytest.raises(InvalidInput, match="was begun on"):
        ledger.begin_practice("p", digest="e")
    fresh = ledger.begin_practice("p", digest="e", fresh=True)
    assert fresh.id != mine.id
    assert (fresh.digest, len(ledger.practices())) == ("e", 1)


def judged(ledger, count=2, **more):
    episodes = [episode_of(ledger, **more) for _ in range(count)]
    for episode in episodes:
        ledger.record_outcome(episode.id, reward=0.0, feedback="No.")
    return episodes


def test_reserved_episodes_are_found_by_name_only(ledger):
    practice, (mine, control, other) = ledger.begin_practice("p", digest="d"), [episode_of(ledger) for _ in range(3)]
    ledger.reserve(practice, treated=[mine.id], controls=[control.id])
    for episode in (mine, control, other):
        ledger.record_outcome(episode.id, reward=0.0, feedback="No.")
    all_ids = {mine.id, control.id, other.id}
    assert {r.episode.id for r in ledger.rollouts(unreflected=True)} == {other.id}
    assert {r.episode.id for r in ledger.rollouts(unreflected=True, episodes=all_ids)} == {mine.id, other.id}
    ledger.release_practice("p")
    assert {r.episode.id for r in ledger.rollouts(unreflected=True)} == {mine.id, other.id}
    assert ledger.verify() == []


def test_an_episode_that_was_due_is_not_once_it_is_a_control(ledger):
    practice, (episode, other) = ledger.begin_practice("p", digest="d"), judged(ledger)
    ledger.reserve(practice, controls=[episode.id])
    assert (ledger.due(), ledger.verify()) == (1, [])
    ledger.retract_outcome(other.id)
    assert ledger.due() == 0


def plan(ledger, episodes):
    rollouts = tuple(r for r in ledger.rollouts() if r.episode.id in {e.id for e in episodes})
    ledger.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="Name it", rollouts=rollouts)])


def test_a_job_with_reserved_episodes_is_claimed_by_who_names_them(ledger):
    practice, episodes = ledger.begin_practice("p", digest="d"), judged(ledger)
    plan(ledger, episodes)
    ledger.reserve(practice, treated=[e.id for e in episodes])
    assert ledger.claim("anybody") == []
    assert len(ledger.claim("the practice", episodes=[e.id for e in episodes])) == 1


def test_jobs_of_a_process_that_died_are_taken_back(ledger):
    practice, episodes = ledger.begin_practice("p", digest="d"), judged(ledger)
    ids = [e.id for e in episodes]
    plan(ledger, episodes)
    ledger.reserve(practice, treated=ids)
    (dead,) = ledger.claim("dead", episodes=ids)
    assert ledger.claim("heir", episodes=ids) == [], "its lease goes on"
    assert ledger.reclaim_practice(practice) == 1
    (again,) = ledger.claim("heir", episodes=ids)
    assert (again.id, again.failures) == (dead.id, 0)
    assert again.fence > dead.fence


def test_episodes_of_a_process_that_was_not_heard_of_for_its_lease_are_anybodys(ledger, monkeypatch):
    heard_of = {name: ledger.begin_practice(name, digest="d", lease=timedelta(minutes=5)) for name in ("dead", "alive")}
    named, (one, other, third) = ledger.begin_practice("named", digest="d"), (judged(ledger)[0] for _ in range(3))
    for practice, episode in zip([*heard_of.values(), named], (one, other, third), strict=True):
        ledger.reserve(practice, treated=[episode.id])
    start = datetime.now(UTC)
    monkeypatch.setattr(practices, "clock", lambda _: start + timedelta(minutes=4))
    ledger.renew_practice(heard_of["alive"])
    ledger.claim("anybody")
    assert not {one.id, other.id, third.id} & due_of(ledger)
    monkeypatch.setattr(practices, "clock", lambda _: start + timedelta(minutes=6))
    ledger.claim("a practice", episodes=[uuid4()])
    assert not {one.id, other.id, third.id} & due_of(ledger), "who names episodes wants nobody else's"
    ledger.claim("anybody")
    assert {one.id, other.id, third.id} & due_of(ledger) == {one.id}


def due_of(ledger):
    return {r.episode.id for r in ledger.rollouts(unreflected=True)}


def test_forgetting_takes_runs_and_reservations_along(ledger):
    practice, episode = ledger.begin_practice("p", digest="d"), episode_of(ledger)
    ledger.reserve(practice, treated=[episode.id])
    ledger.keep_practice_run(practice, run_of(episode), {"reward": 0.0, "feedback": "No."}, seconds=0.0)
    ledger.note_practice(practice.model_copy(update={"body": {"epochs": [{"reflections": ["R-1"], "trials": [{"group": "secret"}]}]}}))
    ledger.forget(episode=episode.id)
    assert ledger.practice_runs(practice.id) == []
    assert ledger.practices("p")[0].body == {"epochs": [{"reflections": ["R-1"]}]}
    with pytest.raises(EpisodeErased):
        ledger.keep_practice_run(practice, run_of(episode), {"reward": 0.0}, seconds=0.0)


def test_an_outcome_without_an_episode_is_refused(ledger):
    practice = ledger.begin_practice("p", digest="d")
    with pytest.raises(InvalidInput, match="has no episode"):
        ledger.keep_practice_run(practice, PracticeRun(key="gate/0/x", epoch=0, arm="treated"), {"reward": 1.0}, seconds=0.0)


@pytest.mark.parametrize("name", ["\0", "x" * 300, 7])
def test_a_name_is_a_short_text(ledger, name):
    with pytest.raises(InvalidInput, match="name"):
        ledger.begin_practice(name, digest="d")
