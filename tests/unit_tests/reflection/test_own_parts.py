"""Grouping and curator of the user's: what they choose counts, and what they do wrong is told and loses nothing."""

from uuid import UUID

import pytest

from langchain_reflect.errors import InvalidInput, ReflectionFailed
from langchain_reflect.reflection import ReflectionPolicy, build_reflection_graph, reflect
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import LessonEdit, LessonText

DRAFT = {"when": "naming a tool", "do": "Begin every tool name with acme_", "cites": ["R1", "R2"]}
NEAR = LessonText(when="naming a tool", do="Begin every new tool name with acme")
ASK = ReflectionPolicy(near=0.5, alike=0.95, same=0.99)


@pytest.fixture
def run(book, ledger, rollout, keep):
    keep(rollout(1, 1.0, answer="acme_delete_invoices"), rollout(2, 0.0, "No."), rollout(3, 0.0, "No.", answer="remove"))

    def go(**parts):
        return reflect(build_reflection_graph(ScriptedChatModel(answers=[{"lessons": [DRAFT]}]), book, ledger=ledger, **parts))

    return go


@pytest.fixture
def known(book) -> str:
    edit = LessonEdit(kind="add", text=NEAR, evidence=(UUID(int=9),), tasks=("Name the tool that deletes invoices",))
    return book.commit([edit], namespace=("default",), actor="R-0123456789ab")[0].lesson_id


async def no_grouping(rollouts, *, vectors, policy, now):
    return []


async def no_curator(draft, near):
    return CurateAnswer(action="ADD")


@pytest.mark.parametrize("grouping", [no_grouping, lambda *_, **__: None, lambda *_, **__: ["naming"]])
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_grouping_that_returns_no_groups_is_refused_and_everything_stays_due(run, grouping):
    with pytest.raises(InvalidInput, match="expected a list of RolloutGroup"):
        run(grouping=grouping)
    assert run().groups == 1


def test_a_group_that_is_empty_or_given_twice_or_of_another_namespace_makes_no_job_of_its_own(run, ledger):
    def grouping(rollouts, **given):
        (group,) = ready_groups(rollouts, **given)
        return [group.model_copy(update={"namespace": ("other",)}), group.model_copy(update={"rollouts": ()}), group, group]

    assert run(grouping=grouping).groups == 1
    assert [job.namespace for job in ledger.jobs()] == [("default",)]


def test_a_job_that_somebody_else_planned_meanwhile_is_taken_all_the_same(run, ledger):
    def grouping(rollouts, **given):
        groups = ready_groups(rollouts, **given)
        assert ledger.plan(groups) == 1
        return groups

    assert run(grouping=grouping).groups == 1


def test_a_curators_word_counts_in_place_of_the_models(run, book, known):
    run(policy=ASK, curator=lambda _, near: CurateAnswer(action="MERGE", ids=[near[0].name]))
    (lesson,) = book.list()
    assert (lesson.id, lesson.do, len(lesson.evidence)) == (known, NEAR.do, 3)


@pytest.mark.parametrize(
    ("curator", "told"),
    [(lambda *_: 1 / 0, "ZeroDivisionError"), (no_curator, "expected a CurateAnswer"), (lambda *_: None, "expected a CurateAnswer")],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("known")
def test_a_curator_that_fails_or_gives_no_answer_parks_the_group_and_changes_nothing(run, book, ledger, curator, told):
    before = book.list()
    report = run(policy=ASK, curator=curator)
    assert told in report.errors[0]
    assert "is parked" in report.errors[0]
    assert (book.list(), [job.state for job in ledger.jobs()]) == (before, ["parked"])


@pytest.mark.parametrize(
    "given", [{"grouping": 5}, {"curator": "x"}, {"policy": {"max_lessons": 3}}, {"prompts": "hello"}], ids=lambda given: next(iter(given))
)
def test_a_part_of_the_wrong_kind_is_refused_when_it_is_given(run, given):
    with pytest.raises(InvalidInput, match=f"{next(iter(given))}=.*expected a"):
        run(**given)


def test_a_grouping_that_fails_is_named_and_everything_stays_due(run):
    with pytest.raises(ReflectionFailed, match=r"the grouping failed, and nothing was changed: TypeError: .*vectors"):
        run(grouping=lambda rollouts: [])
    assert run().groups == 1
