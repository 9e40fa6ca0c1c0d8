"""A gate that tries edits decides about changes of lessons that are there; what it cannot decide stays due."""

import pytest

from langchain_reflect.reflection.curation import Proposal
from langchain_reflect.reflection.gating import name_of, tried
from langchain_reflect.types import Lesson, LessonEdit, LessonText

OLD = Lesson(id="L-1", when="a flight moves", do="rebook it", status="active")
TWIN = Lesson(id="L-2", when="a flight moves", do="rebook it soon", status="candidate")
GONE = Lesson(id="L-3", when="a flight moves", do="wait", status="retired")
BOOK = {lesson.id: lesson for lesson in (OLD, TWIN, GONE)}
TEXT = LessonText(when="a flight moves", do="check the fare")
ADD = LessonEdit(kind="add", name="N1", text=TEXT)
REVISE = LessonEdit(kind="revise", lesson_id="L-1", text=TEXT)
MERGE = LessonEdit(kind="merge", lesson_id="L-1", merged=("L-2",))
SUPPORT = LessonEdit(kind="merge", lesson_id="L-1")
RETIRE = LessonEdit(kind="retire", lesson_id="L-2")


class Asked:
    """A gate that notes what it is asked."""

    def __init__(self, answer=None):
        self.answer, self.questions = answer, []

    def __call__(self, group, drafts):
        raise AssertionError

    def try_edit(self, edit, before, after, group):
        self.questions.append((edit.kind, [lesson.id for lesson in before], [text.do for text in after]))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("edit", "asked"),
    [
        (REVISE, [("revise", ["L-1"], ["check the fare"])]),
        (MERGE, [("merge", ["L-1", "L-2"], ["rebook it"])]),
        (RETIRE, [("retire", ["L-2"], ["check the fare"])]),
        (SUPPORT, []),
        (ADD, []),
        (LessonEdit(kind="revise", lesson_id="L-3", text=TEXT), []),
        (LessonEdit(kind="contradict", lesson_id="L-1", against=("L-2",)), []),
    ],
)
def test_only_what_changes_a_prompt_is_tried(edit, asked):
    gate = Asked()
    both = [Proposal(ADD, ("default",), 0), Proposal(edit, ("default",), 0)]
    found = tried(gate, both, ["the group"], BOOK)
    assert gate.questions == asked
    assert (found.kept, found.refused) == (both, [])


def test_what_is_refused_is_named_with_the_reason():
    found = tried(Asked("it loses"), [Proposal(REVISE, ("default",), 0)], ["the group"], BOOK)
    assert (found.kept, found.lost) == ([], [name_of(REVISE)])
    assert (found.refused[0].lesson_id, found.refused[0].applied, found.refused[0].reason) == ("L-1", False, "it loses")


@pytest.mark.parametrize(("error", "interrupted"), [(InterruptedError(), True), (ZeroDivisionError("no"), False)])
def test_a_gate_that_ends_keeps_the_whole_group_waiting_and_no_other(error, interrupted):
    mine, theirs = [Proposal(ADD, ("default",), 0), Proposal(REVISE, ("default",), 0)], Proposal(ADD, ("default",), 1)
    found = tried(Asked(error), [*mine, theirs], ["one", "two"], BOOK)
    assert found.kept == [theirs]
    (waiting,) = found.waiting
    assert (waiting.group, waiting.interrupted, waiting.parked is None) == (0, interrupted, interrupted)


def test_a_gate_for_drafts_only_is_not_asked():
    both = [Proposal(ADD, ("default",), 0), Proposal(REVISE, ("default",), 0)]
    assert tried(lambda *_: None, both, ["one"], BOOK).kept == both


def test_edits_of_one_reflection_have_names_of_their_own():
    assert len({name_of(e) for e in (REVISE, MERGE, SUPPORT, RETIRE)}) == 4
