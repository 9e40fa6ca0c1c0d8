"""Practice closes the loop offline: rollouts, verdicts, reflection, and drafts that are tried before they are kept."""

import asyncio
import signal
import threading
import time

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.errors import InvalidInput, ModelMissing
from langchain_reflect.practising import Budget, PracticeTask, apractice, practice, practice_report
from langchain_reflect.reflection.policy import GateVerdict
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.verifiers import as_judge
from tests.unit_tests.naming_agent import RULE, VERBS, agent, async_agent, house_rule, naming

TASKS = [naming(verb) for verb in VERBS[:3]]
VALIDATION = [naming(verb) for verb in VERBS[3:5]]


def test_what_one_epoch_teaches_the_next_one_follows(open_learner):
    learner = open_learner()
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, epochs=2)
    assert report.curve == [0.0, 1.0]
    assert report.rollouts == 12
    assert RULE in learner.lessons.show(report.lessons[0]).do
    assert report.usage.calls > 12
    assert report.usage.tokens_in > 0
    assert "mean reward by epoch: 0.00, 1.00" in str(report)


async def test_async_agents_practise_alike(open_learner):
    learner = open_learner()
    report = await apractice(async_agent(), TASKS, house_rule, learner=learner, rollouts=2, epochs=2, validation=VALIDATION)
    assert report.curve == [0.0, 1.0]
    assert report.trials[0].scores == (1.0,)


def test_each_rollout_leaves_an_episode_with_its_verdict(open_learner):
    learner = open_learner()
    practice(agent(), TASKS[:1], house_rule, learner=learner, rollouts=3)
    rollouts = learner.ledger.rollouts()
    assert len(rollouts) == 3
    assert {(r.reward, r.outcomes[0].source) for r in rollouts} == {(0.0, "verifier")}
    assert len({r.episode.metadata["reflect_seed"] for r in rollouts}) == 3


@pytest.mark.parametrize(
    ("tasks", "groups"),
    [
        ([naming("list", family="names"), naming("create", family="names")], 1),
        ([naming("list", key="one"), naming("create", key="two")], 2),
    ],
)
def test_rollouts_of_one_key_or_family_form_one_group(open_learner, tasks, groups):
    learner = open_learner()
    report = practice(agent(), tasks, house_rule, learner=learner, rollouts=2)
    assert report.reflections[0].groups == groups
    assert {e.task_key for e in learner.ledger.episodes()} == {t.group for t in tasks}
    assert all("reflect_task_key" not in e.metadata for e in learner.ledger.episodes())


def test_a_draft_that_gains_on_validation_is_kept(open_learner):
    learner = open_learner()
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION)
    (trial, *_) = report.trials
    assert (trial.baseline, trial.scores[trial.best]) == (0.0, 1.0)
    assert report.gate_runs == sum(t.runs for t in report.trials)
    assert len(learner.ledger.episodes()) == 6, "replays leave no episodes"
    assert report.lessons


def test_a_draft_that_gains_nothing_is_not_kept(open_learner):
    learner = open_learner()
    deaf = ScriptedChatModel(answers=lambda _: "always the same")
    report = practice(agent(deaf), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION)
    assert {t.best for t in report.trials} == {None}
    assert report.lessons == []
    assert "none kept" in str(report)


def test_a_draft_has_to_add_something_to_the_lessons_there_are(open_learner):
    learner = open_learner()
    learner.lessons.add(when="give the snake_case name of a tool function", do=RULE, status="active")
    half = SimulatedModel(slip=0.5)
    report = practice(agent(half), TASKS, house_rule, learner=learner, rollouts=4, validation=VALIDATION)
    assert all(t.baseline > 0.0 for t in report.trials)


def test_a_gate_of_your_own_chooses(open_learner):
    asked = []

    def never(group, drafts):
        asked.append(len(drafts))
        return GateVerdict(best=None)

    report = practice(agent(), TASKS, house_rule, learner=open_learner(), rollouts=2, gate=never)
    assert asked
    assert report.lessons == []


def test_ctrl_c_ends_with_what_was_done(open_learner):
    judged = []

    def interrupting(*, inputs, outputs, reference_outputs):
        judged.append(outputs)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return house_rule(inputs=inputs, outputs=outputs, reference_outputs=reference_outputs)

    learner = open_learner()
    report = practice(agent(), TASKS, interrupting, learner=learner, rollouts=4, concurrency=1)
    assert report.interrupted
    assert (report.rollouts, report.curve) == (2, [0.0])
    learner.flush()
    assert len(learner.ledger.rollouts()) == 2
    assert "interrupted" in str(report)


