"""The learner closes the loop: run, outcome, reflection, lesson, next run."""

import asyncio
import json
import logging
import re
import subprocess
import sys
import threading
import time
from uuid import uuid4

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import BlockTemplate, Learner, Ledger, ReflectError
from langchain_reflect.errors import InvalidInput, LedgerError, MissingExtra, ModelMissing
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.reflection.background import BackgroundReflection
from langchain_reflect.settings import ReflectSettings
from langchain_reflect.types import Lesson, ReflectionReport, Revision
from langchain_reflect.worker import Worker
from tests.unit_tests.words import Words

LESSON = {"title": "", "when": "a flight is to be moved", "do": "look up the fare class first", "when_not": "", "why": "", "cites": ["R1"]}
NEVER = {"holdout": 0.0, "withhold": 0.0, "floor": 0.0}


def reflector(*answers):
    return FakeListChatModel(responses=[json.dumps({"lessons": list(answers)})] * 50)


def a_graph(seen: list[list[BaseMessage]]):
    def agent(state: MessagesState):
        seen.append(state["messages"])
        return {"messages": [AIMessage("done")]}

    return StateGraph(MessagesState).add_node("agent", agent).add_edge(START, "agent").compile(name="flights")


@pytest.fixture
def open_learner(tmp_path):
    opened = []

    def open_(**given):
        learner = Learner(**({"path": tmp_path, "embeddings": Words(), "index": ExactIndex(), "reflect": "manual"} | NEVER | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()


def ask(agent, text="please move my flight", **config):
    return agent.invoke({"messages": [("user", text)]}, config)


def test_an_outcome_becomes_a_lesson_that_the_next_run_sees(open_learner):
    seen: list[list[BaseMessage]] = []
    learner = open_learner(model=reflector(LESSON))
    agent = learner.wrap(a_graph(seen))
    run_id = uuid4()
    ask(agent, run_id=run_id)
    learner.record_outcome(run_id, reward=0.0, feedback="The fare class forbids it.")
    report = learner.reflect()
    assert (report.groups, len(report.applied)) == (1, 1)
    ask(agent)
    assert "look up the fare class first" in seen[-1][0].text
    learner.flush()
    second = learner.ledger.episodes()[0]
    assert second.shown == (report.applied[0].lesson_id,)
    assert learner.lessons.show(second.shown[0]).evidence == (run_id,)


@pytest.fixture
def warmed(monkeypatch):
    """Texts for which recall was prepared."""
    seen, recall = [], Recaller.recall

    def noted(self, task, **given):
        seen.append(task)
        return recall(self, task, **given)

    monkeypatch.setattr(Recaller, "recall", noted)
    return seen


def learned_by(learner, who):
    if who == "a person":
        return learner.lessons.add(when="a flight is to be moved", do="look up the fare class first", status="active")
    run = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run)
    learner.record_outcome(run, reward=0.0, feedback="Look up the fare class first.")
    if who == "a worker":
        return Worker(learner).run(until_idle=True)
    return learner.reflect()


@pytest.mark.parametrize("who", ["a person", "a worker", "reflect"])
def test_the_first_lessons_prepare_recall_once_whoever_wrote_them(open_learner, warmed, who):
    learner = open_learner(model=reflector(LESSON))
    learner.wrap(a_graph([]))
    assert warmed == []
    learned_by(learner, who)
    assert learner.lessons.list()
    assert warmed.count("warm-up") == 1
    learner.lessons.add(when="bake bread", do="use yeast")
    assert warmed.count("warm-up") == 1


def test_a_process_without_agents_prepares_no_recall(open_learner, warmed):
    open_learner().lessons.add(when="bake bread", do="use yeast", status="active")
    assert warmed == []


def test_reflecting_again_finds_nothing_due(open_learner):
    learner = open_learner(model=reflector(LESSON))
    agent = learner.wrap(a_graph([]))
    run_id = uuid4()
    ask(agent, run_id=run_id)
    learner.record_outcome(run_id, feedback="The fare class forbids it.")
    assert len(learner.reflect().applied) == 1
    assert learner.reflect().groups == 0


def test_with_a_model_outcomes_start_reflection_by_themselves(open_learner):
    learner = open_learner(model=reflector(LESSON), reflect="background")
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.record_outcome(run_id, feedback="The fare class forbids it.")
    assert learner.flush(30)
    assert [lesson.do for lesson in learner.lessons.list()] == [LESSON["do"]]


def test_background_and_explicit_reflection_never_take_a_group_twice(open_learner):
    learner = open_learner(model=reflector(LESSON), reflect="background")
    agent = learner.wrap(a_graph([]))
    for _ in range(3):
        run_id = uuid4()
        ask(agent, run_id=run_id)
        learner.record_outcome(run_id, feedback="The fare class forbids it.")
    learner.reflect()
    learner.flush(30)
    assert len(learner.lessons.list()) == 1


def test_inline_reflection_is_done_when_the_outcome_returns(open_learner):
    learner = open_learner(model=reflector(LESSON), reflect="inline")
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.record_outcome(run_id, feedback="The fare class forbids it.")
    assert len(learner.lessons.list()) == 1


def test_a_verifier_judges_each_run_as_it_ends(open_learner):
    learner = open_learner(verifier=lambda *, inputs, outputs, **_: {"key": "len", "score": 0.25, "comment": "too short"})
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.flush()
    (outcome,) = learner.ledger.outcomes(run_id)
    assert (outcome.reward, outcome.feedback, outcome.source) == (0.25, "too short", "verifier")


async def test_the_loop_closes_under_asyncio(open_learner):
    seen: list[list[BaseMessage]] = []
    learner = open_learner(model=reflector(LESSON))
    agent = learner.wrap(a_graph(seen))
    ids = [uuid4() for _ in range(4)]
    await asyncio.gather(*(agent.ainvoke({"messages": [("user", "please move my flight")]}, {"run_id": i}) for i in ids))
    await asyncio.gather(*(learner.arecord_outcome(i, reward=0.0, feedback="The fare class forbids it.") for i in ids))
    assert len((await learner.areflect()).applied) == 1
    assert (await learner.arecall("please move my flight")).lessons[0].do == LESSON["do"]
    await agent.ainvoke({"messages": [("user", "please move my flight")]})
    assert "fare class" in seen[-1][0].text


def test_another_process_records_the_outcome_with_the_ledger_alone(open_learner, tmp_path):
    learner = open_learner(model=reflector(LESSON))
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.flush()
    code = f"from langchain_reflect import Ledger; Ledger({str(tmp_path)!r}).record_outcome({str(run_id)!r}, feedback='It is forbidden.')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(learner.reflect().applied) == 1


def test_logged_runs_are_imported_once(open_learner):
    learner = open_learner(model=reflector(LESSON))
    rows = [
        {"id": n, "messages": [{"role": "user", "content": "move my flight"}, {"role": "assistant", "content": "ok"}], "reward": n % 2}
        for n in range(4)
    ]
    assert learner.import_episodes(rows) == 4
    assert learner.import_episodes(rows) == 4
    assert learner.ledger.counts()["episodes"] == 4
    assert learner.reflect().groups == 1


def test_a_bad_row_is_named_by_its_number(open_learner):
    with pytest.raises(InvalidInput, match="2"):
        open_learner().import_episodes([{"messages": [{"role": "user", "content": "hi"}]}, {"messages": 7}])


def test_a_graph_without_messages_and_without_task_runs_unharmed_and_says_the_way_out(open_learner, caplog):
    class State(MessagesState):
        question: str
        answer: str

    graph = StateGraph(State).add_node("a", lambda state: {"answer": state["question"] * 2}).add_edge(START, "a").compile()
    agent = open_learner().wrap(graph)
    with caplog.at_level(logging.WARNING):
        assert agent.invoke({"question": "ab"})["answer"] == "abab"
    assert "task=" in caplog.text


def test_without_a_model_reflection_says_how_to_set_one(open_learner):
    with pytest.raises(ModelMissing, match="REFLECT_MODEL"):
        open_learner().reflect()


@pytest.mark.parametrize("model", ["gpt-5", "nobody:gpt-5", "openai:"])
def test_a_model_that_cannot_be_meant_is_refused_by_name(open_learner, model):
    with pytest.raises((InvalidInput, MissingExtra), match=model):
        open_learner(model=model).reflect()


def test_settings_out_of_range_name_value_and_place(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match=r"holdout=1\.5"):
        Learner(tmp_path, holdout=1.5)
    monkeypatch.setenv("REFLECT_K", "many")
    with pytest.raises(InvalidInput, match="k='many'"):
        Learner(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"modell": "openai:gpt-5.5"}, "Learner has no option 'modell'; did you mean 'model'?"),
        ({"holdot": 0.0}, "Learner has no option 'holdot'; did you mean 'holdout'?"),
        ({"namespce": "x"}, "Learner has no option 'namespce'; did you mean 'namespace'?"),
        ({"ledger_url": "sqlite://"}, "Learner has no option 'ledger_url'; did you mean 'ledger'?"),
        ({"zzz": None}, "Learner has no option 'zzz'; expected block, curator, "),
    ],
)
def test_a_misspelt_option_is_refused_before_anything_is_made(tmp_path, wrong, says):
    with pytest.raises(InvalidInput, match=re.escape(says)):
        Learner(tmp_path / "m", **wrong)
    with pytest.raises(InvalidInput, match=re.escape(says)):
        Learner.from_settings(ReflectSettings(path=tmp_path / "m"), **wrong)
    assert not (tmp_path / "m").exists()


