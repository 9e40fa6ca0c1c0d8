from uuid import UUID

import numpy as np
import pytest

from langchain_reflect.reflection.curation import Candidate, Curation, problem_of, says_same
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.types import Lesson, LessonDraft, LessonEdit, LessonText

E1, E2, E3 = (UUID(int=n) for n in (1, 2, 3))
SAME, NEAR, FAR = 0.95, 0.8, 0.3


def unit(cosine: float) -> np.ndarray:
    return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)


def lesson(lesson_id="L-1", do="begin with acme_", **given) -> Lesson:
    return Lesson(id=lesson_id, when="naming", do=do, **given)


def candidate(do="start with acme_", *, near=(), cites=(E1,), vector=None, namespace=("a",), unserved=None) -> Candidate:
    draft = LessonDraft(when="naming a tool", do=do, cites=cites, tasks=("t",))
    return Candidate(draft, 0, namespace, unit(1.0) if vector is None else vector, tuple(near), unserved)


@pytest.fixture
def curation():
    return Curation(ReflectionPolicy(), {E1: [], E2: ["L-1"], E3: []})


def edits(curation: Curation) -> list[LessonEdit]:
    return [p.edit for p in curation.proposals]


def test_new_advice_is_added(curation):
    assert curation.near(candidate(near=[(lesson(), FAR)])) == []
    (edit,) = edits(curation)
    assert (edit.kind, edit.text, edit.evidence) == ("add", LessonText(when="naming a tool", do="start with acme_"), (E1,))


def test_the_same_advice_only_adds_support(curation):
    assert curation.near(candidate(near=[(lesson(), SAME)])) == []
    (edit,) = edits(curation)
    assert (edit.kind, edit.lesson_id, edit.text, edit.evidence, edit.merged) == ("merge", "L-1", None, (E1,), ())


def test_an_episode_in_which_a_lesson_was_shown_is_no_support_for_it(curation):
    curation.near(candidate(near=[(lesson(), SAME)], cites=(E2, E3)))
    curation.near(candidate(near=[(lesson(), SAME)], cites=(E2,)))
    (edit,) = edits(curation)
    assert edit.evidence == (E3,)
    assert "was shown in the episodes" in curation.refused[0].reason


def test_a_negation_or_another_number_is_not_the_same(curation):
    near = curation.near(candidate("never begin with acme_", near=[(lesson(), SAME)]))
    assert near == [("L-1", lesson().text)]
    assert not says_same(LessonText(when="", do="use 2 digits"), LessonText(when="", do="use 4 digits"))


def test_near_advice_is_asked_about(curation):
    near = curation.near(candidate(near=[(lesson("L-1"), NEAR), (lesson("L-2"), FAR)]))
    assert [name for name, _ in near] == ["L-1"]
    assert edits(curation) == []


def asked(curation, action, *, near=None, **answer):
    given = candidate(near=near or [(lesson("L-1"), NEAR), (lesson("L-2"), 0.78)])
    shown = curation.near(given)
    curation.settle(given, shown, CurateAnswer(action=action, **answer))


def test_curator_adds(curation):
    asked(curation, "ADD")
    assert [e.kind for e in edits(curation)] == ["add"]


def test_curator_finds_it_useless(curation):
    asked(curation, "NOOP", reason="trivial")
    assert edits(curation) == []
    assert curation.refused[0].reason == "the curator found it useless: trivial"


def test_curator_revises_with_its_wording_or_the_drafts(curation):
    asked(curation, "REVISE", ids=["L-1"], when="naming anything", do="begin each name with acme_")
    asked(curation, "REVISE", ids=["L-2"])
    first, second = edits(curation)
    assert (first.kind, first.lesson_id, first.text.do) == ("revise", "L-1", "begin each name with acme_")
    assert (second.lesson_id, second.text.do) == ("L-2", "start with acme_")


def test_curator_merges_lessons_into_the_first(curation):
    asked(curation, "MERGE", ids=["L-2", "L-1"], when="w", do="d")
    (edit,) = edits(curation)
    assert (edit.kind, edit.lesson_id, edit.merged, edit.evidence) == ("merge", "L-2", ("L-1",), (E1,))
    assert edit.text.do == "d"


def test_curator_merges_into_one_as_support(curation):
    asked(curation, "MERGE", ids=["L-1"])
    (edit,) = edits(curation)
    assert (edit.kind, edit.lesson_id, edit.text) == ("merge", "L-1", None)


def test_curator_retires_a_candidate_and_the_draft_takes_its_place(curation):
    asked(curation, "RETIRE", ids=["L-1"], reason="wrong")
    assert [(e.kind, e.lesson_id, e.reason) for e in edits(curation)] == [("retire", "L-1", "wrong"), ("add", None, "learned")]


def test_a_model_never_retires_a_proven_lesson(curation):
    asked(curation, "RETIRE", ids=["L-1"], near=[(lesson(status="active"), NEAR)])
    assert [e.kind for e in edits(curation)] == ["add"]
    assert "only outcomes or a person" in curation.refused[0].reason


def test_only_ids_that_were_shown_count():
    near = [("L-1", lesson().text)]
    assert problem_of(CurateAnswer(action="RETIRE", ids=["L-7"]), near) == "ids: RETIRE must name one of L-1"
    assert problem_of(CurateAnswer(action="MERGE", ids=["L-7", "L-1"]), near) is None
    assert problem_of(CurateAnswer(action="ADD"), near) is None


def test_drafts_of_one_reflection_meet_each_other(curation):
    curation.near(candidate("start with acme_"))
    curation.near(candidate("start with acme_", vector=unit(SAME), cites=(E2,)))
    near = curation.near(third := candidate("start with acme_ always", vector=unit(NEAR), cites=(E3,)))
    assert [name for name, _ in near] == ["N1"]
    curation.settle(third, near, CurateAnswer(action="REVISE", ids=["N1"]))
    (edit,) = edits(curation)
    assert (edit.kind, edit.text.do, edit.evidence) == ("add", "start with acme_ always", (E1, E2, E3))


def test_a_draft_that_joins_a_lesson_and_an_earlier_draft_takes_its_evidence_along(curation):
    curation.near(candidate("start with acme_"))
    near = curation.near(second := candidate("use acme_", vector=unit(NEAR), near=[(lesson(), NEAR)], cites=(E3,)))
    curation.settle(second, near, CurateAnswer(action="MERGE", ids=["N1", "L-1"], when="w", do="d"))
    (edit,) = edits(curation)
    assert (edit.kind, edit.lesson_id, set(edit.evidence)) == ("revise", "L-1", {E1, E3})


def test_other_namespaces_are_not_met(curation):
    curation.near(candidate())
    assert curation.near(candidate(namespace=("b",), vector=unit(NEAR))) == []
    assert [p.namespace for p in curation.proposals] == [("a",), ("b",)]


@pytest.mark.parametrize(("status", "kinds"), [("proposed", ["merge"]), ("quarantined", ["merge"]), ("retired", [])])
def test_literally_the_same_as_an_unserved_lesson_is_not_added_again(curation, status, kinds):
    curation.near(candidate(unserved=lesson(status=status)))
    assert [e.kind for e in edits(curation)] == kinds
    assert bool(curation.refused) == (status == "retired")


def test_giving_up_names_the_group(curation):
    curation.give_up(candidate(), "no answer")
    assert (curation.given_up, curation.refused[0].reason, edits(curation)) == ([(0, "no answer", None)], "no answer", [])
