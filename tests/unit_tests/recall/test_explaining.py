"""Why a task gets what it gets."""

import json

import pytest

from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons import finding
from langchain_reflect.recall.explaining import EXPLAINED, Explanation
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import SPARE, Recaller
from langchain_reflect.recall.shelf import LexicalShelf
from langchain_reflect.types import Lesson

from .conftest import FLIGHTS, LETTERS, REFUNDS, book_of

HERE = ("default",)
TASK = "Move my basic economy flight to next Friday"
POLICY = RecallPolicy(k=1, holdout=0.2, withhold=0.3)


@pytest.fixture(scope="module")
def explaining(book, minilm):
    return Recaller(book, minilm, words=LexicalShelf(book.ledger), utilities=lambda ids: dict.fromkeys(ids, 0.1))


def test_the_parts_of_a_score_add_up_and_agree_with_what_a_run_gets(explaining):
    found = explaining.explain(TASK, namespace=HERE, policy=POLICY)
    recalled = explaining.recall(TASK, namespace=HERE, policy=POLICY)
    assert (found.block, found.note, found.lessons) == (recalled.block, recalled.note, recalled.lessons)
    assert {c.lesson.id: (c.score, c.reason, c.tokens) for c in found.considered} == {
        m.lesson.id: (m.score, m.reason, m.tokens) for m in recalled.matches
    }
    for each in found.considered:
        assert each.score == pytest.approx(each.fused + each.utility)
        assert each.utility == pytest.approx(0.015 + (0.02 if each.lesson.status == "active" else 0.0))
    assert [each.rank for each in found.considered] == [1, 2, 3]


def test_it_says_which_text_was_nearest(explaining):
    by_task, by_advice = (explaining.explain(text, namespace=HERE, policy=POLICY).considered[0] for text in (TASK, LETTERS.key_text()))
    assert (by_task.nearest, by_task.nearest_text) == ("task", FLIGHTS.tasks[0])
    assert (by_advice.lesson.id, by_advice.nearest, by_advice.nearest_text) == ("L-letters", "lesson", LETTERS.key_text())


@pytest.mark.parametrize(("given", "floor"), [(None, (0.28, "calibrated")), (0.1, (0.1, "given"))])
def test_it_says_which_floor_decides_and_where_it_comes_from(explaining, given, floor):
    found = explaining.explain(TASK, namespace=HERE, policy=RecallPolicy(floor=given))
    assert (found.floor, found.floor_source) == floor
    assert found.fit > 0.28


def test_it_tells_what_chance_would_do_and_the_budget(explaining):
    found = explaining.explain(TASK, namespace=HERE, policy=POLICY)
    assert (found.holdout, found.considered[0].shown_with) == (0.2, 0.7)
    assert 0 < found.tokens <= found.max_tokens == 300


def test_it_says_what_answered(book, minilm, monkeypatch):
    explaining = Recaller(book, minilm, words=LexicalShelf(book.ledger))
    assert explaining.explain(TASK, namespace=HERE, policy=POLICY).path == "memory"
    assert Recaller(book, minilm).explain(TASK, namespace=HERE, policy=POLICY).path in ("index", "ledger")
    monkeypatch.setattr(book._finder._follower, "query", lambda *_: None)
    monkeypatch.setattr(finding, "EXACT", 0)
    found = Recaller(book, minilm).explain(TASK, namespace=HERE, policy=POLICY)
    assert (found.path, found.fit, found.floor) == ("ledger", None, 0.37)


def test_lessons_that_a_run_would_not_rank_are_told_of_and_the_rest_counted(ledger, minilm):
    many = [Lesson(id=f"L-{n:03}", when=f"A user asks about invoice {n}", do=f"Look up invoice {n}.") for n in range(80)]
    recaller = Recaller(book_of(ledger, minilm, many, ExactIndex()), minilm, words=LexicalShelf(ledger))
    found = recaller.explain("What is on invoice 7?", namespace=HERE, policy=POLICY)
    assert found.ranked == POLICY.k + SPARE
    assert len(found.considered) == found.ranked + EXPLAINED
    assert found.more == 80 - len(found.considered)
    assert {each.reason for each in found.considered[found.ranked :]} <= {"beyond the candidates", "below floor"}
    recalled = recaller.recall("What is on invoice 7?", namespace=HERE, policy=POLICY)
    assert [c.lesson.id for c in found.considered[: found.ranked]] == [m.lesson.id for m in recalled.matches]


async def test_async_says_the_same(explaining):
    given = {"namespace": HERE, "policy": POLICY}
    assert await explaining.aexplain(TASK, **given) == explaining.explain(TASK, **given)
    assert await explaining.aexplain(" ", **given) == explaining.explain(" ", **given)


def test_nothing_to_explain_is_said(explaining):
    found = explaining.explain(TASK, namespace=("nobody",), policy=POLICY)
    assert (found.note, found.considered, found.path) == ("no lessons", (), None)
    assert "Nothing would be shown: no lessons" in str(found)


def test_a_table_for_people_one_for_notebooks_and_json(explaining):
    found = explaining.explain(TASK, namespace=HERE, policy=POLICY)
    text = str(found)
    assert text.splitlines()[0].split() == ["rank", "lesson", "cosine", "by", "words", "fused", "utility", "score", "tokens", "when"]
    assert "Floor 0.280 (calibrated), the best lessons fit by " in text
    assert "a run gets none by chance with probability 0.2" in text
    assert text.endswith(found.block)
    assert "<td>L-flights</td>" in found._repr_html_()
    assert Explanation.model_validate_json(found.model_dump_json()) == found
    assert json.loads(found.model_dump_json())["considered"][0]["nearest"] == "task"


def test_a_notebook_runs_nothing_that_a_lesson_says(ledger, minilm):
    evil = Lesson(id="L-1", when="<script>alert(1)</script> flights", do="x")
    recaller = Recaller(book_of(ledger, minilm, [evil], ExactIndex()), minilm)
    shown = recaller.explain("flights", namespace=HERE, policy=RecallPolicy(floor=-1.0))._repr_html_()
    assert "<script>" not in shown


def test_utility_decides_among_lessons_of_equal_fit(ledger, minilm):
    same = [REFUNDS.model_copy(update={"id": f"L-{n}"}) for n in range(3)]
    recaller = Recaller(book_of(ledger, minilm, same, ExactIndex()), minilm, words=LexicalShelf(ledger), utilities=lambda _: {"L-2": 0.1})
    assert recaller.recall("May I get a refund of my flight?", namespace=HERE, policy=POLICY).matches[0].lesson.id == "L-2"