def test_a_misspelt_setting_is_refused_and_an_unknown_variable_is_not(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="holdot"):
        ReflectSettings(holdot=0.0)
    monkeypatch.setenv("REFLECT_HOLDOT", "0.0")
    with Learner(tmp_path) as learner:
        assert learner.settings.holdout == 0.1


@pytest.mark.parametrize("way", ["wrap", "middleware", "search_tool", "retrieve_node", "record_node"])
def test_every_way_into_an_agent_refuses_a_misspelt_option(open_learner, way):
    given = [a_graph([])] if way == "wrap" else []
    with pytest.raises(InvalidInput, match=f"{way} has no option 'floorr'; did you mean 'floor'. Expected"):
        getattr(open_learner(), way)(*given, floorr=1)


def test_a_misspelt_argument_of_wrap_is_told_from_its_own_ones(open_learner):
    with pytest.raises(InvalidInput, match="wrap has no option 'verifyer'; did you mean 'verifier'"):
        open_learner().wrap(a_graph([]), verifyer=print)


def test_consolidate_refuses_a_misspelt_option(open_learner):
    with pytest.raises(InvalidInput, match="consolidate has no option 'dryrun'; did you mean 'dry_run'"):
        open_learner(model=reflector()).consolidate(dryrun=True)


def test_an_argument_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REFLECT_K", "3")
    monkeypatch.setenv("REFLECT_NAMESPACE", "acme/support")
    with Learner(tmp_path) as learner:
        assert (learner.settings.k, learner.settings.namespace) == (3, ("acme", "support"))
    with Learner.from_settings(ReflectSettings(path=tmp_path), k=1) as learner:
        assert learner.settings.k == 1


