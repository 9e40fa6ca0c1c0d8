"""A practice whose process kills itself at a given point; run as a program by `test_resuming`.

`python -m tests.unit_tests.practising.dying FOLDER STAGE COUNT [NAME]`: ends with SIGKILL at the COUNT-th rollout, gate run or call of the
reflecting model; with STAGE `none` it goes on to the end. Each run of the agent adds a line to FOLDER/runs.
"""

import os
import signal
import sys
from pathlib import Path

from langchain_core.messages import BaseMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner, practice
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.runs import SEED_KEY
from langchain_reflect.testing.simulated import SimulatedModel
from tests.unit_tests.naming_agent import VERBS, house_rule, naming
from tests.unit_tests.words import Words

TASKS = [naming(verb, family="names") for verb in VERBS[:3]]
VALIDATION = [naming(verb, family="names") for verb in VERBS[3:6]]
OPTIONS = {"rollouts": 2, "epochs": 2, "concurrency": 1, "control": 0.5, "seed": 5, "progress": False}


class Bomb:
    """Kills the process at the given point."""

    def __init__(self, stage, count):
        self.stage, self.left = stage, count

    def at(self, stage):
        if stage == self.stage:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def agent_of(folder, bomb):
    model = SimulatedModel(slip=0.3)
    trying = {t.inputs for t in VALIDATION}

    def name(state: MessagesState, config):
        task = state["messages"][-1].text
        stage = "gate" if task in trying else "rollouts"
        bomb.at(stage)
        with Path(folder, "runs").open("a", encoding="utf-8") as file:
            file.write(f"{stage} {config['metadata'][SEED_KEY]} {task}\n")
        return {"messages": [model.invoke(state["messages"], {"metadata": config["metadata"]})]}

    return StateGraph(MessagesState).add_node("name", name).add_edge(START, "name").compile(name="namer")


class Reflecting(SimulatedModel):
    """The reflecting model, which may be the last that its process asks."""

    bomb: object = None

    def _generate(self, messages: list[BaseMessage], *given, **named):
        self.bomb.at("reflection")
        return super()._generate(messages, *given, **named)


def learner_of(folder, bomb):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "holdout": 0.0, "withhold": 0.0, "floor": 0.0}
    return Learner(folder, model=Reflecting(bomb=bomb), **usual)


def run(folder, stage="none", count=1, name="names"):
    bomb = Bomb(stage, count)
    with learner_of(folder, bomb) as learner:
        report = practice(agent_of(folder, bomb), TASKS, house_rule, learner=learner, name=name, validation=VALIDATION, **OPTIONS)
        lessons = sorted((x.do, x.status) for x in learner.lessons.list())
        return report, lessons, learner.ledger.verify(), len(learner.ledger.rollouts())


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] or None)
