"""The evidence about lessons in columns."""

from datetime import timedelta

import numpy as np
import pytest

from langchain_reflect.credit.columns import HOLDOUT, OTHER, PLACEBO, TREATED
from langchain_reflect.evidence import gather
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.types import Episode, Exposure, Lesson, Revision, now

POLICY = RecallPolicy(k="auto", holdout=0.2, placebo=0.1, doses={1: 0.25, 2: 0.75}).version


def save(ledger, number: int, *, arm: str = "treated", dose: int = 1, policy: str = POLICY, lessons=(("L-1", 1),), unit: str | None = None):
    began = now() + timedelta(minutes=number)
    episode = Episode(id=f"00000000-0000-0000-0000-{number:012d}", namespace=("acme",), task=f"t{number}", arm=arm, started_at=began)
    drawn = {"unit": f"u{number}" if unit is None else unit, "policy": policy, "dose": dose, "arm": arm, "tokens": 7}
    told = [Exposure(episode_id=episode.id, lesson_id=i, revision=r, shown=True, probability=0.75, **drawn) for i, r in lessons]
    ledger.save_episode(episode, told)
    return episode


@pytest.fixture
def lessons(ledger):
    for name in ("L-1", "L-2"):
        lesson = Lesson(id=name, namespace=("acme",), when="w", do=f"d{name}")
        ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="dana")])
        other = lesson.model_copy(update={"revision": 2, "do": f"other {name}"})
        ledger.append_revisions([Revision(lesson=other, kind="revise", actor="dana")])


def test_each_run_has_the_probability_of_its_arm_and_dose(ledger, lessons):
    save(ledger, 1, arm="treated", dose=1)
    save(ledger, 2, arm="treated", dose=2)
    save(ledger, 3, arm="holdout")
    save(ledger, 4, arm="placebo")
    episodes = gather(ledger.trial_rows()).episodes
    order = np.argsort(episodes.id)
    assert episodes.arm[order].tolist() == [TREATED, TREATED, HOLDOUT, PLACEBO]
    assert episodes.chance[order] == pytest.approx([0.7 * 0.25, 0.7 * 0.75, 0.2, 0.1])
    assert episodes.control == pytest.approx([0.2] * 4)
    assert episodes.treated == pytest.approx([0.7] * 4)
    assert episodes.draws.tolist() == [[0.0, 0.25, 0.75]] * 4


def test_a_policy_that_cannot_be_read_takes_part_in_no_comparison(ledger, lessons):
    save(ledger, 1, policy="of a later release")
    episodes = gather(ledger.trial_rows()).episodes
    assert (episodes.arm.tolist(), episodes.chance.tolist()) == ([OTHER], [0.0])


def test_an_exposure_belongs_to_the_trial_of_its_wording(ledger, lessons):
    save(ledger, 1, lessons=[("L-1", 1), ("L-2", 2)])
    evidence = gather(ledger.trial_rows())
    said = [evidence.wordings[trial] for trial in evidence.exposures.trial]
    assert sorted((each.lesson_id, each.do, each.is_current) for each in said) == [("L-1", "dL-1", False), ("L-2", "other L-2", True)]
    assert evidence.exposures.tokens.tolist() == [7, 7]


def test_lessons_that_were_erased_are_left_out(ledger, lessons):
    save(ledger, 1, lessons=[("L-1", 1), ("L-gone", 1)])
    evidence = gather(ledger.trial_rows())
    assert len(evidence.episodes.id) == 1
    assert [evidence.wordings[trial].lesson_id for trial in evidence.exposures.trial] == ["L-1"]


def test_a_part_of_the_episodes_keeps_its_exposures(ledger, lessons):
    for number in range(1, 5):
        save(ledger, number, lessons=[("L-1", 1), ("L-2", 1)] if number % 2 else [("L-1", 1)])
    evidence = gather(ledger.trial_rows())
    odd = np.array([int(i, 16) % 2 == 1 for i in evidence.episodes.id])
    part = evidence.only(odd)
    assert len(part.episodes.id) == 2
    assert sorted(part.exposures.episode.tolist()) == [0, 0, 1, 1]
    assert [evidence.only(~odd).exposures.episode.size, part.since(None).episodes.id.size] == [2, 2]


def test_only_what_began_since_then_counts(ledger, lessons):
    save(ledger, 1)
    later = save(ledger, 100)
    (left,) = gather(ledger.trial_rows()).since(later.started_at - timedelta(minutes=1)).episodes.id
    assert left.decode() == later.id.hex


def test_the_newest_policy_of_a_graph_is_known(ledger, lessons):
    save(ledger, 1, policy=RecallPolicy(holdout=0.3).version)
    save(ledger, 2, policy=RecallPolicy(holdout=0.4).version)
    (newest,) = gather(ledger.trial_rows()).chances
    assert newest.holdout == 0.4
