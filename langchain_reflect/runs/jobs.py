"""What is to be run, and what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from langchain_reflect.agents.episodes import new_id
from langchain_reflect.errors import TaskNotFound
from langchain_reflect.recording.task import task_of
from langchain_reflect.types import Arm, LessonText, Usage
from langchain_reflect.verifiers import Verdict


@dataclass(frozen=True, slots=True)
class PracticeTask:
    """Something to run the agent on."""

    inputs: Any
    """The graph's input; a plain string becomes `{"messages": [("user", text)]}`."""
    reference: Any = None
    """The right answer, for the verifier."""
    key: str | None = None
    """Stable name of this task; its rollouts are compared with one another. Default: tasks are told apart by their text."""
    family: str | None = None
    """Kind of task; all rollouts of one family are compared with one another."""

    @classmethod
    def of(cls, given: "TaskLike") -> "PracticeTask":
        """A task from any accepted form."""
        task = given if isinstance(given, PracticeTask) else cls(given)
        return cls({"messages": [("user", task.inputs)]}, task.reference, task.key, task.family) if isinstance(task.inputs, str) else task

    @property
    def group(self) -> str | None:
        """What its rollouts are grouped by, if it is named."""
        return self.family or self.key

    @property
    def text(self) -> str:
        """The task's text, or its input as it is where no text can be read."""
        try:
            return task_of(self.inputs)
        except TaskNotFound:
            return str(self.inputs)


TaskLike = PracticeTask | str | Mapping[str, Any]
Prepare = Callable[[PracticeTask, int], RunnableConfig]
"""`prepare(task, seed)` gives the config of one run, for example a sampling seed or a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to be made."""

    task: PracticeTask
    seed: int
    arm: Arm | None = None
    lessons: tuple[LessonText, ...] | None = None
    """As in `forced`."""
    record: bool = True
    without: frozenset[str] = frozenset()
    """As in `forced`."""
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was made."""

    job: Job
    verdict: Verdict
    error: BaseException | None = None
    """What the agent raised, also a `CancelledError` of its own; the reward is 0 then."""
    usage: Usage = field(default_factory=Usage)
    shown: tuple[LessonText, ...] = ()
    """Lessons that were in its prompts."""
    note: str = ""
    """Why there were none."""
    seconds: float = 0.0
    """How long the agent took."""
    episodes: tuple[UUID, ...] = ()
    """Ids of the episodes that it opened, also of wrapped graphs inside the agent."""

    @property
    def reward(self) -> float:
        """The reward; 0 where the verifier gave only words."""
        return self.verdict.reward or 0.0
