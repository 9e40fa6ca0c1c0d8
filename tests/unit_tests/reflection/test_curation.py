from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.lessons.likeness import Likeness
from langchain_reflect.lessons.shelf import Shelf
from langchain_reflect.reflection.curation import Candidate, Curation, Judged, Measures, measures_of, problem_of
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.types import Lesson, LessonDraft, LessonEdit, LessonText

E1, E2, E3 = (UUID(int=n) for n in (1, 2, 3))
SAME, NEAR, LESS, FAR = 0.95, 0.8, 0.6, 0.3
MEASURES = Measures(likeness=Likeness(same=0.9, near=0.75, alike=0.8), similar=0.8, nearest=3)
SPACE = ("a",)
TASK, OTHER_TASK = "name a tool", "book a flight"
TASKS = {TASK: np.array([1.0, 0.0], np.float32), OTHER_TASK: np.array([0.0, 1.0], np.float32)}


def unit(cosine: float) -> np.ndarray:
    return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)


def lesson(lesson_id="L-1", do="Begin every name with acme_.", *, tasks=(TASK,), **given) -> Lesson:
    return Lesson(id=lesson_id, namespace=SPACE, when="naming a tool" if lesson_id == "L-1" else lesson_id, do=do, tasks=tasks, **given)


def shelf(*placed: tuple[Lesson, float]) -> Shelf:
    """Lessons at a cosine of (1, 0)."""
    vectors = {x.key_text(): unit(cosine) for x, cosine in placed} | TASKS
    return Shelf.of(7, [x for x, _ in placed], vectors)


def candidate(do="begin every name with acme_", *, cites=(E1,), cosine=1.0, namespace=SPACE, task=TASK, when="naming a tool") -> Candidate:
    draft = LessonDraft(when=when, do=do, cites=cites, tasks=(task,))
    return Candidate(draft, 0, namespace, unit(cosine), TASKS[task][None])


def curation(*placed: tuple[Lesson, float], had=None) -> Curation:
    return Curation(MEASURES, {SPACE: shelf(*placed), ("b",): shelf()}, had or {E2: ["L-1"]})


def edits(made: Curation) -> list[LessonEdit]:
    return [p.edit for p in made.proposals]


def reasons(made: Curation) -> list[str]:
    return [r.reason for r in made.refused]


def answered(made: Curation, action: str, *, draft=None, **answer) -> Curation:
    draft = draft or candidate()
    near = made.near(draft)
    made.hear(draft, near, Judged("q", CurateAnswer(action=action, **answer)))
    return made


def test_new_advice_is_added():
    made = curation((lesson(), FAR))
    assert made.near(candidate()) == []
    (edit,) = edits(made)
    assert (edit.kind, edit.name, edit.text, edit.evidence) == (
        "add",
        "N1",
        LessonText(when="naming a tool", do="begin every name with acme_"),
        (E1,),
    )


def test_the_same_advice_only_adds_support():
    made = curation((lesson(), SAME))
    assert made.near(candidate()) == []
    (edit,) = edits(made)
    assert (edit.kind, edit.lesson_id, edit.text, edit.evidence, edit.merged) == ("merge", "L-1", None, (E1,), ())


def test_the_same_words_for_another_kind_of_task_are_asked_about_and_told_to_be_so():
    made = curation((lesson(tasks=(OTHER_TASK,)), SAME))
    (near,) = made.near(candidate())
    assert (near.name, near.related, edits(made)) == ("L-1", False, [])


def test_lessons_from_the_same_kind_of_task_come_first():
    made = curation((lesson("L-1", "x", tasks=(OTHER_TASK,)), 0.89), (lesson("L-2"), 0.76), (lesson("L-3"), 0.85))
    assert [n.name for n in made.near(candidate())] == ["L-3", "L-2", "L-1"]


def test_an_episode_in_which_a_lesson_was_shown_is_no_support_for_it():
    made = curation((lesson(), SAME))
    made.near(candidate(cites=(E2, E3)))
    made.near(candidate(cites=(E2,)))
    (edit,) = edits(made)
    assert edit.evidence == (E3,)
    assert reasons(made) == ["L-1 says the same and was shown in the episodes it cites"]


@pytest.mark.parametrize("action", ["ADD", "CONFLICT", "RETIRE"])
def test_what_only_echoes_a_shown_lesson_is_never_added(action):
    made = answered(curation((lesson(do="use acme_"), NEAR)), action, draft=candidate(cites=(E2,)), ids=["L-1"])
    assert edits(made) == []
    assert reasons(made) == ["all episodes it cites were shown a lesson that says nearly the same"]


def test_a_paraphrase_of_a_shown_lesson_gains_no_support_from_that_episode():
    made = answered(curation(*TWO), "MERGE", draft=candidate(cites=(E2, E3)), ids=["L-2"])
    assert [(e.lesson_id, e.evidence) for e in edits(made)] == [("L-2", (E3,))]


