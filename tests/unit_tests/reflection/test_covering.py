"""A general lesson keeps the tasks by which all that its sources were recalled for is found again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.reflection.covering import cover
from langchain_reflect.types import Lesson


def at_angle(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def sources_of(*tasks: list[int]) -> tuple[list[Lesson], dict[str, np.ndarray]]:
    """One lesson for each list of directions of its tasks."""
    lessons = [Lesson(id=f"L-{n}", when="x", do="y", tasks=tuple(f"at {a}" for a in own)) for n, own in enumerate(tasks)]
    return lessons, {f"at {a}": at_angle(a) for own in tasks for a in own}


def test_one_task_that_stands_for_many_is_kept_before_one_that_stands_for_itself():
    sources, vectors = sources_of([0, 10, 20], [90])
    kept = cover(at_angle(180), sources, vectors, floor=0.98, most=2)
    assert kept.tasks == ("at 10", "at 90")
    assert kept.missed == ()


def test_what_recall_would_no_longer_find_is_told_with_its_lesson():
    sources, vectors = sources_of([0, 45], [90])
    assert cover(at_angle(180), sources, vectors, floor=0.98, most=2).missed == (("L-0", "at 45"),)
    assert cover(at_angle(45), sources, vectors, floor=0.98, most=2).missed == ()


def test_lessons_without_tasks_need_none():
    sources, vectors = sources_of([], [])
    assert cover(at_angle(0), sources, vectors, floor=0.5, most=8) == cover(at_angle(9), sources, vectors, floor=0.9, most=8)


@given(
    tasks=st.lists(st.lists(st.integers(0, 359), max_size=8, unique=True), min_size=2, max_size=6),
    general=st.integers(0, 359),
    floor=st.floats(0.1, 0.99),
)
def test_each_source_keeps_a_task_and_the_account_of_what_is_missed_is_exact(tasks, general, floor):
    sources, vectors = sources_of(*tasks)
    kept = cover(at_angle(general), sources, vectors, floor=floor, most=8)
    assert len(set(kept.tasks)) == len(kept.tasks) <= 8
    assert all(set(s.tasks) & set(kept.tasks) for s in sources if s.tasks)
    texts = [at_angle(general), *(vectors[t] for t in kept.tasks)]
    lost = {(s.id, t) for s in sources for t in s.tasks if max(float(v @ vectors[t]) for v in texts) < floor}
    assert set(kept.missed) == lost
    assert cover(at_angle(general), sources[::-1], vectors, floor=floor, most=8).tasks == kept.tasks
