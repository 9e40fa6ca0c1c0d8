"""Which model the examples run with, and what they all do at the start and at the end.

`--model small` is a model of 0.5 billion parameters that runs in this process, `--model simulated` is no language model at all, and
`--model provider:name` is any model of a provider. Without the argument it is the small one if its weights are on this machine
(`--model small` downloads them once, 491 MB), else the simulated one, and that is said.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from rich.console import Console

from langchain_reflect import Learner
from langchain_reflect.demo.source import DemoModel, open_model
from langchain_reflect.demo.weights import find_weights
from langchain_reflect.errors import ModelMissing
from langchain_reflect.reflection import ReflectionPolicy
from langchain_reflect.runs import SEED_KEY, PracticeTask
from langchain_reflect.uplift import UpliftReport

Measured = Mapping[str, UpliftReport]
"""What an example measured, by name."""


@dataclass(frozen=True)
class ExampleModel:
    """A chat model, and how an example's agent asks it."""

    demo: DemoModel

    @property
    def chat(self) -> BaseChatModel:
        """The model itself; it also reflects."""
        return self.demo.chat

    def ask(self, messages: list[Any], config: RunnableConfig) -> BaseMessage:
        """One call, sampled with the run's own seed, so that all arms of a measurement have the same luck."""
        return self.chat.invoke(messages, config, **self.demo.options((config.get("metadata") or {}).get(SEED_KEY, 0)))

    def learner(self, folder: str | Path, **options: Any) -> Learner:
        """A learner for a small model: one lesson at a time, few drafts, no haste. With a large one `Learner(folder, model=...)` will do.

        `floor` keeps the lessons of one family from the tasks of another; chance has no part, because the arms are forced anyway.
        """
        few = ReflectionPolicy(drafts=1, group_size=3)
        ours: dict[str, Any] = {"k": 1, "floor": 0.5, "holdout": 0.0, "withhold": 0.0, "deadline": 30.0, "reflect": "manual"}
        return Learner(folder, model=self.chat, reflection=few, **(ours | options))


def distinct(make: Callable[[random.Random], PracticeTask], count: int, seed: int) -> list[PracticeTask]:
    """So many tasks of which no two are the same; the same seed gives the same."""
    rng = random.Random(seed)  # noqa: S311 - tasks to repeat, no secret
    found: dict[str, PracticeTask] = {}
    while len(found) < count:
        task = make(rng)
        found.setdefault(task.text, task)
    return list(found.values())


@contextmanager
def example_model(name: str | None = None, *, seed: int = 0) -> Iterator[ExampleModel]:
    """The model of that name, for as long as the context is open."""
    console = Console(stderr=True)
    if name is None:
        try:
            find_weights(download=False)
        except ModelMissing:
            name = "simulated"
            print("The small model is not on this machine (`--model small` downloads it), so a simulated one plays its part.")
    with open_model(None if name in (None, "small") else name, seed=seed, console=console) as demo:
        if demo.simulated:
            print("SIMULATED: what follows shows how it works, and nothing about how much a language model gains.")
        yield ExampleModel(demo)


def run(example: Callable[[str, ExampleModel, int], Measured]) -> None:
    """Run an example as the command line says, in a folder that is deleted at the end."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--model", help="small, simulated, or provider:name")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks and the sampling")
    given = parser.parse_args()
    with example_model(given.model, seed=given.seed) as model, TemporaryDirectory() as folder:
        print(f"model: {model.demo.label}")
        for name, report in example(folder, model, given.seed).items():
            print(f"\n== {name}\n{report}")
