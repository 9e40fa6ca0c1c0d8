"""The nouns: what an episode, an outcome and a lesson are.

All are frozen Pydantic models without I/O, so they can be passed between threads and stored as they are. Times are timezone-aware UTC.
Ids of episodes are UUIDs (the root `run_id` of the run); ids of lessons are short strings such as `L-3f9a2c1b7d04`.
"""

from langchain_reflect.types.base import (
    Namespace,
    Noun,
    Usage,
    check_namespace,
    now,
)
from langchain_reflect.types.episodes import (
    PRECEDENCE,
    Arm,
    Episode,
    EpisodeStatus,
    Exposure,
    Outcome,
    Reward,
    Rollout,
    RolloutGroup,
    Step,
    StepKind,
    resolve,
    source_rank,
)
from langchain_reflect.types.lessons import (
    SERVABLE,
    AppliedEdit,
    EditKind,
    Example,
    Lesson,
    LessonDraft,
    LessonEdit,
    LessonStatus,
    LessonText,
    Match,
    Recalled,
    Revision,
)
from langchain_reflect.types.records import (
    Erased,
    Job,
    JobState,
    ReflectionReport,
)

__all__ = [
    "PRECEDENCE",
    "SERVABLE",
    "AppliedEdit",
    "Arm",
    "EditKind",
    "Episode",
    "EpisodeStatus",
    "Erased",
    "Example",
    "Exposure",
    "Job",
    "JobState",
    "Lesson",
    "LessonDraft",
    "LessonEdit",
    "LessonStatus",
    "LessonText",
    "Match",
    "Namespace",
    "Noun",
    "Outcome",
    "Recalled",
    "ReflectionReport",
    "Revision",
    "Reward",
    "Rollout",
    "RolloutGroup",
    "Step",
    "StepKind",
    "Usage",
    "check_namespace",
    "now",
    "resolve",
    "source_rank",
]
