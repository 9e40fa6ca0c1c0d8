"""Many runs of an agent on tasks, a few at a time, each judged as it ends: what practice and measurements are made of."""

from langchain_reflect.runs.jobs import Job, PracticeTask, Prepare, Run, TaskLike
from langchain_reflect.runs.meter import Meter
from langchain_reflect.runs.progress import progress_of
from langchain_reflect.runs.runner import Runner, wants_async, wrapped_by
from langchain_reflect.runs.seeds import SEED_KEY, seed_of, seeds

__all__ = [
    "SEED_KEY",
    "Job",
    "Meter",
    "PracticeTask",
    "Prepare",
    "Run",
    "Runner",
    "TaskLike",
    "progress_of",
    "seed_of",
    "seeds",
    "wants_async",
    "wrapped_by",
]