def test_a_folder_that_is_not_writable_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(LedgerError, match="taken"):
        Learner(tmp_path / "taken" / "below")


def test_a_broken_embedder_leaves_the_run_unharmed(open_learner, caplog):
    class Broken(Words):
        def embed_query(self, text):
            raise OSError("no model")

    learner = open_learner()
    learner.lessons.add(when="please move my flight", do="ask")
    broken = open_learner(embeddings=Broken(), index=ExactIndex())
    with caplog.at_level(logging.WARNING):
        assert ask(broken.wrap(a_graph([])))["messages"][-1].content == "done"
    assert "no model" in caplog.text


def test_a_changed_embedder_is_an_error_for_people_and_a_warning_for_runs(open_learner, caplog):
    open_learner().lessons.add(when="please move my flight", do="ask")
    changed = open_learner(embeddings=Words(shift=1), index=ExactIndex())
    with caplog.at_level(logging.WARNING):
        assert ask(changed.wrap(a_graph([])))["messages"][-1].content == "done"
    with pytest.raises(ReflectError, match="reflect reindex"):
        changed.recall("please move my flight")
    changed.lessons.reindex()
    assert changed.recall("please move my flight").lessons


def test_an_invalid_reply_changes_nothing_and_is_reported(open_learner):
    learner = open_learner(model=FakeListChatModel(responses=["I would rather talk about the weather."]))
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.record_outcome(run_id, reward=0.0)
    for _ in range(2):
        other = uuid4()
        ask(learner.wrap(a_graph([])), run_id=other)
        learner.record_outcome(other, reward=1.0)
    report = learner.reflect()
    assert report.errors
    assert learner.lessons.list() == []


