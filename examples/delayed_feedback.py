"""Tickets are judged days later, by people, in a process that has the ledger and nothing else: no model, no embeddings, no Chroma.

python examples/delayed_feedback.py [--model small|simulated|provider:name]
"""

import json
import random
import subprocess
import sys
from typing import Any

from example_model import ExampleModel, Measured, distinct, run
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import measure_uplift
from langchain_reflect.practising import PracticeTask, ReplayGate
from langchain_reflect.runs import Runner
from langchain_reflect.verifiers import exact_match

WEBHOOK = """
import json, sys
from langchain_reflect import Ledger

folder, ticket, event, feedback, corrected = sys.argv[1:]
with Ledger(folder) as ledger:
    (episode,) = ledger.episodes(metadata={"ticket": ticket})
    ledger.record_outcome(
        episode.id, reward=0.0, feedback=feedback, detail={"expected": corrected}, source="human:zendesk", key=event
    )
    print("webhook:      ", len(ledger.outcomes(episode.id)), "outcome of ticket", ticket)
"""
COMPLAINT = "Our payment system takes amounts as integers in cents, without a currency sign or point."


def refund(rng: random.Random) -> PracticeTask:
    """A ticket, and the amount that the payment system should have been given."""
    whole, rest = rng.randrange(1, 400), rng.choice((5, 25, 50, 75, 99))
    text = f"Refund ticket: the customer paid ${whole}.{rest:02d} too much. Answer with the amount for our payment system only."
    return PracticeTask(text, reference=str(whole * 100 + rest))


def webhook(folder: str, *event: str) -> None:
    """What the ticket system calls when somebody reopens a ticket; a process of its own."""
    print(subprocess.run([sys.executable, "-c", WEBHOOK, folder, *event], check=True, capture_output=True, text=True).stdout, end="")  # noqa: S603 - our own text


def main(folder: str, model: ExampleModel, seed: int = 0) -> Measured:
    """Answer tickets, hear of them later, reflect with a gate, measure on other tickets."""

    def answer(state: MessagesState, config: RunnableConfig) -> MessagesState:
        return {"messages": [model.ask([("system", "You are a precise assistant."), *state["messages"]], config)]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(name="support")
    tickets = distinct(refund, 17, seed)
    with model.learner(folder) as learner:
        agent = learner.wrap(graph, where="human")
        for number, ticket in enumerate(tickets[:3]):
            result = agent.invoke({"messages": [("user", ticket.inputs)]}, {"metadata": {"ticket": f"T-{number}"}})
            print("answer:       ", json.dumps(result["messages"][-1].text))
        learner.flush()

        for number, ticket in enumerate(tickets[:3]):
            for _ in range(2):  # webhooks come twice; what has the same key is kept once
                webhook(folder, f"T-{number}", f"event-{number}", COMPLAINT, ticket.reference)

        # Tickets of last year, whose right amounts are in the books: lessons are tried on them before they are believed.
        known = [PracticeTask.of(ticket) for ticket in tickets[3:9]]
        gate = ReplayGate(Runner(agent, exact_match, concurrency=1), known, family_of=lambda _: None, k=1, seed=seed)
        print("reflection:   ", learner.reflect(gate=gate))
        print("gate:         ", *gate.trials)
        for lesson in learner.lessons.list():
            print("lesson:       ", json.dumps(lesson.do))
        # One run at a time, so that the same prompt gets the same answer.
        same: dict[str, Any] = {"learner": learner, "seed": seed, "concurrency": 1}
        return {"tickets": measure_uplift(agent, tickets[9:], exact_match, leak="task", **same)}


if __name__ == "__main__":
    run(main)