def test_a_far_paraphrase_of_a_shown_lesson_is_asked_about_and_gains_no_support():
    made = curation((lesson(), LESS))
    (near,) = made.near(candidate("prefix whatever you call", cites=(E2,)))
    made.hear(candidate("prefix whatever you call", cites=(E2, E3)), [near], Judged("q", CurateAnswer(action="MERGE", ids=["L-1"])))
    (edit,) = edits(made)
    assert (near.name, edit.lesson_id, edit.evidence) == ("L-1", "L-1", (E3,))


def test_other_advice_from_an_episode_with_a_lesson_is_added_if_the_curator_says_so():
    made = answered(curation((lesson(), LESS)), "ADD", draft=candidate("ask for the invoice's number", cites=(E2,)))
    (edit,) = edits(made)
    assert (edit.kind, edit.evidence) == ("add", (E2,))


def test_advice_less_near_than_near_is_not_asked_about_where_it_was_not_shown():
    assert curation((lesson(), LESS)).near(candidate(cites=(E1,))) == []


def test_a_negation_is_not_the_same():
    made = curation((lesson(), SAME))
    assert [n.name for n in made.near(candidate("never begin a name with acme_"))] == ["L-1"]


def test_only_near_advice_is_asked_about():
    made = curation((lesson("L-1", "use acme_"), NEAR), (lesson("L-2"), FAR))
    assert [n.name for n in made.near(candidate())] == ["L-1"]
    assert edits(made) == []


TWO = ((lesson("L-1", "use acme_"), NEAR), (lesson("L-2"), 0.78))


def test_curator_adds():
    assert [e.kind for e in edits(answered(curation(*TWO), "ADD"))] == ["add"]


def test_curator_finds_it_useless():
    made = answered(curation(*TWO), "NOOP", reason="trivial")
    assert (edits(made), reasons(made)) == ([], ["the curator found it useless: trivial"])


def test_curator_revises_with_its_wording_or_the_drafts():
    made = answered(curation(*TWO), "REVISE", ids=["L-1"], when="naming anything", do="begin each name with acme_")
    first, second = edits(answered(made, "REVISE", ids=["L-2"]))
    assert (first.kind, first.lesson_id, first.text.do) == ("revise", "L-1", "begin each name with acme_")
    assert (second.lesson_id, second.text.do) == ("L-2", "begin every name with acme_")


def test_curator_merges_lessons_into_the_first():
    (edit,) = edits(answered(curation(*TWO), "MERGE", ids=["L-2", "L-1"], when="w", do="d"))
    assert (edit.kind, edit.lesson_id, edit.merged, edit.evidence, edit.text.do) == ("merge", "L-2", ("L-1",), (E1,), "d")


def test_curator_merges_into_one_as_support():
    (edit,) = edits(answered(curation(*TWO), "MERGE", ids=["L-1"]))
    assert (edit.kind, edit.lesson_id, edit.text) == ("merge", "L-1", None)


def test_curator_retires_a_candidate_and_the_draft_takes_its_place():
    made = answered(curation(*TWO), "RETIRE", ids=["L-1"], reason="wrong")
    assert [(e.kind, e.lesson_id, e.reason) for e in edits(made)] == [("retire", "L-1", "wrong"), ("add", None, "learned")]


def test_a_model_never_retires_a_proven_lesson_but_a_person_is_told():
    made = answered(curation((lesson(do="use acme_", status="active"), NEAR)), "RETIRE", ids=["L-1"])
    added, flag = edits(made)
    assert (added.kind, flag.kind, flag.lesson_id, flag.against) == ("add", "contradict", "N1", ("L-1",))
    assert "only outcomes or a person" in flag.reason


def test_a_contradiction_keeps_both_and_names_both():
    added, flag = edits(answered(curation(*TWO), "CONFLICT", ids=["L-1"], reason="prefix or suffix?"))
    assert (added.name, flag.lesson_id, flag.against, flag.reason) == ("N1", "N1", ("L-1",), "prefix or suffix?")


def test_a_contradiction_follows_a_draft_that_becomes_part_of_another_lesson():
    made = answered(curation((lesson(do="use acme_"), NEAR), (lesson("L-2", do="end with acme"), FAR)), "CONFLICT", ids=["L-1"])
    made = answered(made, "MERGE", draft=candidate("prefix acme_", cosine=0.9, cites=(E3,)), ids=["N1", "L-1"], when="w", do="d")
    assert [e.kind for e in edits(made)] == ["revise"], "N1 is part of L-1 now, and a lesson does not contradict itself"


def test_only_ids_that_were_shown_count():
    near = [Neighbour("L-1", lesson().text, NEAR, related=True)]
    assert problem_of(CurateAnswer(action="RETIRE", ids=["L-7"]), near) == "ids: RETIRE must name one of L-1"
    assert problem_of(CurateAnswer(action="MERGE", ids=["L-7", "L-1"]), near) is None
    assert problem_of(CurateAnswer(action="ADD"), near) is None


