"""Check 124: a lesson-aware model shows lessons inside a wrapped run, exactly once, and is as it was everywhere else."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.agents.aware import lesson_aware
from langchain_reflect.agents.wrap import collect_episodes, reflected
from langchain_reflect.errors import InvalidInput
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel, form, single

MARK = "<lessons"


def counts(model: TellingModel) -> list[int]:
    return ["".join(str(m.content) for m in prompt).count(MARK) for prompt in model.prompts]


@pytest.fixture
def model():
    return TellingModel()


def prompting(model: Any, how: str = "invoke") -> Any:
    """A graph whose node makes its prompt from scratch, so that no view could reach it."""

    def solve(state: dict[str, str]) -> dict[str, str]:
        prompt = [SystemMessage("Be short."), HumanMessage(state["question"])]
        if how == "stream":
            return {"answer": "".join(str(chunk.content) for chunk in model.stream(prompt))}
        if how == "generate":
            return {"answer": model.generate([prompt]).generations[0][0].text}
        if how == "batch":
            return {"answer": model.batch([prompt])[0].content}
        return {"answer": model.invoke(prompt).content}

    async def asolve(state: dict[str, str]) -> dict[str, str]:
        prompt = [SystemMessage("Be short."), HumanMessage(state["question"])]
        if how == "stream":
            return {"answer": "".join([str(chunk.content) async for chunk in model.astream(prompt)])}
        if how == "generate":
            return {"answer": (await model.agenerate([prompt])).generations[0][0].text}
        if how == "batch":
            return {"answer": (await model.abatch([prompt]))[0].content}
        return {"answer": (await model.ainvoke(prompt)).content}

    from langchain_core.runnables import RunnableLambda

    return StateGraph(dict).add_node("solve", RunnableLambda(solve, asolve)).add_edge(START, "solve").compile(name="prompting")


@pytest.mark.parametrize("how", ["invoke", "stream", "generate", "batch"])
@pytest.mark.parametrize("asynchronously", [False, True])
async def test_124_every_way_to_call_it_shows_the_lessons_once(service, model, how, asynchronously):
    wrapped = reflected(prompting(lesson_aware(model), how), service, task=lambda s: s["question"])
    result = await wrapped.ainvoke({"question": "2+2?"}) if asynchronously else wrapped.invoke({"question": "2+2?"})
    assert result["answer"] == "first answer"
    [[system, question]] = model.prompts
    assert system.content.startswith("Be short.\n\n<lessons")
    assert question.content == "2+2?"


def test_124_outside_of_a_wrapped_run_it_is_as_it_was(model):
    aware = lesson_aware(model)
    assert prompting(aware).invoke({"question": "2+2?"})["answer"] == "first answer"
    assert "".join(str(c.content) for c in aware.stream("hello")) == "first answer"
    assert counts(model) == [0, 0]


def test_124_it_is_the_same_kind_of_model(model):
    aware = lesson_aware(model)
    assert isinstance(aware, TellingModel)
    assert type(model) is TellingModel
    assert type(aware).__name__ == "TellingModel"
    assert dumpd(lesson_aware(FakeListChatModel(responses=["a"]))) == dumpd(FakeListChatModel(responses=["a"]))
    assert aware.model_dump(exclude={"prompts"}) == model.model_dump(exclude={"prompts"})
    assert type(lesson_aware(aware)) is type(aware) is type(lesson_aware(TellingModel()))


def test_124_views_and_middleware_do_not_add_a_second_block(service, model):
    reflected(single(lesson_aware(model)), service).invoke(ASKED)
    assert counts(model) == [1]


def test_124_an_agent_with_an_aware_model(service):
    model = TellingModel(script=AGENT_SCRIPT)

    def weather(city: str) -> str:
        """Weather of a city."""
        return f"sunny in {city}"

    agent = create_agent(lesson_aware(model), [weather], system_prompt="You are terse.", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    wrapped = reflected(agent, service)
    wrapped.invoke(ASKED, config)
    assert counts(model) == [1, 1]
    assert all(prompt[0].content.startswith("You are terse.") for prompt in model.prompts)
    assert MARK not in repr(wrapped.get_state(config))


def test_124_in_front_of_the_question(service, model):
    wrapped = reflected(prompting(lesson_aware(model, where="human")), service, task=lambda s: s["question"])
    wrapped.invoke({"question": "2+2?"})
    [[system, question]] = model.prompts
    assert system.content == "Be short."
    assert question.content.endswith("2+2?")
    assert MARK in question.content


def test_124_the_innermost_episode_counts_and_is_marked_as_shown(service, model, ledger, recorder):
    child = reflected(single(lesson_aware(model)), service)
    outer = StateGraph(MessagesState).add_node("child", child).add_edge(START, "child").compile(name="outer")
    with collect_episodes() as episodes:
        reflected(outer, service).invoke(ASKED)
    recorder.flush()
    assert [bool(ledger.episode(e.id).shown) for e in episodes] == [False, True]


def test_124_traces_show_the_lessons_where_the_model_saw_them(service, model):
    collector = RunCollectorCallbackHandler()
    aware = lesson_aware(model)
    reflected(prompting(aware), service, task=lambda s: s["question"]).invoke({"question": "2+2?"}, {"callbacks": [collector]})
    [root] = collector.traced_runs
    called = root.child_runs[0].child_runs[0]
    while called.run_type not in ("llm", "chat_model"):
        called = called.child_runs[0]
    assert str(called.inputs).count(MARK) == 1


def test_124_bound_tools_and_structured_output_stay_aware(service):
    from pydantic import BaseModel

    class Answer(BaseModel):
        """An answer."""

        text: str

    model = TellingModel(script=AGENT_SCRIPT)
    bound = lesson_aware(model).bind_tools([Answer]).with_retry()
    wrapped = reflected(form(bound), service, task=lambda s: s["question"])
    wrapped.invoke({"question": "2+2?"})
    assert counts(model) == [1]


def test_124_what_is_no_chat_model_is_refused(model):
    with pytest.raises(InvalidInput, match=r"before \.bind_tools"):
        lesson_aware(model.bind(stop=["x"]))
    with pytest.raises(InvalidInput, match="where='below' is unknown"):
        lesson_aware(model, where="below")
