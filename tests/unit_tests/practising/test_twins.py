"""A learning curve has its own baseline, and nobody learns from the runs that make it."""

from langchain_reflect.practising import apractice, practice
from langchain_reflect.reflection.policy import GateVerdict
from tests.unit_tests.naming_agent import VERBS, agent, async_agent, house_rule, naming

TASKS = [naming(verb, family="names") for verb in VERBS[:4]]


def rewards(learner, arm):
    return [r.reward for r in learner.ledger.rollouts() if r.episode.arm == arm]


def test_twins_show_what_the_lessons_of_each_epoch_are_worth(open_learner):
    learner = open_learner()
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, epochs=2, control=0.5, placebo=0.25)
    assert report.curve == [0.0, 1.0]
    bare, placebo = report.epochs[1].twins
    assert (bare.arm, bare.runs, bare.mean, bare.gain, bare.tasks) == ("holdout", 4, 0.0, 1.0, 4)
    assert (placebo.arm, placebo.runs, placebo.gain) == ("placebo", 2, 1.0)
    assert bare.low < 0.5, "four tasks prove little"
    assert (rewards(learner, "holdout"), rewards(learner, "placebo")) == ([0.0] * 8, [0.0] * 4)
    assert "epoch 2 against no lessons: +1.00 (95 % interval" in str(report)


async def test_twins_of_async_agents(open_learner):
    report = await apractice(async_agent(), TASKS, house_rule, learner=open_learner(), rollouts=1, epochs=2, control=1.0)
    assert [t.gain for e in report.epochs for t in e.twins] == [0.0, 1.0]


def test_no_reflection_ever_takes_a_twin(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, control=1.0)
    twins = {r.episode.id for r in learner.ledger.rollouts() if r.episode.arm == "holdout"}
    assert len(twins) == 8
    assert all(not twins & set(lesson.evidence) for lesson in learner.lessons.list())
    for episode in twins:
        learner.record_outcome(episode, reward=0.0, feedback="A person says it as well.", source="human")
    assert learner.reflect(retry=True).groups == 0
    assert learner.reflect(episodes=twins).groups == 0
    assert (learner.ledger.due(), learner.ledger.verify()) == (0, [])


def test_what_only_twins_could_teach_is_not_learned(open_learner):
    """The treated rollouts succeed, because the lesson is there; their twins fail with a correction that would make a second one."""
    learner = open_learner()
    learner.lessons.add(
        when="give the snake_case name of a tool function", do="Start with acme_, then the verb, then the noun.", status="active"
    )
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, control=1.0)
    assert (report.curve, report.epochs[0].twins[0].mean) == ([1.0], 0.0)
    assert report.lessons == []
    assert learner.reflect().groups == 0
    assert len(learner.lessons.list()) == 1


def test_a_late_task_of_the_same_key_does_not_bring_twins_along(open_learner):
    learner = open_learner()
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, control=1.0)
    twins = {r.episode.id for r in learner.ledger.rollouts() if r.episode.arm == "holdout"}
    row = {"id": 7, "messages": [{"role": "user", "content": TASKS[0].inputs}], "task_key": "names", "feedback": "It lacks a prefix."}
    learner.import_episodes([row], graph="namer")
    seen = []

    def look(group, drafts):
        seen.extend(r.episode.id for r in group.rollouts)
        return GateVerdict(best=None)

    learner.reflect(gate=look)
    assert seen
    assert not twins & set(seen)


def test_a_verifier_of_the_learners_own_judges_twins_without_making_them_due(open_learner):
    learner = open_learner(verifier=lambda *, inputs, outputs: (0.0, "Start with acme_."))
    practice(agent(), TASKS, house_rule, learner=learner, rollouts=1, control=1.0)
    learner.flush()
    twins = {r.episode.id for r in learner.ledger.rollouts() if r.episode.arm == "holdout"}
    due = {r.episode.id for r in learner.ledger.rollouts(unreflected=True)}
    assert twins
    assert not twins & due
    assert learner.ledger.verify() == []