def test_ctrl_c_does_not_wait_for_a_reflection(open_learner):
    hang = threading.Event()

    def slow(group, drafts):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        hang.wait(30)
        return GateVerdict(best=None)

    report = practice(agent(), TASKS, house_rule, learner=open_learner(), rollouts=2, gate=slow)
    waited = not hang.is_set()
    hang.set()
    assert waited
    assert report.interrupted
    assert (report.rollouts, report.reflections) == (6, [])
    assert report.seconds < 20


def failing(every):
    calls = []

    def node(state: MessagesState):
        calls.append(1)
        if len(calls) % every == 0:
            raise ConnectionError("the tool is down")
        return {"messages": [("ai", "list_invoice")]}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()


def test_a_run_that_raises_is_a_failure_with_its_error_as_feedback(open_learner):
    learner = open_learner()
    report = practice(failing(2), TASKS[:1], house_rule, learner=learner, rollouts=2, concurrency=1)
    assert report.failed == 1
    assert any("ConnectionError: the tool is down" in r.feedback[0] for r in learner.ledger.rollouts())


def test_an_agent_that_never_runs_is_no_lesson(open_learner):
    learner = open_learner()
    with pytest.raises(InvalidInput, match="all 4 runs of the agent failed"):
        practice(failing(1), TASKS[:1], house_rule, learner=learner)
    assert learner.lessons.list() == []


def test_errors_of_the_verifier_reach_the_caller(open_learner):
    with pytest.raises(InvalidInput, match="verifier returned 'perhaps'"):
        practice(agent(), TASKS, lambda **_: "perhaps", learner=open_learner())


async def test_errors_of_the_verifier_reach_the_async_caller(open_learner):
    with pytest.raises(InvalidInput, match="verifier returned 'perhaps'"):
        await apractice(agent(), TASKS, lambda **_: "perhaps", learner=open_learner())


def test_a_plain_text_or_input_is_a_task(open_learner):
    learner = open_learner()
    practice(agent(), ["say A", {"messages": [("user", "say B")]}], lambda **_: (0.0, "Say it."), learner=learner, rollouts=1)
    assert {e.task for e in learner.ledger.episodes()} == {"say A", "say B"}


def test_a_graph_with_a_checkpointer_gets_a_thread_for_each_run(open_learner):
    graph = StateGraph(MessagesState).add_node("say", lambda _: {"messages": [("ai", "done")]}).add_edge(START, "say")
    learner = open_learner()
    report = practice(graph.compile(checkpointer=InMemorySaver()), ["say A"], lambda **_: True, learner=learner, rollouts=3)
    assert report.failed == 0
    assert len({e.thread_id for e in learner.ledger.episodes()}) == 3


def test_prepare_gives_each_run_its_config(open_learner):
    learner = open_learner()
    practice(
        agent(),
        TASKS[:1],
        house_rule,
        learner=learner,
        rollouts=2,
        prepare=lambda task, seed: {"metadata": {"mine": seed % 7}, "configurable": {"thread_id": f"own-{seed}"}},
    )
    assert all(e.thread_id.startswith("own-") and "mine" in e.metadata for e in learner.ledger.episodes())


