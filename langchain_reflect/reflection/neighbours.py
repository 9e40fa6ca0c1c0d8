"""What is near to a draft."""

from dataclasses import dataclass

from langchain_reflect.types import Lesson, LessonText


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A lesson of the book, or an earlier draft of the same reflection, that is near to a draft."""

    name: str
    """Id of the lesson, or `N1`, `N2`, ... of the draft."""
    text: LessonText
    cosine: float
    """Of what both say."""
    related: bool
    """Whether both come from tasks of one kind."""
    lesson: Lesson | None = None
    """None for a draft."""
