"""Lessons are put together only if every two of them belong together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.lessons.shelf import Shelf, are_related
from langchain_reflect.reflection.linkage import lesson_clusters
from langchain_reflect.types import Lesson

LEAST, SIMILAR, MOST = 0.8, 0.8, 4


def at_angle(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def shelf_of(angles: dict[str, float], tasks: dict[str, float] | None = None, **changes) -> Shelf:
    """Lessons whose texts, and one task of each, point into a direction."""
    tasks = tasks or {}
    lessons = [Lesson(id=i, when=i, do="x", tasks=(f"task {i}",) if i in tasks else (), **changes.get(i, {})) for i in angles]
    vectors = {lesson.key_text(): at_angle(angles[lesson.id]) for lesson in lessons}
    return Shelf.of(1, lessons, vectors | {f"task {i}": at_angle(angle) for i, angle in tasks.items()})


def found(shelf: Shelf, **more) -> list[tuple[str, ...]]:
    return [tuple(x.id for x in c) for c in lesson_clusters(shelf, **({"least": LEAST, "similar": SIMILAR, "most": MOST} | more))]


def test_a_chain_of_neighbours_is_no_cluster():
    assert found(shelf_of({"L-1": 0, "L-2": 30, "L-3": 60, "L-4": 90})) == [("L-1", "L-2"), ("L-3", "L-4")]


def test_lessons_of_other_tasks_stay_apart_whatever_they_say():
    assert found(shelf_of({"L-1": 0, "L-2": 1}, {"L-1": 0, "L-2": 90})) == []
    assert found(shelf_of({"L-1": 0, "L-2": 1}, {"L-1": 0, "L-2": 10})) == [("L-1", "L-2")]


def test_only_served_lessons_are_put_together():
    changes = {"L-2": {"status": "retired"}, "L-3": {"status": "proposed"}}
    assert found(shelf_of({"L-1": 0, "L-2": 1, "L-3": 2, "L-4": 3}, None, **changes)) == [("L-1", "L-4")]
    assert found(shelf_of({"L-1": 0, "L-2": 1}), apart={"L-2"}) == []


def test_the_nearest_group_comes_first():
    assert found(shelf_of({"L-1": 0, "L-2": 20, "L-3": 120, "L-4": 121})) == [("L-3", "L-4"), ("L-1", "L-2")]


angles = st.dictionaries(st.integers(0, 99).map("L-{:02}".format), st.integers(0, 359), max_size=14)


@given(angles=angles, tasks=angles, most=st.integers(2, 6), order=st.randoms(use_true_random=False))
def test_clusters_are_near_in_every_pair_disjoint_bounded_and_independent_of_order(angles, tasks, most, order):
    shelf = shelf_of(angles, tasks)
    clusters = found(shelf, most=most)
    where = {lesson.id: i for i, lesson in enumerate(shelf.lessons)}
    members = [where[i] for c in clusters for i in c]
    assert len(set(members)) == len(members)
    for cluster in clusters:
        assert 2 <= len(cluster) <= most
        rows = [where[i] for i in cluster]
        assert (shelf.texts[rows] @ shelf.texts[rows].T).min() >= LEAST - 1e-6
        assert all(are_related(shelf.tasks[a], shelf.tasks[b], SIMILAR) for a in rows for b in rows)
    shuffled = list(angles.items())
    order.shuffle(shuffled)
    assert found(shelf_of(dict(shuffled), tasks), most=most) == clusters


@given(angles=angles)
def test_no_two_clusters_could_still_be_joined(angles):
    clusters = found(shelf_of(angles), most=99)
    for at, one in enumerate(clusters):
        for other in clusters[at + 1 :]:
            cosines = [float(at_angle(angles[a]) @ at_angle(angles[b])) for a in one for b in other]
            assert min(cosines) < LEAST + 1e-6