def test_the_same_seed_practises_the_same(open_learner, tmp_path):
    curves = [
        practice(agent(SimulatedModel(slip=0.4)), TASKS, house_rule, learner=open_learner(path=tmp_path / name), epochs=2).curve
        for name in ("one", "two")
    ]
    assert curves[0] == curves[1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"tasks": []}, "at least one task"),
        ({"tasks": "a text"}, "expected a list"),
        ({"rollouts": 0}, "rollouts=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"repeats": 0}, "repeats=0"),
        ({"patience": 0}, "patience=0"),
        ({"control": 1.5}, r"control=1\.5"),
        ({"placebo": -0.1}, r"placebo=-0\.1"),
        ({"name": ""}, "name"),
        ({"epoch": 2}, "no option 'epoch'; did you mean 'epochs'"),
        ({"validation": TASKS[:1]}, "shares tasks"),
        ({"validation": []}, "cannot try anything"),
        ({"validation": [PracticeTask("other", family="other")]}, "no task of the families"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(open_learner, wrong, says):
    given = {"tasks": TASKS} | wrong
    with pytest.raises(InvalidInput, match=says):
        practice(agent(), given.pop("tasks"), house_rule, learner=open_learner(), **given)


def test_without_a_model_nothing_is_spent(open_learner):
    learner = open_learner(model=None)
    with pytest.raises(ModelMissing):
        practice(agent(), TASKS, house_rule, learner=learner)
    assert learner.ledger.episodes() == []


def test_a_practice_leaves_other_peoples_due_groups_alone(open_learner):
    learner = open_learner()
    learner.import_episodes(
        [{"id": 1, "messages": [{"role": "user", "content": "move my flight"}], "feedback": "The fare class forbids it."}]
    )
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, validation=VALIDATION)
    assert all("flight" not in trial.group for trial in report.trials)
    assert learner.reflect().groups == 1


def test_no_draft_gets_past_the_gate_while_outcomes_start_reflection(open_learner):
    learner = open_learner(reflect="background", verifier=house_rule_without_reference)
    refuse_all = lambda group, drafts: GateVerdict(best=None, scores=[0.0] * len(drafts), baseline=0.0)  # noqa: E731
    report = practice(agent(), TASKS, house_rule, learner=learner, rollouts=2, gate=refuse_all)
    assert learner.flush(30)
    assert report.lessons == []
    assert learner.lessons.list() == []


def house_rule_without_reference(*, inputs, outputs):
    return (0.0, RULE)


def test_an_epoch_of_perfect_rollouts_is_the_last(open_learner):
    report = practice(agent(), TASKS, house_rule, learner=open_learner(), rollouts=2, epochs=9)
    assert report.curve == [0.0, 1.0]
    assert report.stopped == "all rewards are 1"
    assert report.is_finished


def test_without_a_gain_patience_ends(open_learner):
    deaf = ScriptedChatModel(answers=lambda _: "always the same")
    report = practice(agent(deaf), TASKS, house_rule, learner=open_learner(), rollouts=1, epochs=9, patience=2)
    assert (report.curve, report.stopped) == ([0.0, 0.0, 0.0], "no gain for 2 epochs")


def test_tasks_of_equal_text_are_tasks_of_their_own(open_learner):
    learner = open_learner()
    report = practice(agent(), [TASKS[0], TASKS[0]], house_rule, learner=learner, rollouts=2)
    assert (report.rollouts, len({e.metadata["reflect_seed"] for e in learner.ledger.episodes()})) == (4, 4)


@pytest.mark.parametrize("rollouts", [1, 3])
def test_a_run_that_is_not_judged_leaves_no_outcome(open_learner, rollouts):
    learner, seen = open_learner(), []

    def some(**given):
        seen.append(1)
        return None if len(seen) % 2 else house_rule(**given)

    report = practice(agent(), TASKS[:2], some, learner=learner, rollouts=rollouts, concurrency=1)
    assert report.rollouts == 2 * rollouts
    assert len(learner.ledger.rollouts()) == rollouts


@pytest.mark.parametrize("only_async", [async_agent(), RunnableLambda(async_agent().ainvoke)])
def test_an_agent_that_is_only_async_is_told_the_way(open_learner, only_async):
    with pytest.raises(InvalidInput, match=r"the only run of the agent failed, .*needs `langchain_reflect\.apractice`"):
        practice(only_async, TASKS[:1], house_rule, learner=open_learner(), rollouts=1)


async def test_a_part_that_is_only_sync_is_not_sent_to_where_it_is(open_learner):
    def sync_only(_):
        raise NotImplementedError("no async here, call it synchronously")

    with pytest.raises(InvalidInput, match="make it run first"):
        await apractice(RunnableLambda(sync_only), TASKS, house_rule, learner=open_learner(), rollouts=1)


def test_a_report_of_one_speaks_of_one(open_learner):
    report = practice(agent(), TASKS[:1], house_rule, learner=open_learner(), rollouts=1, validation=VALIDATION)
    said = str(report)
    assert said.startswith("1 rollout (0 failed) and ")
    assert "reflection: 1 group, 1 draft, " in said
    assert "tried 1 draft of " in said
    assert "1 lesson added" in said


def test_a_verifier_that_forgets_to_return_is_named(open_learner):
    with pytest.raises(InvalidInput, match="abstained from all 6 runs; does it forget to return"):
        practice(agent(), TASKS, lambda **_: None, learner=open_learner(), rollouts=2)


def test_a_judges_verdicts_have_the_source_judge(open_learner):
    learner = open_learner()
    practice(agent(), TASKS[:1], as_judge(house_rule), learner=learner, rollouts=1)
    assert learner.ledger.rollouts()[0].outcomes[0].source == "judge"


def test_a_thousand_tasks_are_a_number_each(open_learner):
    learner = open_learner(durability="fast")
    big = StateGraph(MessagesState).add_node("say", lambda _: {"messages": [("ai", "done")]}).add_edge(START, "say").compile()
    tasks = [PracticeTask(f"say the number {n}", key=f"n{n}") for n in range(1000)]
    report = practice(big, tasks, lambda **_: True, learner=learner, rollouts=1, concurrency=4)
    assert (report.rollouts, report.curve, report.epochs[0].runs) == (1000, [1.0], 1000)


async def test_a_cancelled_practice_keeps_what_was_done(open_learner, caplog):
    learner, reached = open_learner(), asyncio.Event()
    loop, seen = asyncio.get_running_loop(), []

    def slow(**given):
        seen.append(1)
        if len(seen) == 3:
            loop.call_soon_threadsafe(reached.set)
            time.sleep(0.2)
        return house_rule(**given)

    given = {"learner": learner, "rollouts": 2, "name": "cancelled", "concurrency": 1}
    task = asyncio.create_task(apractice(async_agent(), TASKS, slow, **given))
    await reached.wait()
    task.cancel()
    with caplog.at_level("WARNING"), pytest.raises(asyncio.CancelledError):
        await task
    assert len(learner.ledger.rollouts()) == 2
    told = practice_report("cancelled", learner=learner)
    assert (told.rollouts, told.interrupted, told.is_finished) == (2, True, False)
    (said,) = [r.getMessage() for r in caplog.records if "was cancelled" in r.getMessage()]
    assert "'cancelled' was cancelled; the same call goes on" in said
    assert "2 rollouts (0 failed)" in said
    report = await apractice(async_agent(), TASKS, house_rule, **given)
    assert (report.rollouts, report.is_finished) == (6, True)


def test_ctrl_c_under_asyncio_run_leaves_a_report(open_learner, caplog):
    learner, judged = open_learner(), []

    def interrupting(**given):
        judged.append(given)
        if len(judged) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.2)
        return house_rule(**given)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(apractice(async_agent(), TASKS, interrupting, learner=learner, rollouts=2, concurrency=1))
    (made,) = learner.ledger.practices()
    report = practice_report(made.name, learner=learner)
    assert (report.rollouts, report.interrupted, report.curve) == (2, True, [0.0])
    assert f"practice_report('{made.name}', learner=...)" in caplog.text
    assert "the same call goes on" not in caplog.text, "it has no name"
    assert learner.reflect().groups > 0


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_an_agent_that_is_cancelled_without_its_caller_is_a_failed_rollout(open_learner, concurrency):
    async def cancelled(given):
        if given["messages"][0][1] == "say B":
            raise asyncio.CancelledError
        return {"messages": [("ai", "done")]}

    learner = open_learner()
    given = {"learner": learner, "rollouts": 1, "concurrency": concurrency}
    report = await apractice(RunnableLambda(cancelled), ["say A", "say B", "say C"], lambda **_: 0.5, **given)
    assert (report.rollouts, report.failed, report.is_finished) == (3, 1, True)
    assert {r.episode.task: r.reward for r in learner.ledger.rollouts()} == {"say A": 0.5, "say B": 0.0, "say C": 0.5}


