"""Which lessons go when a namespace has too many. Pure. They are retired, never deleted."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from langchain_reflect.types import SERVABLE, Lesson


def over_cap(lessons: Iterable[Lesson], cap: int, *, spared: Collection[str] = ()) -> Sequence[Lesson]:
    """The least valuable of the served lessons, as many as there are too many.

    A lesson that a person approved is never among them, and lessons on trial go before proven ones, then those with less support, then the
    ones that have not been touched for longest.

    Args:
        lessons: Of one namespace.
        cap: Most lessons that are served.
        spared: Ids of lessons that stay, such as those that were just written.
    """
    served = [lesson for lesson in lessons if lesson.status in SERVABLE]
    free = sorted((x for x in served if x.approved_by is None and x.id not in spared), key=_value)
    return free[: max(0, len(served) - cap)]


def _value(lesson: Lesson) -> tuple[bool, int, datetime, str]:
    return lesson.status == "active", len(lesson.evidence), lesson.updated_at, lesson.id
