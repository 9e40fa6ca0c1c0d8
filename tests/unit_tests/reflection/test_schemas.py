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