async def test_a_practice_cancelled_in_its_gate_leaves_the_group_to_itself(open_learner):
    learner, reached, loop = open_learner(), asyncio.Event(), asyncio.get_running_loop()
    given = {"learner": learner, "rollouts": 2, "name": "gated", "validation": VALIDATION}

    def slow(*, inputs, outputs, reference_outputs):
        if reference_outputs in {t.reference for t in VALIDATION}:
            loop.call_soon_threadsafe(reached.set)
            time.sleep(0.1)
        return house_rule(inputs=inputs, outputs=outputs, reference_outputs=reference_outputs)

    task = asyncio.create_task(apractice(async_agent(), TASKS, slow, **given))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert learner.lessons.list() == []
    report = await apractice(async_agent(), TASKS, house_rule, **given)
    assert report.lessons
    assert report.trials[0].best is not None


def test_ctrl_c_in_the_gate_is_taken_up_by_the_same_call(open_learner):
    learner, once = open_learner(), [True]

    def interrupting(*, inputs, outputs, reference_outputs):
        if once and reference_outputs in {t.reference for t in VALIDATION}:
            once.clear()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return house_rule(inputs=inputs, outputs=outputs, reference_outputs=reference_outputs)

    given = {"learner": learner, "rollouts": 2, "name": "gated", "validation": VALIDATION}
    first = practice(agent(), TASKS, interrupting, **given)
    assert (first.interrupted, first.rollouts, first.is_finished) == (True, 6, False)
    second = practice(agent(), TASKS, interrupting, **given)
    assert (second.interrupted, second.rollouts, second.is_finished) == (False, 6, True)
    assert second.lessons


def test_an_async_only_graph_is_told_to_practise_async(open_learner):
    with pytest.raises(InvalidInput, match="No synchronous function"):
        practice(async_agent(), TASKS, house_rule, learner=open_learner(), rollouts=1)


def test_on_postgresql_it_goes_on_as_well(open_learner, postgres_url):
    given = {"learner": open_learner(ledger=postgres_url), "rollouts": 2, "name": "mine", "control": 0.5, "validation": VALIDATION}
    first = practice(agent(), TASKS, house_rule, budget=Budget(calls=4), **given)
    report = practice(agent(), TASKS, house_rule, **given)
    assert (first.is_finished, report.is_finished, report.rollouts) == (False, True, 9)
    assert report.lessons
    assert given["learner"].ledger.verify() == []