def test_closing_waits_for_the_last_episode(tmp_path):
    with Learner(tmp_path, embeddings=Words(), index=ExactIndex()) as learner:
        ask(learner.wrap(a_graph([])))
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["episodes"] == 1


def test_background_reflection_works_off_what_comes_together_and_survives_errors(caplog, monkeypatch):
    monkeypatch.setattr("langchain_reflect.reflection.background._FIRST_WAIT", 0.05)
    calls = []

    def reflect():
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise RuntimeError("model is down")
        return ReflectionReport(id="R-1")

    background = BackgroundReflection(reflect, pause=0.05)
    for _ in range(5):
        background.poke()
    assert not background.flush(10), "something waits for another try"
    background.poke()
    assert background.close(10)
    background.poke()
    assert len(calls) == 2
    assert "stay due" in caplog.text


AT_EXIT = """
import json, sys
from uuid import uuid4
from langchain_core.language_models import FakeListChatModel
from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from tests.unit_tests.words import Words
reply = json.dumps({"lessons": [{"when": "a flight is to be moved", "do": "look up the fare class", "cites": ["R1"]}]})
learner = Learner(sys.argv[1], model=FakeListChatModel(responses=[reply]), embeddings=Words(), index=ExactIndex())
learner.import_episodes([{"id": 1, "messages": [{"role": "user", "content": "move my flight"}]}])
learner.record_outcome(learner.ledger.episodes()[0].id, feedback="The fare class forbids it.")
"""


def test_the_end_of_the_process_waits_for_reflection(tmp_path):
    subprocess.run([sys.executable, "-c", AT_EXIT, str(tmp_path)], check=True, timeout=120)
    with Ledger(tmp_path) as ledger:
        assert len(ledger.lessons()) == 1


def test_rows_before_a_bad_one_are_kept(open_learner):
    learner = open_learner()
    rows = [{"id": n, "messages": [{"role": "user", "content": "hi"}]} for n in range(5)]
    with pytest.raises(InvalidInput, match="6"):
        learner.import_episodes([*rows, {"messages": 7}])
    assert learner.ledger.counts()["episodes"] == 5


def test_feedback_is_stored_without_secrets_also_by_the_ledger_alone(open_learner, tmp_path):
    key = "sk-proj-" + "a1B2" * 8
    learner = open_learner(verifier=lambda *, inputs, outputs: (0.0, f"it used {key}"))
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.flush()
    with Ledger(tmp_path) as ledger:
        ledger.record_outcome(run_id, feedback=f"never print {key}", detail={"seen": [key]})
        kept = ledger.outcomes(run_id)
    assert len(kept) == 2
    assert not any(key in outcome.model_dump_json() for outcome in kept)


def test_a_lesson_written_by_hand_is_for_the_learners_own_namespace(open_learner):
    learner = open_learner(namespace=("acme",))
    lesson = learner.lessons.add(when="please move my flight", do="ask")
    assert lesson.namespace == ("acme",)
    assert learner.recall("please move my flight").lessons == (lesson,)