def test_drafts_of_one_reflection_meet_each_other():
    made = curation()
    made.near(candidate("start with acme_"))
    made.near(candidate("start with acme_", cosine=SAME, cites=(E2,)))
    near = made.near(third := candidate("start with acme_ always", cosine=NEAR, cites=(E3,)))
    assert [n.name for n in near] == ["N1"]
    made.hear(third, near, Judged("q", CurateAnswer(action="REVISE", ids=["N1"])))
    (edit,) = edits(made)
    assert (edit.kind, edit.text.do, edit.evidence) == ("add", "start with acme_ always", (E1, E2, E3))


def test_a_draft_that_joins_a_lesson_and_an_earlier_draft_takes_its_evidence_along():
    made = curation((lesson(do="use acme_"), 0.3))
    made.near(candidate("start with acme_"))
    near = made.near(second := candidate("prefix acme_", cosine=NEAR, cites=(E3,)))
    assert [n.name for n in near] == ["L-1", "N1"]
    made.hear(second, near, Judged("q", CurateAnswer(action="MERGE", ids=["N1", "L-1"], when="w", do="d")))
    (edit,) = edits(made)
    assert (edit.kind, edit.lesson_id, set(edit.evidence)) == ("revise", "L-1", {E1, E3})


def test_other_namespaces_are_not_met():
    made = curation()
    made.near(candidate())
    assert made.near(candidate(namespace=("b",), cosine=NEAR)) == []
    assert [p.namespace for p in made.proposals] == [SPACE, ("b",)]


@pytest.mark.parametrize(("status", "kinds"), [("proposed", ["merge"]), ("quarantined", []), ("retired", [])])
def test_the_same_as_an_unserved_lesson_is_not_added_again(status, kinds):
    made = curation((lesson(status=status), SAME))
    assert made.near(candidate()) == []
    assert [e.kind for e in edits(made)] == kinds
    assert reasons(made) == ([] if kinds else [f"L-1 says the same and is {status}"])


def test_the_curator_is_not_asked_about_lessons_that_are_not_served():
    made = curation((lesson(do="use acme_", status="retired"), NEAR))
    assert made.near(candidate()) == []
    assert [e.kind for e in edits(made)] == ["add"]


def test_nothing_harmless_becomes_part_of_a_draft_that_will_be_quarantined():
    made = curation()
    made.near(candidate("look it up at https://names.example.com/list", cites=(E1,)))
    assert made.near(candidate("look it up in the list of names", cites=(E3,), cosine=NEAR)) == []
    assert [(e.kind, e.evidence) for e in edits(made)] == [("add", (E1,)), ("add", (E3,))]


def test_a_superseded_lesson_is_not_met():
    made = curation((lesson(status="superseded"), SAME))
    made.near(candidate())
    assert [e.kind for e in edits(made)] == ["add"]


def test_without_an_answer_the_draft_is_not_taken_and_its_group_waits():
    made = curation(*TWO)
    made.hear(candidate(), made.near(candidate()), Judged("q", problem="no usable answer"))
    assert made.given_up == [(0, "the curator gave no usable answer", None)]
    assert (reasons(made), edits(made)) == (["the curator gave no usable answer"], [])


def test_the_policys_numbers_win_over_the_calibrated_ones_and_keep_their_order():
    calibrated = Likeness(same=0.95, near=0.6, alike=0.7)
    assert measures_of(ReflectionPolicy(), calibrated).likeness == calibrated
    assert measures_of(ReflectionPolicy(near=0.8), calibrated).likeness == Likeness(same=0.95, near=0.8, alike=0.8)
    assert measures_of(ReflectionPolicy(same=0.65), calibrated).likeness == Likeness(same=0.65, near=0.6, alike=0.65)


ACTIONS = st.sampled_from(["ADD", "REVISE", "MERGE", "RETIRE", "CONFLICT", "NOOP"])
DRAFTS = st.lists(
    st.tuples(st.floats(0, 1, width=32), ACTIONS, st.lists(st.sampled_from(["L-1", "L-2", "N1", "N2", "L-9"]), max_size=3)), max_size=8
)


@given(DRAFTS)
def test_whatever_the_curator_says_no_support_is_lost_or_invented(drafts):
    made = curation((lesson("L-1"), 0.9), (lesson("L-2"), 0.5))
    for number, (cosine, action, ids) in enumerate(drafts):
        draft = candidate(f"advice {'abcdefgh'[number]}", cites=(UUID(int=100 + number),), cosine=cosine)
        if near := made.near(draft):
            made.hear(draft, near, Judged("q", CurateAnswer(action=action, ids=ids, reason="r")))
    gained = [e for edit in edits(made) for e in edit.evidence]
    cited = {UUID(int=100 + number) for number in range(len(drafts))}
    assert len(gained) == len(set(gained)), "an episode supports one edit"
    assert set(gained) <= cited
    refused = sum(max(1, len(r.edit.evidence)) for r in made.refused) + sum(e.kind == "contradict" for e in edits(made))
    assert len(gained) + refused >= len(drafts), "what is not taken is refused with a reason"
    names = {e.name for e in edits(made) if e.kind == "add"} | {"L-1", "L-2"}
    assert all({e.lesson_id, *e.against, *e.merged} - {None} <= names for e in edits(made))
