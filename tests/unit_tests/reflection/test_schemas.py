import time

import pytest
from pydantic import ValidationError

from langchain_reflect.reflection.schemas import LONG, SHORT, CurateAnswer, DraftAnswer, DraftsAnswer, shorten

GOOD = {"do": "begin with acme_", "when": "naming", "cites": ["R1"]}


def test_fields_are_capped_at_words():
    draft = DraftAnswer(do="word " * 100, when="word " * 100)
    assert draft.do.endswith("word…")
    assert (len(draft.do) <= LONG, len(draft.when) <= SHORT) == (True, True)


@pytest.mark.parametrize("data", [{"lessons": GOOD}, [GOOD], GOOD, {"lessons": [GOOD], "note": 1}, {"lessons": [GOOD, {"do": ""}]}])
def test_near_misses_of_the_form_are_understood(data):
    assert [d.do for d in DraftsAnswer.model_validate(data).lessons] == ["begin with acme_"]


@pytest.mark.parametrize(
    "data", [{}, None, "text", 3, {"lessons": None}, {"lessons": "x"}, {"lessons": [3]}, {"lessons": [{"do": " "}]}, {"lessons": [{}]}]
)
def test_what_says_nothing_is_refused(data):
    with pytest.raises(ValidationError):
        DraftsAnswer.model_validate(data)


def test_no_lesson_is_an_answer():
    assert DraftsAnswer.model_validate({"lessons": []}).lessons == []


@pytest.mark.parametrize(("cites", "labels"), [("R1, R2", ["R1", "R2"]), ([1, "[R2]"], ["1", "R2"]), (None, []), (3, ["3"])])
def test_labels_are_read_in_any_form(cites, labels):
    assert DraftAnswer(**{**GOOD, "cites": cites}).cites == labels


@pytest.mark.parametrize("when", ["R1, R2 and R3", "none", "N/A", "...", "task", None, "[R2]"])
def test_a_condition_that_is_none_is_empty(when):
    assert DraftAnswer(**{**GOOD, "when": when}).when == ""
    assert DraftAnswer(**{**GOOD, "when": when}).text(when="in general").when == "in general"


def test_action_is_read_in_any_case():
    assert CurateAnswer(action=" merge ").action == "MERGE"
    with pytest.raises(ValidationError):
        CurateAnswer(action="DESTROY")


def test_invisible_characters_are_removed():
    assert DraftAnswer(do="a\u200bb\nc", when="x").do == "ab c"


def test_shorten_leaves_short_texts_and_cuts_one_long_word():
    assert shorten("short", 10) == "short"
    assert shorten("x" * 20, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("do", [3, True, {"rule": "x"}, [["x"]], [1], float("nan"), "x" * 5000])
@pytest.mark.parametrize("data", [lambda d: {"lessons": [d]}, lambda d: {"lessons": [{**GOOD, "do": ""}, d]}])
def test_advice_that_is_no_text_is_refused_whatever_stands_beside_it(data, do):
    with pytest.raises(ValidationError, match="expected"):
        DraftsAnswer.model_validate(data({**GOOD, "do": do}))


@pytest.mark.parametrize("nothing", [None, False, [], {}, "", "N/A"])
def test_what_says_that_there_is_no_exception_is_none(nothing):
    assert DraftAnswer(**{**GOOD, "when_not": nothing}).when_not == ""


@pytest.mark.parametrize("cites", [[{"id": "R1"}], [["R1"]], True, 1.5, {"R1": 1}, [None]])
def test_labels_are_texts_or_numbers(cites):
    with pytest.raises(ValidationError, match="expected labels"):
        DraftAnswer(**{**GOOD, "cites": cites})


def test_more_lessons_than_anybody_asked_for_are_no_answer():
    assert len(DraftsAnswer.model_validate({"lessons": [GOOD] * 20}).lessons) == 20
    with pytest.raises(ValidationError, match="got 21"):
        DraftsAnswer.model_validate({"lessons": [GOOD] * 21})


def test_a_row_of_labels_takes_no_longer_than_its_length():
    started = time.perf_counter()
    assert DraftAnswer(do=" ".join(f"R{n}" for n in range(400)) + " show it").do
    assert time.perf_counter() - started < 1
