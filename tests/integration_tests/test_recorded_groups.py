"""Groups of recorded rollouts: contrast is picked wherever there is any, and what carries no signal is skipped."""

import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from langchain_reflect.reflection.grouping import ready_groups, select
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.types import Episode, Fingerprint, Outcome, Rollout

DATA = Path(os.environ.get("REFLECT_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data in {DATA}; set REFLECT_DATA"),
]
START = datetime(2025, 1, 1, tzinfo=UTC)
SOON, LATER = START + timedelta(hours=1), START + timedelta(days=2)


def rows(name):
    with gzip.open(DATA / "episodes" / "dev" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.fixture(scope="module")
def recorded():
    """Rollouts of each recorded group, by its key; the model is all that is known of the agent."""
    models = {row["id"]: row["model"] for name in ("a_tau", "b_reflexion", "c_groups") for row in rows(name)}
    found = {}
    for number, row in enumerate(rows("groups")):
        key = f"{number}:{row['group_key']}"
        for at, (name, reward) in enumerate(zip(row["episode_ids"], row["rewards"], strict=True)):
            episode_id = uuid5(NAMESPACE_URL, f"{number}:{name}")
            agent = Fingerprint(model=models[name])
            made = Episode(
                id=episode_id, task=key, task_key=key, started_at=START + timedelta(seconds=number, milliseconds=at), fingerprint=agent
            )
            outcome = Outcome(episode_id=episode_id, reward=reward, observed_at=START)
            found.setdefault(key, []).append(Rollout(episode=made, outcomes=(outcome,), reward=reward))
    return found


def differ(rollouts, policy):
    rewards = [r.reward for r in rollouts]
    return max(rewards) - min(rewards) >= policy.spread


def picked(recorded, *, mix, now=SOON):
    """The groups that are ready, by the recorded group they come from."""
    everything = [r for rollouts in recorded.values() for r in rollouts]
    found = {}
    for group in ready_groups(everything, policy=ReflectionPolicy(mix=mix), now=now):
        found.setdefault(group.key.removeprefix("key:"), []).append(group)
    return found


@pytest.fixture(scope="module")
def kinds(recorded):
    """What kind of group each is, by its rewards alone."""
    policy = ReflectionPolicy()

    def kind(rollouts):
        if differ(rollouts, policy):
            return "mixed" if len(rollouts) >= policy.min_rollouts else "mixed pair"
        failed = max(r.reward for r in rollouts) < policy.success
        if failed:
            return "failures" if len(rollouts) >= policy.min_rollouts else "failed pair"
        return "successes"

    return {key: kind(rollouts) for key, rollouts in recorded.items()}


@pytest.mark.parametrize("mix", ["always", "prefer_same"])
def test_contrast_is_picked_wherever_there_is_any(recorded, kinds, mix):
    policy, groups = ReflectionPolicy(), picked(recorded, mix=mix)
    mixed = [key for key, kind in kinds.items() if kind == "mixed"]
    for key in mixed:
        contrasts = [g for g in groups[key] if g.reason == "contrast"]
        assert contrasts, key
        for group in contrasts:
            assert differ(select(group.rollouts, policy.group_size), policy), key
    assert len(mixed) == 1_075


def test_groups_without_signal_are_skipped(recorded, kinds):
    groups = picked(recorded, mix="always", now=LATER)
    reasons = Counter((kind, groups[key][0].reason if key in groups else None) for key, kind in kinds.items())
    assert dict(reasons) == {
        ("mixed", "contrast"): 1_075,
        ("mixed pair", "age"): 181,
        ("failures", "failures"): 343,
        ("failed pair", None): 154,
        ("successes", None): 759,
    }
    at_once = {kinds[key] for key in picked(recorded, mix="always")}
    assert at_once == {"mixed", "failures"}, "pairs wait for a day"


def test_all_is_reflected_on_in_few_rounds_and_then_no_more(recorded, kinds):
    rollouts, rounds, seen = [r for same in recorded.values() for r in same], [], set()
    while groups := ready_groups(rollouts, policy=ReflectionPolicy(), now=LATER):
        done = {r.episode.id for g in groups for r in g.rollouts}
        rounds.append(len(groups))
        seen |= done
        rollouts = [r.model_copy(update={"news": "none"}) if r.episode.id in done else r for r in rollouts]
    assert rounds == [1_690, 46]
    assert len(seen) == 12_504
    left = Counter(kinds[r.episode.task] for r in rollouts if r.news != "none")
    assert left == {"successes": 3_096, "failed pair": 308}


def test_rollouts_of_one_model_are_compared_among_themselves(recorded, kinds):
    found = [(key, group) for key, groups in picked(recorded, mix="prefer_same").items() for group in groups if group.reason == "contrast"]
    models = [len({r.episode.fingerprint.model for r in group.rollouts}) for _, group in found]
    assert len(models) == 1_111
    assert models.count(1) == 154
    strict = picked(recorded, mix="never")
    assert sum(kinds[key] == "mixed" and strict[key][0].reason == "contrast" for key in strict) == 92