def test_half_a_letter_in_a_lesson_keeps_no_lesson_from_being_found(open_learner, tmp_path):
    learner = open_learner()
    learner.lessons.add(when="please move my \ud83d flight", do="ask", tasks=["move my \ud83d flight"])
    learner.lessons.export(tmp_path / "lessons.jsonl")
    broken = Lesson(id="L-broken", namespace=("default",), when="somebody wants to fly", do="ask \ud83d")
    learner.ledger.append_revisions([Revision(lesson=broken, kind="add", actor="import")])
    assert len(learner.recall("please move my flight").matches) == 2


def test_one_namespace_can_be_warmed_up(open_learner):
    learner = open_learner(namespace=("acme",))
    for space in (("acme",), ("other",)):
        learner.lessons.add(when="please move my flight", do="ask", namespace=space)
    learner.warm_up(namespace=("other",))
    assert ("other",) in learner.lessons._finder._memory._held
    assert ("acme",) not in learner.lessons._finder._memory._held
    with pytest.raises(InvalidInput, match="namespace"):
        learner.warm_up(namespace="acme")


def test_a_placeholder_that_nothing_fills_is_named(open_learner):
    learner = open_learner(namespace=("acme", "{tenant}"))
    for act in (lambda: learner.recall("hi"), lambda: learner.import_episodes([]), lambda: learner.lessons.add(when="a", do="b")):
        with pytest.raises(InvalidInput, match="tenant"):
            act()


def test_held_reflection_takes_up_afterwards_what_came_in(open_learner):
    learner = open_learner(model=reflector(LESSON), reflect="background")
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    with learner.hold_reflection():
        learner.record_outcome(run_id, feedback="The fare class forbids it.")
        time.sleep(0.4)
        assert learner.lessons.list() == []
    assert learner.flush(30)
    assert len(learner.lessons.list()) == 1


def test_closing_does_not_wait_for_a_model_that_hangs(open_learner, caplog):
    release = threading.Event()

    class Stuck(FakeListChatModel):
        def _call(self, *args, **kwargs):
            release.wait(30)
            return super()._call(*args, **kwargs)

    learner = open_learner(model=Stuck(responses=[json.dumps({"lessons": [LESSON]})]), reflect="background")
    run_id = uuid4()
    ask(learner.wrap(a_graph([])), run_id=run_id)
    learner.record_outcome(run_id, feedback="The fare class forbids it.")
    started = time.monotonic()
    learner.close(timeout=1.0)
    assert time.monotonic() - started < 10
    assert "stay due" in caplog.text
    release.set()


def test_an_import_starts_reflection_like_any_outcome(open_learner):
    learner = open_learner(model=reflector(LESSON), reflect="background")
    learner.import_episodes([{"id": 1, "messages": [{"role": "user", "content": "move my flight"}], "feedback": "The fare forbids it."}])
    assert learner.flush(30)
    assert len(learner.lessons.list()) == 1


async def test_an_explanation_agrees_with_recall_and_says_what_is_paused(open_learner):
    learner = open_learner(**NEVER)
    learner.lessons.add(when="a flight is to be moved", do="look up the fare class first")
    found = learner.recall("move my flight", explain=True)
    assert (found.block, found.paused) == (learner.recall("move my flight").block, "")
    assert found == await learner.arecall("move my flight", explain=True)
    learner.pause(reason="they hurt", by="dana")
    assert "they hurt" in learner.recall("move my flight", explain=True).paused


def test_the_form_of_the_block_is_the_learners_or_the_graphs_and_no_record_has_it(open_learner):
    seen = []
    learner = open_learner(**NEVER, block=BlockTemplate(name="hints"))
    learner.lessons.add(when="a flight is to be moved", do="look up the fare class first")
    for graph in (learner.wrap(a_graph(seen)), learner.wrap(a_graph(seen), block=BlockTemplate(name="notes"), where="human")):
        ask(graph)
    learner.flush()
    said = ["\n".join(message.text for message in messages) for messages in seen]
    assert [('<hints id="reflect-' in text, '<notes id="reflect-' in text) for text in said] == [(True, False), (False, True)]
    for episode in learner.ledger.episodes():
        assert len(episode.shown) == 1
        assert "fare class" not in episode.model_dump_json()
