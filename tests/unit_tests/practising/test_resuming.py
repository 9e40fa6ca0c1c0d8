"""A practice that was killed goes on where it ended: nothing that was finished is done again, and nothing is lost."""

import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_reflect.errors import ClaimLost, InvalidInput, NotFound
from langchain_reflect.ledger import practices
from langchain_reflect.practising import Budget, flow, practice, practice_report
from tests.unit_tests.naming_agent import VERBS, agent, house_rule, naming
from tests.unit_tests.practising import dying

ROOT = Path(__file__).parents[3]
TASKS = [naming(verb) for verb in VERBS[:3]]


def killed(folder, stage, count, name="names"):
    command = [sys.executable, "-m", "tests.unit_tests.practising.dying", str(folder), stage, str(count), name]
    return subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return dying.run(folder), (folder / "runs").read_text().splitlines()


@pytest.mark.parametrize(
    ("stage", "count"),
    [("rollouts", 1), ("rollouts", 4), ("rollouts", 11), ("gate", 1), ("gate", 5), ("reflection", 1), ("reflection", 3)],
)
def test_after_kill_9_it_comes_out_as_if_nothing_had_happened(tmp_path, undisturbed, stage, count):
    (report, lessons, _, rollouts), runs = undisturbed
    assert killed(tmp_path, stage, count) == -signal.SIGKILL
    again, theirs, problems, kept = dying.run(tmp_path)
    assert (again.curve, again.rollouts, again.is_finished, theirs) == (report.curve, report.rollouts, True, lessons)
    assert [e.twins for e in again.epochs] == [e.twins for e in report.epochs]
    assert [(t.scores, t.baseline, t.best) for t in again.trials] == [(t.scores, t.baseline, t.best) for t in report.trials]
    assert (problems, kept) == ([], rollouts)
    assert sorted((tmp_path / "runs").read_text().splitlines()) == sorted(runs), "no finished run was made again"


def test_killed_again_and_again_it_still_ends(tmp_path, undisturbed):
    (report, lessons, _, _), runs = undisturbed
    for stage, count in [("rollouts", 3), ("rollouts", 3), ("reflection", 1), ("gate", 2), ("gate", 2), ("rollouts", 2)]:
        killed(tmp_path, stage, count)
    again, theirs, problems, _ = dying.run(tmp_path)
    assert (again.curve, theirs, problems) == (report.curve, lessons, [])
    assert sorted((tmp_path / "runs").read_text().splitlines()) == sorted(runs)


def test_a_finished_practice_returns_its_report_without_a_run(open_learner):
    learner, asked = open_learner(), []

    def verify(**given):
        asked.append(1)
        return house_rule(**given)

    given = {"learner": learner, "rollouts": 2, "epochs": 2, "name": "once", "validation": [naming(v) for v in VERBS[3:5]]}
    first = practice(agent(), TASKS, verify, **given)
    ran = len(asked)
    second = practice(agent(), TASKS, verify, **given)
    assert len(asked) == ran
    assert (second.curve, second.lessons, second.usage, second.gate_runs) == (first.curve, first.lessons, first.usage, first.gate_runs)
    assert second.is_finished
    assert "kept number" in str(second)


def test_more_epochs_go_on_from_those_that_are_done(open_learner):
    learner = open_learner()
    one = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="longer")
    two = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="longer", epochs=2)
    assert (one.curve, two.curve, two.rollouts) == ([0.0], [0.0, 1.0], 12)


def test_fresh_begins_anew_and_keeps_what_was_learned(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="again")
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="again", fresh=True)
    assert report.curve == [1.0], "the lessons are still there"
    assert len(learner.ledger.rollouts()) == 12


@pytest.mark.parametrize("other", [{"rollouts": 3}, {"seed": 1}, {"control": 0.5}, {"tasks": TASKS[:2]}, {"gate": lambda *_: None}])
def test_a_name_stands_for_one_practice(open_learner, other):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, name="mine", rollouts=1)
    given = {"tasks": TASKS, "rollouts": 1} | other
    with pytest.raises(InvalidInput, match=r"'mine' was begun on .* with other tasks"):
        practice(agent(), given.pop("tasks"), house_rule, learner=learner, name="mine", **given)


