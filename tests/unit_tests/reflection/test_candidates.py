from uuid import UUID

import numpy as np

from langchain_reflect.lessons.edits import MAX_TASK_CHARS
from langchain_reflect.reflection.candidates import candidates, placed
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.types import LessonDraft, RolloutGroup

GROUPS = [RolloutGroup(key=name, namespace=(name,), graph="g", task="t", rollouts=()) for name in "ab"]


def draft(do: str, *tasks: str) -> LessonDraft:
    return LessonDraft(when="w", do=do, cites=(UUID(int=1),), tasks=tasks)


def test_drafts_come_in_the_order_of_their_groups_with_their_namespace():
    found = placed([Studied(group=1, drafts=(draft("z"),)), Studied(group=0, drafts=(draft("y"), draft("x")))], GROUPS)
    assert [(p.draft.do, p.group, p.namespace) for p in found] == [("y", 0, ("a",)), ("x", 0, ("a",)), ("z", 1, ("b",))]


def test_a_long_task_is_compared_as_the_lesson_will_keep_it():
    (found,) = placed([Studied(group=0, drafts=(draft("y", "t" * MAX_TASK_CHARS + "tail", "short"),))], GROUPS)
    assert found.draft.tasks == ("t" * MAX_TASK_CHARS, "short")


def test_a_candidate_has_the_vectors_of_what_it_says_and_of_its_tasks():
    vectors = {"w\ny": np.array([1.0, 0.0], np.float32), "t": np.array([0.0, 1.0], np.float32)}
    one, other = candidates(placed([Studied(group=0, drafts=(draft("y", "t"), draft("y")))], GROUPS), vectors)
    assert one.vector.tolist() == [1.0, 0.0]
    assert one.tasks.tolist() == [[0.0, 1.0]]
    assert len(other.tasks) == 0
