"""An outcome comes days later, from a process that has the ledger and nothing else: no model, no embeddings, no Chroma.

Runs offline: the model is simulated, so nothing here says how much a real one gains.
"""

import subprocess
import sys
from tempfile import TemporaryDirectory

from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.testing.simulated import SimulatedModel

WEBHOOK = """
import sys
from langchain_reflect import Ledger

folder, ticket, event, feedback = sys.argv[1:]
with Ledger(folder) as ledger:
    (episode,) = ledger.episodes(metadata={"ticket": ticket})
    ledger.record_outcome(episode.id, reward=0.0, feedback=feedback, source="zendesk", key=event)
    print("webhook:      ", len(ledger.outcomes(episode.id)), "outcome of ticket", ticket)
"""

model = SimulatedModel(slip=0.0)


def call_model(state: MessagesState) -> MessagesState:
    """The only node of the graph."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile(name="support")


def webhook(folder: str, *event: str) -> None:
    """What the ticket system calls; a process of its own."""
    subprocess.run([sys.executable, "-c", WEBHOOK, folder, *event], check=True)  # noqa: S603 - our own text


def main(folder: str) -> None:
    """Run with a ticket number, hear of the ticket later, reflect."""
    with Learner(folder, model=model, reflect="manual", holdout=0.0, withhold=0.0) as learner:
        agent = learner.wrap(graph)
        asked = "Rewrite this date the way our database stores it: March 4, 2024."
        result = agent.invoke({"messages": [("user", asked)]}, {"metadata": {"ticket": "T-1042"}})
        print("first answer: ", result["messages"][-1].text)
        learner.flush()

        webhook(folder, "T-1042", "event-7", "Dates are stored as YYYY-MM-DD with a two-digit month and day.")
        webhook(folder, "T-1042", "event-7", "Dates are stored as YYYY-MM-DD with a two-digit month and day.")  # sent twice, kept once

        print("reflection:   ", learner.reflect())
        result = agent.invoke({"messages": [("user", "Rewrite this date the way our database stores it: July 19, 2025.")]})
        print("second answer:", result["messages"][-1].text)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
