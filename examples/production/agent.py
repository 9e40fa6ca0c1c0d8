"""The agent process: answers tasks, with the lessons there are, and leaves an episode of each run in the ledger.

It takes a line of JSON with tasks from standard input and answers with one, as it would from a queue. It is told nothing about rewards.
"""

import json
import signal
import sys
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from model import chat_model

from langchain_reflect import Learner

model = chat_model()


def answer(state: MessagesState) -> MessagesState:
    """The only node of the graph; it knows nothing of lessons."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(name="desk")


def config(task: dict[str, str]) -> RunnableConfig:
    """Who gave the run its id can judge it later."""
    return {"run_id": UUID(task["id"]), "metadata": {"ticket": task["ticket"]}, "max_concurrency": 4}


def main() -> None:
    """Answer until the input ends or SIGTERM comes; either way what was recorded is written before the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # The curve is to show what lessons do, so every run gets them, and recall may take its time on a busy machine.
    # In production keep the defaults: some runs without lessons, so that uplift can be measured, and at most 0.3 s of delay.
    with Learner(reflect="manual", holdout=0.0, withhold=0.0, deadline=10.0) as learner:
        desk = learner.wrap(graph)
        learner.warm_up()
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            tasks = json.loads(line)
            ended = desk.batch([{"messages": [("user", task["text"])]} for task in tasks], [config(task) for task in tasks])
            print(json.dumps({task["id"]: state["messages"][-1].text for task, state in zip(tasks, ended, strict=True)}), flush=True)


if __name__ == "__main__":
    main()
