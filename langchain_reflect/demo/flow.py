"""The demo: rollouts without lessons -> outcomes -> reflection and gate -> lessons -> the same model on tasks it has not seen.

Everything it does is `practice` and `measure_uplift` on a wrapped graph; only the world and the words on the screen are its own.
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from rich.console import Console

from langchain_reflect.charts import learning_curve_png
from langchain_reflect.demo.report import Screen
from langchain_reflect.demo.source import DemoModel, open_model
from langchain_reflect.demo.world import Question, Splits, World
from langchain_reflect.errors import MissingExtra
from langchain_reflect.learner import Learner
from langchain_reflect.practising import PracticeReport, PracticeTask, practice
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.runs import SEED_KEY, Meter
from langchain_reflect.types import SERVABLE, Lesson, Namespace, Usage
from langchain_reflect.uplift import UpliftReport, measure_uplift

SYSTEM: Final = "You are a precise assistant."
FLOOR: Final = 0.5
"""Tasks of one family are much alike and those of two are not; no task may get the lesson of another family."""
OWN_FILES: Final = ("chroma", "learning-curve.png", "uplift.json")
"""What the demo writes into its folder beside the ledger."""
_SHOWN: Final = 3
"""Rollouts in one prompt: a small model reads slowly."""
_CURVE: Final = "demo curve"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a demo does."""

    families: tuple[str, ...] = ("naming", "sql", "codes", "dates", "cents", "dayfirst")
    train: int = 3
    rollouts: int = 2
    validation: int = 5
    held_out: int = 6
    drafts: int = 2
    """Answers asked of the reflecting model per family; the feedback itself is one more draft."""


