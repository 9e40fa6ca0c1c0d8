"""The self-reinforcement loop: lessons are shown, the agent quotes them, a reflection finds them in what the agent said, and so on.

Whatever a store learns in this way it has told itself. All parts are the real ones, but for the two models: the agent repeats the lesson
that it was shown, word for word or in other words, and the reflector writes just that as what the rollouts teach, and calls it the same as
what is there. The lessons are the made-up ones by which embedders are calibrated. The same loop runs once more without the rule that an
episode in which a lesson was shown is no support for it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph
from sections import Table, remembering

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.paraphrases import TRIOS
from langchain_reflect.reflection import nodes
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import LessonEdit, LessonText

ROUNDS = 50
REWARDS = (1.0, 0.0, 0.4)
"""Of the rollouts of a round."""
NEVER = {"holdout": 0.0, "withhold": 0.0, "floor": 0.0}


@dataclass
class Loop:
    """What the loop did to a book."""

    rounds: int = 0
    drafts: int = 0
    quoting: int = 0
    """Rollouts whose answer repeats a lesson."""
    support: int = 0
    """Episodes that became evidence."""
    lessons: int = 0
    """How many more there are."""

    def row(self, name: str) -> list[str]:
        """Cells of the table."""
        return [name, *map(str, (self.rounds, self.quoting, self.drafts, self.support, self.lessons))]


HEAD = ["rule", "rounds", "rollouts that quote", "drafts that echo", "support gained", "lessons gained"]


def echo(data: Path, limit: int) -> Table:
    """With our rule and without it."""
    del data, limit
    return Table("echo", HEAD, [run(ROUNDS).row("ours"), run(ROUNDS, protected=False).row("every cited episode is support")])


def run(rounds: int, *, protected: bool = True) -> Loop:
    """Let a learner listen to itself.

    Args:
        rounds: So many times.
        protected: Whether episodes that were shown a lesson are no support for it.
    """
    loop = Loop()
    with opened(loop) as learner, nullcontext() if protected else patch.object(nodes, "had", lambda _: {}):
        learner.lessons.commit([_seed(at) for at in range(len(TRIOS))], namespace=("default",), actor="R-seed")
        before = _sizes(learner)
        agent = learner.wrap(StateGraph(MessagesState).add_node("agent", quote).add_edge(START, "agent").compile(name="echo"))
        for loop.rounds in range(1, rounds + 1):
            for reward in REWARDS:
                run_id = uuid4()
                said = agent.invoke({"messages": [("user", task_of(loop.rounds))]}, {"run_id": run_id})["messages"][-1].text
                loop.quoting += "as I was told" in said
                learner.record_outcome(run_id, reward=reward)
            learner.reflect()
        after = _sizes(learner)
    loop.support, loop.lessons = after[0] - before[0], after[1] - before[1]
    return loop


@contextmanager
def opened(loop: Loop) -> Iterator[Learner]:
    """A learner whose reflector only hears its own lessons."""

    def reflector(messages: list[BaseMessage]) -> dict[str, Any]:
        prompt = messages[-1].text
        if "\nBOOK " in prompt:
            return {"action": "MERGE", "ids": [prompt.split("\nBOOK ", 1)[1].split(":")[0].split(" ")[0]]}
        loop.drafts += 1
        when, do = _wording(loop.rounds).split("\n")
        return {"lessons": [{"when": when, "do": do, "cites": ["R1", "R2", "R3"]}]}

    model = ScriptedChatModel(answers=reflector)
    with (
        tempfile.TemporaryDirectory() as folder,
        Learner(folder, model=model, embeddings=remembering(), index=ExactIndex(), reflect="manual", **NEVER) as learner,  # type: ignore[arg-type]
    ):
        yield learner


def quote(state: MessagesState) -> dict[str, list[AIMessage]]:
    """An agent that repeats the lessons it sees, and says nothing else."""
    seen = "\n".join(m.text for m in state["messages"] if m.type == "system")
    return {"messages": [AIMessage(f"I do as I was told: {seen}" if "<lessons" in seen else "I do not know.")]}


def task_of(turn: int) -> str:
    """What the agent is asked in a round."""
    return f"{TRIOS[turn % len(TRIOS)].lesson.splitlines()[0]}, what has to be done?"


def _wording(turn: int) -> str:
    """What the reflector writes in a round: the lesson that is in the book, or the same in other words."""
    trio = TRIOS[turn % len(TRIOS)]
    return trio.lesson if turn % 3 == 0 else trio.again


def _seed(at: int) -> LessonEdit:
    when, do = TRIOS[at].lesson.split("\n")
    return LessonEdit(kind="add", text=LessonText(when=when, do=do), evidence=(uuid4(),), reason="learned")


def _sizes(learner: Learner) -> tuple[int, int]:
    lessons = learner.lessons.list()
    return sum(len(lesson.evidence) for lesson in lessons), len(lessons)
