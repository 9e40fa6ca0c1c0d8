"""The gate: a draft has to win on validation tasks, a change of lessons must not lose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.practising import practice
from langchain_reflect.practising.gate import Trial, wins, wins_needed
from langchain_reflect.reflection.policy import GateVerdict
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.testing.simulated import SimulatedModel
from tests.unit_tests.naming_agent import RULE, VERBS, agent, house_rule, naming

TASKS = [naming(verb) for verb in VERBS[:3]]
VALIDATION = [naming(verb) for verb in VERBS[3:6]]
KNOWN = {"when": "give the snake_case name of a tool function", "do": "Write the verb, then the noun, and nothing else."}


@pytest.mark.parametrize(
    ("gains", "won"),
    [
        ([1.0], True),
        ([0.0], False),
        ([1.0, 1.0], True),
        ([1.0, 0.0], False),
        ([1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 0.0], False),
        ([1.0, 1.0, 1.0, 0.0], True),
        ([1.0] * 2 + [0.0] * 20, False),
        ([1.0] * 5 + [-1.0], True),
        ([1.0] * 3 + [-1.0] * 2, False),
        ([0.01] * 20, False),
        ([0.2, 0.1, 0.3, 0.2], True),
        ([-1.0] * 5, False),
    ],
)
def test_a_draft_wins_if_luck_does_so_in_one_case_of_five_at_most(gains, won):
    ((kept, _),) = wins([gains])
    assert kept is won


def test_of_no_drafts_none_wins():
    assert wins([]) == []


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=10))
def test_the_order_of_tasks_does_not_matter_and_more_loss_never_helps(gains):
    ((won, luck),) = wins([gains])
    assert wins([gains[::-1]])[0] == (won, pytest.approx(luck))
    ((worse, _),) = wins([[min(g, 0.0) for g in gains]])
    assert not worse
    assert 0.0 <= luck <= 1.0


ONE = [1.0, 1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("others", "won"),
    [
        ([], True),
        ([ONE, ONE], True),
        ([[0.0] * 5] * 3, True),
        ([[-1.0] * 5], True),
        ([[0.0, -1.0, 0.0, 1.0, 0.0]] * 4, True),
        ([[0.0, 0.0, 1.0, 1.0, -1.0], [1.0, -1.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 1.0, 0.0, 1.0]], False),
    ],
)
def test_drafts_that_waver_take_luck_from_each_other_and_those_that_do_the_same_or_nothing_do_not(others, won):
    (found, *_) = wins([ONE, *others])
    assert found[0] is won


@given(st.data(), st.integers(1, 6), st.integers(1, 4))
def test_more_drafts_never_make_a_gain_less_lucky(data, tasks, count):
    gains = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=tasks, max_size=tasks)
    drafts = [data.draw(gains) for _ in range(count)]
    alone, together = [wins([draft])[0] for draft in drafts], wins(drafts)
    for (won_alone, luck_alone), (won, luck) in zip(alone, together, strict=True):
        assert luck_alone <= luck <= count * luck_alone + 1e-9
        assert won_alone or not won


def test_the_best_of_five_useless_drafts_gets_in_as_seldom_as_one_may():
    rng = np.random.default_rng(3)
    kept = 0
    for _ in range(400):
        runs = (rng.random((6, 6)) < 0.5).astype(float)
        kept += any(won for won, _ in wins(runs[1:] - runs[0]))
    assert kept / 400 < 0.2, "without the correction it is a quarter of them"


@pytest.mark.parametrize(
    ("drafts", "kept"), [([[1, 1], [1, -1]], False), ([[1], [-1]], False), ([[1, 1], [0, 0]], True), ([[1], [1]], True)]
)
def test_with_one_or_two_tasks_a_draft_that_wins_them_all_may_still_be_refused(drafts, kept):
    assert wins(drafts)[0][0] is kept


@given(st.data(), st.integers(3, 6), st.integers(1, 4))
def test_from_three_tasks_on_it_costs_no_more_than_dividing_the_risk(data, tasks, count):
    gains = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=tasks, max_size=tasks)
    drafts = [data.draw(gains) for _ in range(count)]
    for draft, (won, _) in zip(drafts, wins(drafts), strict=True):
        assert won or not wins([draft], risk=0.2 / count)[0][0] or 0.2 / count < 0.5**tasks


def test_many_tasks_are_flipped_at_random():
    (won, luck), (also, _) = wins([[1.0] * 4 + [0.0] * 26, [1.0] * 12 + [0.0] * 18])
    assert (won, also) == (True, True)
    assert 1 / 16 - 0.01 < luck < 2 / 16, "at most as if the risk was divided by two"


@pytest.mark.parametrize(("tasks", "needed"), [(1, 1), (2, 2), (3, 3), (5, 3), (50, 3)])
def test_so_many_wins_are_needed_and_are_enough(tasks, needed):
    assert wins_needed(tasks) == needed
    gains = [[1.0] * n + [0.0] * (tasks - n) for n in (needed, needed - 1)]
    assert [wins([some], margin=0.0)[0][0] for some in gains] == [True, False]


@pytest.mark.parametrize(
    ("validation", "level", "says"),
    [
        (
            VALIDATION[:2],
            "WARNING",
            "2 validation tasks: a draft that wins all of them may be kept, but each useless draft does so in up to 25%",
        ),
        (VALIDATION, "INFO", "3 validation tasks: a draft is kept only if it wins 3 of them at least and loses none"),
    ],
)
def test_what_can_pass_is_told_before_the_first_run(open_learner, caplog, validation, level, says):
    def refuse(**_):
        told.extend(r for r in caplog.records if "validation tasks" in r.getMessage())
        raise ZeroDivisionError

    told = []
    with caplog.at_level("INFO"), pytest.raises(ZeroDivisionError):
        practice(agent(), TASKS, refuse, learner=open_learner(), rollouts=1, concurrency=1, validation=validation)
    assert [(r.levelname, r.getMessage().startswith(says)) for r in told[:1]] == [(level, True)]


def test_a_trial_that_keeps_nothing_says_what_it_would_have_taken():
    trial = Trial("g", (), (0.4,), 0.0, None, 10, tasks=5, luck=(0.25,), needed=3)
    assert str(trial).endswith("none kept (5 tasks, 25% by luck; one has to win 3 at least)")
    assert Trial.from_dict(trial.to_dict()) == trial


def test_the_report_says_how_lucky_a_useless_draft_would_have_to_be(open_learner):
    report = practice(agent(), TASKS, house_rule, learner=open_learner(), rollouts=2, validation=VALIDATION)
    (trial, *_) = report.trials
    assert (trial.tasks, trial.luck[trial.best]) == (3, pytest.approx(0.125))
    assert "(3 tasks, 12% by luck)" in str(trial) or "(3 tasks, 13% by luck)" in str(trial)


def test_with_and_without_a_draft_the_seeds_are_the_same_and_no_two_epochs_share_one(open_learner):
    seen = []

    def prepare(task, seed):
        if task.reference in {t.reference for t in VALIDATION}:
            seen.append((task.reference, seed))
        return {}

    learner = open_learner(model=SimulatedModel())
    deaf = SimulatedModel(slip=1.0)
    report = practice(agent(deaf), TASKS, house_rule, learner=learner, rollouts=2, epochs=2, validation=VALIDATION, prepare=prepare)
    tried = sum(len(t.scores) + 1 for t in report.trials)
    assert len(seen) == 3 * tried
    assert len(set(seen)) == 3 * len(report.trials)


def repeated(action, text=None):
    """A curator that puts every draft to the lesson that is there."""

    def curator(draft, near):
        when, do = text or ("", "")
        return CurateAnswer(action=action, ids=[n.name for n in near][:1], when=when, do=do, reason="as told")

    return curator


@pytest.mark.parametrize("action", ["REVISE", "MERGE"])
def test_a_new_wording_that_loses_leaves_the_lesson_as_it_is(open_learner, action):
    learner = open_learner(curator=repeated(action, ("give the snake_case name of a tool function", "Write it in capitals.")))
    lesson = learner.lessons.add(when=KNOWN["when"], do=f"{RULE} Start with acme_.", status="candidate")
    half = SimulatedModel(slip=0.5)
    report = practice(agent(half), TASKS, house_rule, learner=learner, rollouts=4, validation=VALIDATION, gate="auto")
    assert learner.lessons.show(lesson.id).do.startswith(RULE)
    if report.edit_trials:
        assert [t.kept for t in report.edit_trials] == [False]
        assert report.rejected >= 1


def test_a_new_wording_that_does_not_lose_is_made(open_learner):
    learner = open_learner(curator=repeated("REVISE", (KNOWN["when"], RULE)))
    lesson = learner.lessons.add(**KNOWN, status="candidate")
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION)
    assert [(t.kind, t.lesson_id, t.before, t.after, t.kept) for t in report.edit_trials] == [("revise", lesson.id, 0.0, 1.0, True)]
    assert learner.lessons.show(lesson.id).do == RULE
    assert (report.revised, report.lessons, report.rejected) == ([lesson.id], [], report.rejected)
    assert learner.replay()[0].is_same


def test_two_lessons_that_become_a_worse_one_stay_as_they_are(open_learner):
    def curator(draft, near):
        return CurateAnswer(action="MERGE", ids=[n.name for n in near], when=KNOWN["when"], do="Write it in capitals.", reason="as told")

    learner = open_learner(curator=curator, holdout=1.0)
    good = learner.lessons.add(when=KNOWN["when"], do=RULE, status="candidate")
    learner.lessons.add(when=KNOWN["when"], do="Write the verb and the noun in lower case.", status="candidate")
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION, gate=AllOf(learner))
    assert report.rejected == 0
    assert learner.lessons.show(good.id).do == RULE
    assert {e.reason for e in report.reflections[0].edits if e.edit.kind == "merge" and not e.applied} == {"told to refuse"}
    assert learner.replay()[0].is_same, "what the gate refused is refused again"


class AllOf:
    """A gate that lets every first draft through, and no change of a lesson."""

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, group, drafts):
        return GateVerdict(best=0)

    def try_edit(self, edit, before, after, group):
        assert all(self.learner.lessons.show(lesson.id) for lesson in before)
        return "told to refuse"


def test_a_lesson_that_a_draft_shows_wrong_is_retired_if_nothing_is_lost(open_learner):
    learner = open_learner(curator=repeated("RETIRE"), holdout=1.0)
    lesson = learner.lessons.add(**KNOWN, status="candidate")
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION)
    (trial,) = report.edit_trials
    assert (trial.kind, trial.before, trial.after, trial.kept) == ("retire", 0.0, 1.0, True), "the draft takes its place"
    assert learner.lessons.show(lesson.id).status == "retired"
    assert report.retired == [lesson.id]