def test_without_a_name_each_call_is_a_practice_of_its_own(open_learner):
    learner = open_learner()
    reports = [practice(agent(), TASKS, house_rule, learner=learner, rollouts=1) for _ in range(2)]
    assert len({r.name for r in reports}) == 2
    assert len(learner.ledger.practices()) == 2


def test_whoever_goes_on_with_it_shuts_out_the_other(open_learner):
    learner = open_learner()
    seen = []

    def overtaken(**given):
        seen.append(1)
        if len(seen) == 2:
            (mine,) = learner.ledger.practices("shared")
            learner.ledger.begin_practice("shared", digest=mine.digest)
        return house_rule(**given)

    with pytest.raises(ClaimLost, match="'shared' was taken over"):
        practice(agent(), TASKS, overtaken, learner=learner, name="shared", rollouts=2, concurrency=1)
    assert len(learner.ledger.rollouts()) == 1


def test_overtaken_in_its_gate_it_leaves_the_group_to_the_other(open_learner):
    learner, validation = open_learner(), [naming(verb) for verb in VERBS[3:5]]
    held_out, once = {task.reference for task in validation}, [True]

    def overtaken(*, inputs, outputs, reference_outputs):
        if once and reference_outputs in held_out:
            once.clear()
            (mine,) = learner.ledger.practices("shared")
            learner.ledger.begin_practice("shared", digest=mine.digest)
        return house_rule(inputs=inputs, outputs=outputs, reference_outputs=reference_outputs)

    given = {"learner": learner, "rollouts": 2, "name": "shared", "validation": validation}
    with pytest.raises(ClaimLost, match="'shared' was taken over"):
        practice(agent(), TASKS, overtaken, **given)
    report = practice(agent(), TASKS, overtaken, **given)
    assert report.lessons, "the group was not parked by the one that ended"


def test_an_interrupted_practice_keeps_its_rollouts_for_itself(open_learner):
    learner = open_learner()
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine", budget=Budget(calls=4), concurrency=1)
    assert (report.rollouts, report.stopped) == (4, "budget: 4 of 4 calls are spent")
    assert learner.reflect().groups == 0, "only the practice itself, with its gate, may learn from them"
    assert practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine").rollouts == 6
    assert learner.lessons.list()


