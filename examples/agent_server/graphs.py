"""What the server serves: an assistant that learns, one that asks first, and the reflection that turns outcomes into lessons.

Ledger and index live in the folder `REFLECT_PATH`. Anything that knows a run's id may judge it, from any process:
`reflect --path FOLDER outcome RUN_ID --reward 0 --feedback "..."`.
"""

import asyncio
import os
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langchain_reflect import Learner
from langchain_reflect.testing.simulated import SimulatedModel

model = SimulatedModel(slip=0.0)  # runs offline; yours is, for example, init_chat_model("openai:gpt-5.5")
# Time for the first recall, which loads the embedder; outcomes come from elsewhere, so reflection runs when it is asked for.
learner = Learner(os.environ.get("REFLECT_PATH", ".reflect"), model=model, holdout=0.0, withhold=0.0, deadline=10.0, reflect="manual")


async def answer(state: MessagesState) -> dict[str, Any]:
    """Ask the model; the node knows nothing of lessons."""
    asked = str(state["messages"][-1].content)
    if asked == "fail":
        raise ConnectionError("no network")
    if asked == "wait":
        await asyncio.sleep(60)
    return {"messages": [await model.ainvoke(state["messages"])]}


def ask(state: MessagesState) -> dict[str, Any]:
    """Let a person confirm the answer."""
    confirmed = interrupt({"confirm": state["messages"][-1].content})
    return {"messages": [AIMessage(f"confirmed: {confirmed}")]}


assistant = learner.wrap(StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(name="assistant"))
"""A graph as a variable."""


async def make_careful(config: RunnableConfig) -> Any:
    """A graph from a factory, which the server calls for every run."""
    del config
    builder = StateGraph(MessagesState).add_node("answer", answer).add_node("ask", ask)
    return learner.wrap(builder.add_edge(START, "answer").add_edge("answer", "ask").compile(name="careful"))


def sweep(state: dict[str, Any]) -> dict[str, Any]:
    """Mark the episodes of runs that were killed."""
    del state
    return {"abandoned": learner.ledger.sweep()}


def make_sweep() -> Any:
    """For a cron of the server, once an hour."""
    return StateGraph(dict).add_node("sweep", sweep).add_edge(START, "sweep").compile(name="sweep")


def make_reflection() -> Any:
    """Reflection as a graph of the server: run it by hand, from a cron, or after outcomes came in."""
    return learner.reflection_graph()
