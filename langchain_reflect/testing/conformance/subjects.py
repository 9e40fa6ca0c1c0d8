"""Graphs to try, small and of every kind, and a model that answers alike whatever it is told and remembers its prompts."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Annotated, Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel, Field
from typing_extensions import TypedDict


class TellingModel(BaseChatModel):
    """Answers by a script, whatever it is told, and remembers every prompt that reached it.

    The answer is chosen by how many answers stand in the prompt already, so bare and wrapped runs get the same.
    """

    script: Sequence[AIMessage] = (AIMessage("first answer"), AIMessage("second answer"), AIMessage("third answer"))
    prompts: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "telling"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Itself; the script calls tools by name."""
        del tools, kwargs
        return self

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.prompts.append(list(messages))
        said = sum(isinstance(m, AIMessage) for m in messages)
        return self.script[said % len(self.script)].model_copy()

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        del stop, run_manager, kwargs
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        del stop, kwargs
        answer = self._answer(messages)
        calls = [{"name": c["name"], "args": str(c["args"]).replace("'", '"'), "id": c["id"], "index": 0} for c in answer.tool_calls]
        for word in re.findall(r"\S+\s*", str(answer.content)) or [""]:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word, tool_call_chunks=calls))
            calls = []
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk


@dataclass(frozen=True)
class Subject:
    """A graph to try: how it is made, what it is asked, and how it is wrapped if not by default."""

    name: str
    build: Callable[..., Any]
    """`build(model, **compile_options)`; a new graph each time."""
    given: Any
    options: Mapping[str, Any] | None = None


def single(model: BaseChatModel, **compiled: Any) -> Any:
    """One node that calls a model and writes to the custom stream."""

    def chat(state: MessagesState) -> dict[str, Any]:
        get_stream_writer()({"asked": 1})
        return {"messages": [model.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("chat", chat).add_edge(START, "chat").compile(name="single", **compiled)


def asynchronous(model: BaseChatModel, **compiled: Any) -> Any:
    """One coroutine node; for the async methods only."""

    async def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("chat", chat).add_edge(START, "chat").compile(name="asynchronous", **compiled)


def spoken(messages: Sequence[BaseMessage]) -> int:
    """Messages without those of the system: a node that sees lessons may see one more of those."""
    return sum(not isinstance(m, SystemMessage) for m in messages)


class CountingState(TypedDict):
    """Messages and a reducer that is not idempotent."""

    messages: Annotated[list[Any], add_messages]
    log: Annotated[list[str], add]


def counting(model: BaseChatModel, **compiled: Any) -> Any:
    """Two nodes, a system message in the prompt, and a list that grows with every write."""

    def chat(state: CountingState) -> dict[str, Any]:
        return {"messages": [model.invoke([SystemMessage("Be short."), *state["messages"]])], "log": ["chat"]}

    def note(state: CountingState) -> dict[str, Any]:
        return {"log": [f"{spoken(state['messages'])} messages"]}

    builder = StateGraph(CountingState).add_node("chat", chat).add_node("note", note)
    return builder.add_edge(START, "chat").add_edge("chat", "note").compile(name="counting", **compiled)


def sequence(model: BaseChatModel, **compiled: Any) -> Any:
    """A node that is a chain of prompt and model."""
    prompt = ChatPromptTemplate.from_messages([("system", "Be short."), ("placeholder", "{messages}")])
    chain: Runnable[Any, Any] = prompt | model | (lambda message: {"messages": [message]})
    return StateGraph(MessagesState).add_node("chain", chain).add_edge(START, "chain").compile(name="sequence", **compiled)


def nested(model: BaseChatModel, **compiled: Any) -> Any:
    """A graph whose node is a graph."""
    child = single(model)

    def end(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HumanMessage(f"{spoken(state['messages'])} so far")]}

    builder = StateGraph(MessagesState).add_node("child", child).add_node("end", end)
    return builder.add_edge(START, "child").add_edge("child", "end").compile(name="nested", **compiled)


class ModelState(BaseModel):
    """A Pydantic state."""

    messages: Annotated[list[Any], add_messages] = Field(default_factory=list)
    mood: str = "calm"


def pydantic_state(model: BaseChatModel, **compiled: Any) -> Any:
    """A graph over a Pydantic state."""

    def chat(state: ModelState) -> dict[str, Any]:
        return {"messages": [model.invoke(state.messages)], "mood": "glad"}

    return StateGraph(ModelState).add_node("chat", chat).add_edge(START, "chat").compile(name="pydantic", **compiled)


@dataclass
class DataState:
    """A dataclass state."""

    messages: Annotated[list[Any], add_messages]
    mood: str = "calm"


def dataclass_state(model: BaseChatModel, **compiled: Any) -> Any:
    """A graph over a dataclass."""

    def chat(state: DataState) -> dict[str, Any]:
        return {"messages": [model.invoke(state.messages)], "mood": "glad"}

    return StateGraph(DataState).add_node("chat", chat).add_edge(START, "chat").compile(name="dataclass", **compiled)


class FormState(TypedDict, total=False):
    """A state without messages."""

    question: str
    hints: str
    answer: str


def form(model: BaseChatModel, **compiled: Any) -> Any:
    """A graph without messages, which gets its lessons by `inject=`."""

    def solve(state: FormState) -> dict[str, Any]:
        return {"answer": str(model.invoke(f"{state.get('hints', '')}\n{state['question']}").content)}

    return StateGraph(FormState).add_node("solve", solve).add_edge(START, "solve").compile(name="form", **compiled)


def functional(model: BaseChatModel, **compiled: Any) -> Any:
    """An `@entrypoint` over a list of messages."""

    @entrypoint(**compiled)
    def talk(messages: list[Any]) -> list[Any]:
        get_stream_writer()({"asked": 1})
        return [*messages, model.invoke(messages)]

    return talk


def agent(model: BaseChatModel, **compiled: Any) -> Any:
    """`create_agent` with a tool; the model's script should call `weather`."""
    from langchain.agents import create_agent

    def weather(city: str) -> str:
        """Weather of a city."""
        return f"sunny in {city}"

    return create_agent(model, [weather], system_prompt="You are terse.", name="agent", **compiled)


AGENT_SCRIPT: Final = (
    AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "call-1", "type": "tool_call"}]),
    AIMessage("sunny it is"),
    AIMessage("as I said"),
)
ASKED: Final = {"messages": [("user", "How is the weather in Rome?")]}

SUBJECTS: Final = (
    Subject("single", single, ASKED),
    Subject("counting", counting, ASKED | {"log": ["in"]}),
    Subject("sequence", sequence, ASKED),
    Subject("nested", nested, ASKED),
    Subject("pydantic", pydantic_state, ASKED),
    Subject("dataclass", dataclass_state, ASKED),
    Subject("form", form, {"question": "2+2?"}, {"task": lambda s: s["question"], "inject": lambda s, text: {**s, "hints": text}}),
    Subject("functional", functional, [HumanMessage("How is the weather in Rome?")]),
    Subject("agent", agent, ASKED),
)


def model_for(subject: Subject) -> TellingModel:
    """A model whose script fits a subject."""
    return TellingModel(script=AGENT_SCRIPT) if subject.build is agent else TellingModel()