FULL: Final = Sizes()
QUICK: Final = Sizes(families=("naming", "dates", "dayfirst"), train=2, validation=4, held_out=4, drafts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What a demo found."""

    model: str
    simulated: bool
    """Whether the answers came from a simulation instead of a language model."""
    path: Path
    earlier: int
    """Lessons that were there when it began."""
    practices: dict[str, PracticeReport]
    """By family."""
    uplift: UpliftReport
    lessons: tuple[Lesson, ...]
    namespace: Namespace
    """Where they are."""
    picture: Path | None
    """The learning curve as PNG; None where matplotlib is not installed."""
    curve: tuple[float, ...]
    """Mean rewards, three per run of the demo: rollouts, validation with what the gate kept, held-out tasks with lessons."""
    usage: Usage
    """Of the agent in all runs, and of reflection."""
    seconds: float
    cpu_seconds: float
    """Of this process, so without a hosted model."""


def run_demo(
    *,
    model: BaseChatModel | str | None = None,
    quick: bool = False,
    fresh: bool = False,
    path: str | Path = "./reflect-demo",
    seed: int = 7,
    console: Console | None = None,
    embeddings: Embeddings | str | None = None,
) -> DemoResult:
    """Watch an agent fail, learn lessons from its outcomes, and do better on tasks it has not seen.

    Args:
        model: Acts and reflects: an instance, `provider:model`, or `simulated`; default a small model on this machine, and if that cannot
            be had a simulated one, which is said.
        quick: Fewer tasks of fewer families.
        fresh: Forget what earlier demos in this folder left.
        path: Folder of the ledger, the index and the picture; made if missing.
        seed: Of the tasks, the company's prefix and the sampling.
        console: Where it is shown.
        embeddings: As of `Learner`.

    Raises:
        ReflectError: The model or the folder cannot be used.
    """
    folder = Path(path)
    if fresh:
        forget(folder)
    screen = Screen(console or Console())
    sizes = QUICK if quick else FULL
    with open_model(model, seed=seed, console=screen.console) as chosen:
        policy = ReflectionPolicy(drafts=sizes.drafts, group_size=_SHOWN)
        options: dict[str, Any] = {"k": 1, "floor": FLOOR, "holdout": 0.0, "withhold": 0.0, "deadline": 30.0, "reflect": "manual"}
        space: Namespace = ("demo", chosen.label.replace("/", "-"), f"seed-{seed}")  # `/` parts a namespace at the command line
        with Learner(folder, model=chosen.chat, embeddings=embeddings, reflection=policy, namespace=space, **options) as learner:
            return _Demo(learner, chosen, World(seed), sizes, screen, folder).run()


def forget(folder: Path) -> None:
    """Delete what demos wrote into a folder, and nothing else.

    Args:
        folder: The demo's folder; need not exist.
    """
    for place in (*folder.glob("ledger.db*"), *(folder / name for name in OWN_FILES)):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def build_agent(model: DemoModel) -> Runnable[Any, Any]:
    """The agent: a graph with one node that asks the model. It knows nothing of lessons.

    Args:
        model: Answers.
    """

    def answer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        options = model.options((config.get("metadata") or {}).get(SEED_KEY, 0))
        return {"messages": [model.chat.invoke([("system", SYSTEM), *state["messages"]], config, **options)]}

    return StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile(name="clerk")


def tasks_of(questions: Sequence[Question]) -> list[PracticeTask]:
    """Questions as tasks to practise on; the agent sees the text alone.

    Args:
        questions: Of any families.
    """
    return [PracticeTask(question.text, reference=question, family=question.family) for question in questions]


@dataclass(eq=False)
class _Demo:
    """One demo as it runs."""

    learner: Learner
    model: DemoModel
    world: World
    sizes: Sizes
    screen: Screen
    folder: Path
    meter: Meter = field(default_factory=Meter)
    started: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)

    def run(self) -> DemoResult:
        earlier = self._lessons()
        self.screen.opening(self.model, self.world, len(earlier))
        with self.screen.busy("loading the embedding model"):
            self.learner.warm_up()
        agent = self.learner.wrap(build_agent(self.model), where="human")
        splits = {name: self._split(name) for name in self.sizes.families}
        practices = {name: self._practise(agent, name, split) for name, split in splits.items()}
        uplift = self._measure(agent, [question for split in splits.values() for question in split.held_out])
        curve = self._curve(practices, uplift)
        result = DemoResult(
            model=self.model.label,
            simulated=self.model.simulated,
            path=self.folder,
            earlier=len(earlier),
            practices=practices,
            uplift=uplift,
            lessons=self._lessons(),
            namespace=self.learner.settings.namespace,
            curve=curve,
            picture=self._draw(curve, uplift),
            usage=reduce(add, (r.usage for p in practices.values() for r in p.reflections), self.meter.usage),
            seconds=time.monotonic() - self.started,
            cpu_seconds=time.process_time() - self.cpu,
        )
        (self.folder / "uplift.json").write_text(uplift.to_json(indent=1), encoding="utf-8")
        self.screen.closing(result, self.world)
        return result

    def _split(self, family: str) -> Splits:
        sizes = self.sizes
        return self.world.splits(family, train=sizes.train, validation=sizes.validation, held_out=sizes.held_out)

    def _practise(self, agent: Runnable[Any, Any], family: str, split: Splits) -> PracticeReport:
        with self.screen.busy(f"{self.world.families[family].title}: rollouts, reflection, trials") as tick:
            report = practice(
                agent,
                tasks_of(split.train),
                self.world.verify,
                learner=self.learner,
                rollouts=self.sizes.rollouts,
                concurrency=self.model.concurrency,
                validation=tasks_of(split.validation),
                progress=False,
                seed=self.world.seed,
                prepare=self._prepare(tick),
            )
        if report.interrupted:
            raise KeyboardInterrupt
        self.screen.practised(self.world.families[family], report)
        return report

    def _measure(self, agent: Runnable[Any, Any], held_out: Sequence[Question]) -> UpliftReport:
        with self.screen.busy("held-out tasks: bare, placebo, lessons") as tick:
            report = measure_uplift(
                agent,
                tasks_of(held_out),
                self.world.verify,
                learner=self.learner,
                concurrency=self.model.concurrency,
                leak="task",  # others of the same families are held out, and lessons for these are wanted
                progress=False,
                seed=self.world.seed,
                prepare=self._prepare(tick),
            )
        if report.interrupted:
            raise KeyboardInterrupt
        return report

    def _prepare(self, tick: Any) -> Any:
        def prepare(_: PracticeTask, __: int) -> RunnableConfig:
            tick()
            return {"callbacks": [self.meter]}

        return prepare

    def _lessons(self) -> tuple[Lesson, ...]:
        return tuple(self.learner.ledger.lessons(namespace=self.learner.settings.namespace, statuses=SERVABLE))

    def _curve(self, practices: dict[str, PracticeReport], uplift: UpliftReport) -> tuple[float, ...]:
        """The points of earlier runs in this folder, and three more."""
        key = f"{_CURVE} {json.dumps(self.learner.settings.namespace)}"
        earlier = json.loads(self.learner.ledger.meta(key) or "[]")
        reports = list(practices.values())
        rollouts = sum(mean for r in reports for mean in r.curve) / len(reports)
        tried = [t.baseline if t.best is None else t.scores[t.best] for r in reports for t in r.trials]
        validation = [sum(tried) / len(tried)] if tried else []
        held_out = next(arm.mean for arm in uplift.arms if arm.arm == "lessons")
        points = (*earlier, rollouts, *validation, held_out)
        self.learner.ledger.set_meta(key, json.dumps(points))
        return points

    def _draw(self, curve: Sequence[float], uplift: UpliftReport) -> Path | None:
        bare = next(arm.mean for arm in uplift.arms if arm.arm == "bare")
        title = f"Mean reward, {self.model.label}"
        try:
            return learning_curve_png(curve, self.folder / "learning-curve.png", baseline=bare, title=title, x_label="step")
        except MissingExtra as error:
            self.screen.note(str(error))
            return None
