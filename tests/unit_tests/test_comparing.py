"""A general lesson takes the place of others only if the agent does as well with it."""

import asyncio

import pytest

from langchain_reflect import Learner
from langchain_reflect.comparing import replay_gate
from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import Lesson, LessonText
from tests.unit_tests.naming_agent import RULE, VERBS, agent, async_agent, house_rule, naming
from tests.unit_tests.words import Words

WHEN = "give the snake_case name of the tool function"
TASKS = [naming(verb) for verb in VERBS[:4]]
SOURCES = [Lesson(id=f"L-{n}", when=f"{WHEN} for an {noun}", do=RULE) for n, noun in enumerate(("invoice", "order"))]
GOOD = LessonText(when=WHEN, do=RULE)
VAGUE = LessonText(when=WHEN, do="Choose names with care.")


@pytest.fixture
def open_learner(tmp_path):
    opened = []

    def open_(**given):
        usual = {"path": tmp_path, "embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "model": SimulatedModel()}
        learner = Learner(**(usual | {"holdout": 0.0, "withhold": 0.0, "floor": 0.3} | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()


@pytest.mark.parametrize(("general", "keep", "score"), [(GOOD, True, 1.0), (VAGUE, False, 0.0)])
def test_a_general_lesson_is_kept_only_if_the_agent_does_not_lose_by_it(open_learner, general, keep, score):
    learner = open_learner()
    verdict = replay_gate(agent(), TASKS, house_rule, learner=learner)(general, SOURCES, ("default",))
    assert (verdict.keep, verdict.general, verdict.sources, verdict.runs) == (keep, score, 1.0, 8)
    assert learner.ledger.episodes() == [], "replays leave no episodes"


def test_both_sides_get_the_same_tasks_and_seeds(open_learner):
    gate = replay_gate(agent(), TASKS[:2], house_rule, learner=open_learner(), repeats=3)
    gate(GOOD, SOURCES, ("default",))
    cells = [(run.job.task.text, run.job.seed) for run in gate.runs]
    assert cells[:6] == cells[6:]
    assert len(set(cells)) == 6
    assert [len(run.shown) for run in gate.runs] == [1] * 12, "of sources that say the same, recall shows one"


def test_a_slip_that_both_sides_share_is_no_loss(open_learner):
    gate = replay_gate(agent(SimulatedModel(slip=0.5)), TASKS, house_rule, learner=open_learner(), repeats=4)
    verdict = gate(GOOD, SOURCES, ("default",))
    assert 0.0 < verdict.sources == verdict.general < 1.0
    assert verdict.keep


def test_tasks_for_which_no_source_would_be_recalled_say_nothing(open_learner):
    verdict = replay_gate(agent(), ["wholly different words"], house_rule, learner=open_learner())(VAGUE, SOURCES, ("default",))
    assert (verdict.keep, verdict.runs) == (True, 0)


def test_arguments_that_cannot_be_meant_are_named(open_learner):
    learner = open_learner()
    for given, said in (({"tasks": []}, "tasks"), ({"repeats": 0}, "repeats=0"), ({"margin": 2.0}, "margin=2.0")):
        with pytest.raises(InvalidInput, match=said):
            replay_gate(agent(), **({"tasks": TASKS, "verifier": house_rule, "learner": learner} | given))


def near_lessons(learner):
    return [learner.lessons.add(when=f"{WHEN} for an {noun}", do=f"{RULE} Do so for each {noun}.").id for noun in ("invoice", "order")]


def answer(ids, do):
    return ScriptedChatModel(answers=[{"do": do, "when": WHEN, "covers": ids}] * 4)


@pytest.mark.parametrize(("do", "applied"), [(RULE, True), ("Tool names have acme_ in front, then the verb, then the noun.", False)])
def test_consolidation_with_a_replay_keeps_what_works(open_learner, do, applied):
    learner = open_learner(reflection=ReflectionPolicy(near=0.5, same=0.99))
    ids = near_lessons(learner)
    learner._model = answer(ids, do)
    gate = replay_gate(agent(), TASKS, house_rule, learner=learner)
    (edit,) = learner.consolidate(gate=gate).edits
    assert edit.applied is applied
    assert applied or edit.reason == "tried: 0.00 with it, 1.00 with its sources, in 8 runs"


async def test_an_async_agent_is_replayed_in_its_own_loop(open_learner):
    learner = open_learner(reflection=ReflectionPolicy(near=0.5, same=0.99))
    learner._model = answer(near_lessons(learner), RULE)
    gate = replay_gate(async_agent(), TASKS, house_rule, learner=learner, loop=asyncio.get_running_loop())
    report = await learner.aconsolidate(gate=gate)
    assert len(report.applied) == 1
    assert {run.reward for run in gate.runs} == {1.0}