def test_rollouts_that_nobody_goes_on_with_can_be_released(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine", budget=Budget(calls=4))
    assert learner.ledger.release_practice("mine")
    assert not learner.ledger.release_practice("nobody's")
    assert learner.reflect().groups > 0


def test_a_practice_without_a_name_leaves_its_rollouts_to_everybody(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, budget=Budget(calls=4))
    assert learner.reflect().groups > 0


def later(monkeypatch, minutes):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(practices, "clock", lambda _: at)


@pytest.mark.parametrize(("name", "groups"), [("", 1), ("names", 0)])
def test_after_kill_9_rollouts_without_a_name_are_left_to_everybody_ten_minutes_later(tmp_path, monkeypatch, name, groups):
    assert killed(tmp_path, "rollouts", 4, name) == -signal.SIGKILL
    with dying.learner_of(tmp_path, dying.Bomb("none", 1)) as learner:
        (left,) = learner.ledger.practices()
        assert len(learner.ledger.rollouts()) == 3
        later(monkeypatch, 9)
        assert learner.reflect().groups == 0, "its process may be alive"
        later(monkeypatch, 11)
        assert learner.reflect().groups == groups
        report = practice_report(left.name, learner=learner)
        assert (report.rollouts, report.is_finished, report.stopped) == (3, False, None)
        assert learner.ledger.verify() == []


def test_a_practice_without_a_name_that_lives_is_heard_of(open_learner, monkeypatch):
    monkeypatch.setattr(flow, "LEASE", timedelta(seconds=0.3))
    learner, seen = open_learner(), []

    def slow(**given):
        if not seen:
            seen.append(learner.ledger.practices()[0])
            time.sleep(0.6)
            seen.append(learner.ledger.practices()[0])
            assert learner.ledger.claim("another") == []
        return house_rule(**given)

    practice(agent(), TASKS, slow, learner=learner, rollouts=2, concurrency=1)
    assert seen[1].changed_at > seen[0].changed_at
    assert learner.lessons.list(), "its own reflection found its rollouts"


def test_one_that_was_taken_over_does_not_go_on_saying_that_it_lives(open_learner, monkeypatch, caplog):
    monkeypatch.setattr(flow, "LEASE", timedelta(seconds=0.06))
    learner, alive = open_learner(), []

    def overtaken(**given):
        (mine,) = learner.ledger.practices()
        learner.ledger.begin_practice(mine.name, digest=mine.digest)
        time.sleep(0.3)
        alive.extend(thread for thread in threading.enumerate() if thread.name == "reflect-practice-lease")
        return house_rule(**given)

    with pytest.raises(ClaimLost, match="was taken over"):
        practice(agent(), TASKS, overtaken, learner=learner, rollouts=1, concurrency=1)
    assert alive == []
    assert "could not be prolonged" not in caplog.text


def test_a_report_can_be_had_again_from_any_process(open_learner):
    learner, validation = open_learner(), [naming(v) for v in VERBS[3:5]]
    made = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine", validation=validation, control=0.5)
    again = practice_report("mine", learner=open_learner())
    known = json.loads(made.to_json())
    assert json.loads(again.to_json()) == known
    assert (again.is_finished, again.lessons) == (True, made.lessons)


def test_reading_a_report_changes_nothing(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine", budget=Budget(calls=4), concurrency=1)
    (before,) = learner.ledger.practices()
    report = practice_report("mine", learner=learner)
    assert (report.rollouts, report.stopped) == (4, "budget: 4 of 4 calls are spent")
    assert learner.ledger.practices() == [before]


def test_a_practice_that_goes_on_is_not_told_as_stopped(open_learner):
    learner, told = open_learner(), []

    def verify(**given):
        told.append(practice_report("mine", learner=learner))
        return house_rule(**given)

    given = {"learner": learner, "rollouts": 2, "name": "mine", "concurrency": 1}
    assert practice(agent(), TASKS, house_rule, **given, budget=Budget(calls=3)).stopped
    assert practice(agent(), TASKS, verify, **given, budget=Budget(calls=5)).stopped
    assert [report.stopped for report in told] == [None, None]
    assert practice_report("mine", learner=learner).stopped == "budget: 5 of 5 calls are spent"


def test_a_practice_that_is_not_there_is_named_with_those_that_are(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=1, name="mine")
    with pytest.raises(NotFound, match=r"no practice 'yours'; expected one of \['mine'\]"):
        practice_report("yours", learner=learner)


def test_an_error_of_the_verifier_loses_nothing(open_learner):
    learner, broken = open_learner(), [True]

    def verify(**given):
        if broken[0] and "archive" not in str(given["inputs"]) and len(learner.ledger.rollouts()) == 3:
            raise ZeroDivisionError("the verifier has a bug")
        return house_rule(**given)

    with pytest.raises(ZeroDivisionError, match="has a bug"):
        practice(agent(), TASKS, verify, learner=learner, rollouts=2, name="mended", concurrency=1)
    broken[0] = False
    report = practice(agent(), TASKS, verify, learner=learner, rollouts=2, name="mended")
    assert (report.rollouts, len(learner.ledger.rollouts())) == (6, 6)


def test_an_agent_that_could_not_run_at_all_may_try_again(open_learner):
    learner, down = open_learner(), [True]
    well = agent()

    def flaky(given, config=None):
        if down[0]:
            raise ConnectionError("no network")
        return well.invoke(given, config)

    given = {"learner": learner, "rollouts": 1, "name": "retried"}
    with pytest.raises(InvalidInput, match="no network"):
        practice(RunnableLambda(flaky), TASKS, house_rule, **given)
    down[0] = False
    report = practice(RunnableLambda(flaky), TASKS, house_rule, **given)
    assert (report.rollouts, report.failed) == (3, 0)


def test_forgetting_an_episode_forgets_its_run_and_what_is_said_of_groups(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, name="mine", validation=[naming(v) for v in VERBS[3:5]])
    victim = learner.ledger.rollouts()[0].episode.id
    learner.forget(episode=victim)
    (kept,) = learner.ledger.practices("mine")
    assert victim not in {run.episode_id for run in learner.ledger.practice_runs(kept.id)}
    assert all("trials" not in epoch for epoch in kept.body["epochs"])
    assert learner.ledger.verify() == []
