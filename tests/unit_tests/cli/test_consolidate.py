from uuid import UUID

import pytest

from langchain_reflect import learner
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import Lesson, Revision
from tests.unit_tests.words import Words

DO = "begin the name of the tool with the prefix acme_ and then the verb"


@pytest.fixture
def near(ledger, monkeypatch) -> list[str]:
    """Three lessons that nearly say the same, and an embedder that sees words."""
    monkeypatch.setattr(learner, "resolve_embedder", lambda _: resolve_embedder(Words()))
    lessons = [
        Lesson(id=f"L-1{n}", when="a name for a tool is asked for", do=f"{DO} {verb}", evidence=(UUID(int=n),))
        for n, verb in enumerate(("list", "create", "delete"))
    ]
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="human") for lesson in lessons])
    return [lesson.id for lesson in lessons]


@pytest.fixture
def says(monkeypatch):
    """Let the model say something."""

    def says(*answers):
        monkeypatch.setattr(learner, "resolve_model", lambda _: ScriptedChatModel(answers=list(answers)))

    return says


def test_near_lessons_become_one(run, home, near, ledger, says):
    says({"do": DO, "when": "a name for a tool is asked for", "covers": near})
    ran = run("--path", home, "consolidate", "--model", "scripted:any")
    assert ran.code == 0
    assert ran.out.startswith("1 clusters, 1 proposals: 1 general lessons, 0 wait for a person, 0 lessons retired; 1 calls")
    assert [lesson.do for lesson in ledger.lessons(statuses={"candidate"})] == [DO]


def test_a_dry_run_shows_the_proposal_and_changes_no_lesson(run, home, near, ledger, says):
    says({"do": DO, "when": "a name for a tool is asked for", "covers": near})
    ran = run("--path", home, "consolidate", "--dry-run", "--model", "scripted:any")
    assert (ran.code, "nothing was changed" in ran.out, "would be applied" in ran.out) == (0, True, True)
    assert {lesson.id for lesson in ledger.lessons(statuses={"candidate"})} == set(near)


def test_an_answer_that_cannot_be_used_ends_with_exit_code_1(run, home, near, says):
    says("no", "no")
    ran = run("--path", home, "consolidate", "--model", "scripted:any")
    assert ran.code == 1
    assert f"cluster {', '.join(near)}: no usable answer" in ran.err


def test_what_was_refused_is_told_and_asked_again_with_retry(run, home, near, says):
    says({"covers": [], "reason": "they differ"})
    assert "they differ" in run("--path", home, "consolidate", "--model", "scripted:any").out
    assert run("--path", home, "consolidate", "--model", "scripted:any", "--json").json["groups"] == 0
    says({"covers": []})
    assert run("--path", home, "consolidate", "--model", "scripted:any", "--retry", "--json").json["groups"] == 1


def test_only_the_namespace_that_is_named_is_consolidated(run, home, near, says):
    says()
    assert run("--path", home, "consolidate", "--namespace", "acme", "--model", "scripted:any", "--json").json["groups"] == 0


def test_without_a_ledger_or_a_model_it_says_what_to_do(run, home, near, tmp_path):
    assert run("--path", tmp_path / "nowhere", "consolidate").code == 1
    assert not (tmp_path / "nowhere").exists()
    ran = run("--path", home, "consolidate")
    assert (ran.code, "model" in ran.err) == (1, True)
