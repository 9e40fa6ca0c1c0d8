"""Bring your own prompts, grouping and curator: each is one argument of the learner.

Runs offline: the model is simulated, so nothing here says how much a real one gains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.reflection import CurateAnswer, Neighbour, Prompts, ReflectionPolicy
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import LessonDraft, Rollout, RolloutGroup

model = SimulatedModel(slip=0.0)

# Prompts: change what you like, and name your version; version and hash are kept with every reflection.
prompts = replace(
    Prompts(),
    contrast_system=Prompts().contrast_system + "\nThe agent works for an accountant: a lesson never mentions a client.",
    version="accounting-1",
)


def by_desk(rollouts: Iterable[Rollout], *, vectors: Any, policy: ReflectionPolicy, now: datetime) -> Sequence[RolloutGroup]:
    """Grouping: all that one desk got back with a complaint is one group, whatever the single tasks were."""
    del vectors, policy, now
    desks: dict[str, list[Rollout]] = {}
    for rollout in sorted(rollouts, key=lambda r: r.episode.started_at):
        desks.setdefault(str(rollout.episode.metadata.get("desk")), []).append(rollout)
    return [group(desk, members) for desk, members in desks.items() if any(r.feedback for r in members)]


def group(desk: str, members: Sequence[Rollout]) -> RolloutGroup:
    """Whatever identifies the group is its key."""
    first = members[0].episode
    return RolloutGroup(
        key=f"desk:{desk}", namespace=first.namespace, graph=first.graph, task=first.task, rollouts=tuple(members), reason="feedback"
    )


def curator(draft: LessonDraft, near: Sequence[Neighbour]) -> CurateAnswer:
    """Curator: no model decides, the nearest lesson is taken for the same from a certain cosine on."""
    best = max(near, key=lambda n: n.cosine)
    print(f"curator:       {draft.do!r} is near to {best.text.do!r} ({best.cosine:.2f})")
    return CurateAnswer(action="MERGE", ids=[best.name], reason="near enough") if best.cosine >= CLOSE else CurateAnswer(action="ADD")


def call_model(state: MessagesState) -> MessagesState:
    """The only node of the graph."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile(name="clerk")
CLOSE = 0.85
ASKED = [
    ("invoices", "Convert the price $12.50 to the form our API takes.", "Amounts are integers in cents without a currency sign or point."),
    ("billing", "Convert the price $7.99 to the form our API takes.", "Amounts are whole cents without a currency sign or point."),
    ("archive", "Rewrite this date the way our database stores it: March 4, 2024.", "Dates are stored as YYYY-MM-DD."),
]


def main(folder: str) -> None:
    """Three complaints from three desks; two of them say the same."""
    options: dict[str, Any] = {"reflect": "manual", "holdout": 0.0, "withhold": 0.0}
    with Learner(folder, model=model, prompts=prompts, grouping=by_desk, curator=curator, **options) as learner:
        agent = learner.wrap(graph)
        for number, (desk, asked, complaint) in enumerate(ASKED):
            run_id = f"00000000-0000-4000-8000-00000000000{number}"
            agent.invoke({"messages": [HumanMessage(asked)]}, {"run_id": UUID(run_id), "metadata": {"desk": desk}})
            learner.record_outcome(run_id, reward=0.0, feedback=complaint)
        report = learner.reflect()
        print("reflection:   ", report)
        kept: Any = learner.ledger.reflection_replies(report.id)
        print("prompts:      ", kept["prompts"]["version"])
        for lesson in learner.lessons.list():
            print("lesson:       ", lesson.do, f"({len(lesson.evidence)} episodes)")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
