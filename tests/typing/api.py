"""What type checkers know of the public API; read by mypy and pyright, run by nobody."""

from collections.abc import Sequence
from typing import Any, assert_type
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from langgraph.graph import MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from langchain_reflect import Episode, Learner, Ledger, Lesson, Outcome, collect_episodes, measure_uplift, practice


class State(TypedDict):
    """A state."""

    question: str


class Context(TypedDict):
    """A context."""

    user: str


class Input(TypedDict):
    """An input."""

    question: str


class Output(TypedDict):
    """An output."""

    answer: str


def wrap_keeps_the_type(
    learner: Learner,
    graph: CompiledStateGraph[State, Context, Input, Output],
    chain: Runnable[str, int],
    model: ChatOpenAI,
) -> None:
    """State, context, input and output of a graph, input and output of a chain, the class of a model."""
    wrapped = learner.wrap(graph, k=1, where="human")
    assert_type(wrapped, CompiledStateGraph[State, Context, Input, Output])
    wrapped.invoke({"question": "2+2?"}, context={"user": "u"})
    assert_type(learner.wrap(chain), Runnable[str, int])
    assert_type(learner.wrap(chain).invoke("x"), int)
    assert_type(learner.lesson_aware(model), ChatOpenAI)
    built = StateGraph(MessagesState).compile()
    assert_type(learner.wrap(built), CompiledStateGraph[MessagesState, None, MessagesState, MessagesState])


def the_nouns(learner: Learner, run_id: UUID) -> None:
    """What methods return."""
    assert_type(learner.record_outcome(run_id, reward=1.0, feedback="good"), Outcome)
    assert_type(learner.recall("task").lessons, tuple[Lesson, ...])
    assert_type(learner.lessons.add(when="asked", do="answer"), Lesson)
    assert_type(Ledger("x").episode(run_id), Episode)
    with collect_episodes() as episodes:
        assert_type(episodes[0].id, UUID)
    assert_type(learner.model, BaseChatModel)
    _ = learner.reflect().applied


async def offline(learner: Learner, graph: CompiledStateGraph[Any, Any, Any, Any], messages: Sequence[BaseMessage]) -> None:
    """Practice and measurement take what they say they take."""

    def verify(*, outputs: Any, **_: Any) -> bool:
        return bool(outputs)

    _ = practice(graph, ["task"], verify, learner=learner, rollouts=2)
    _ = measure_uplift(graph, ["task"], verify, learner=learner), messages
    assert_type(await learner.arecord_outcome("id", reward=True), Outcome)


def mistakes(learner: Learner, graph: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Wrong calls are found; an ignore that is not needed is an error itself."""
    learner.wrap(graph, where="below")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    learner.wrap(graph, kk=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    learner.wrap("graph")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    learner.record_outcome("id", score=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
