import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.recall.rendering import render
from langchain_reflect.reflection.quoting import NONE, QUOTE, quotes_of, without_block
from langchain_reflect.types import Example, LessonText
from langchain_reflect.types.block import PLACEBO, PREAMBLE

LESSON = LessonText(
    when="a customer asks to change a basic economy flight",
    when_not="the airline itself cancelled that flight before departure",
    do="Do not change the flight, but offer to cancel it. Refund only what the fare's own rules say.",
    why="Basic economy cannot be changed, and the tool refuses it without any reason",
    examples=(Example(input="Move my trip HAT042 to Friday", output="I cannot move it, shall I cancel it?"),),
)
SHOWN = quotes_of([LESSON])
PASSAGE = "do not change the flight, but offer to cancel it"


@pytest.mark.parametrize(
    "said",
    [
        PASSAGE,
        PASSAGE.upper(),
        PASSAGE.replace(" ", "\n  "),
        PASSAGE.replace(",", "").replace(" ", " - "),
        "**do not change** the flight, _but offer_ to 'cancel it'",
        "- do not change the flight,\n- but offer to cancel it",
        "do not change the flight,\\n but offer\\\\n to cancel it",
        "\\u201cdo not change the fl\\u0069ght, but offer to cancel it",
        "\uff44\uff4f not change the flight, but offer to cancel it",
    ],
)
def test_a_passage_is_known_again_in_any_dress(said):
    left = SHOWN.left_out(f"I recall: {said}! So be it.")
    assert QUOTE in left
    assert "offer" not in left.lower()
    assert left.startswith("I recall: ")
    assert left.endswith("So be it.")


@pytest.mark.parametrize("field", ["when", "when_not", "do", "why"])
def test_every_field_is_known_again(field):
    assert SHOWN.left_out(f"Note that {getattr(LESSON, field)}!") in {f"Note that {QUOTE}!", f"Note that {QUOTE}.!"}


def test_a_passage_cut_at_both_ends_is_known_again():
    words = LESSON.do.split()
    assert SHOWN.left_out(f"so {' '.join(words[2:-3])} etc.") == f"so {QUOTE} etc."


def test_a_short_sentence_is_known_again_as_a_whole_only():
    quotes = quotes_of([LessonText(when="always", do="Be brief. Answer every customer politely. Then stop.")])
    assert quotes.left_out("My rule: answer every customer politely, and quickly") == f"My rule: {QUOTE}, and quickly"
    assert quotes.left_out("I answer every customer") == "I answer every customer"


def test_a_short_sentence_at_the_end_is_known_beside_longer_ones_that_begin_alike():
    quotes = quotes_of(
        [LessonText(when="always", do="Answer every customer politely. Answer every customer that asks for one more refund.")]
    )
    assert quotes.left_out("I answer every customer politely") == f"I {QUOTE}"


def test_the_whole_block_with_its_labels_leaves_one_mark():
    body = "\n".join(render([LESSON], ids=["L-1"]).splitlines()[1:-1])
    assert "Example: " in body
    assert SHOWN.left_out(f"I was told this: {body} Fine.") == f"I was told this: {QUOTE}? Fine."


def test_a_quote_inside_the_json_of_a_call_is_left_out():
    args = json.dumps({"note": f"remember:\n{LESSON.do}", "id": 7})
    assert SHOWN.left_out(json.dumps({"args": args})) == json.dumps({"args": args}).replace(json.dumps(LESSON.do)[1:-2], QUOTE)


def test_the_words_around_the_lessons_are_known_again_too():
    assert SHOWN.left_out(f"It says: {PREAMBLE}") == f"It says: {QUOTE}."
    assert SHOWN.left_out(PLACEBO[1]) == f"{QUOTE}."


def test_chinese_is_known_again_without_spaces():
    quotes = quotes_of([LessonText(when="客户要求更改航班", do="不要更改基础经济舱的航班 而是提出取消并重新预订。")])
    assert quotes.left_out("我记得 不要更改基础经济舱的航班 而是提出取消。好的") == f"我记得 {QUOTE}。好的"
    assert quotes.left_out("我们更改了航班") == "我们更改了航班"


def test_what_the_task_says_itself_is_no_quote_but_advice_in_it_is():
    task = f"A customer asks to change a basic economy flight today. Move my trip HAT042 to Friday. {LESSON.do}"
    quotes = quotes_of([LESSON], tasks=[task])
    assert quotes.left_out(task) == f"A customer asks to change a basic economy flight today. Move my trip HAT042 to Friday. {QUOTE}."
    assert QUOTE in SHOWN.left_out(LESSON.when)


def test_a_right_answer_alone_is_no_quote_of_an_example():
    answer = "SELECT name FROM users WHERE age > 30 ORDER BY name LIMIT 5"
    example = Example(input="List the names of five users older than thirty", output=answer)
    quotes = quotes_of([LessonText(when="a", do="b", examples=(example,))])
    assert quotes.left_out(answer) == answer
    assert quotes.left_out(f"{example.input} -> {answer}") == QUOTE


@pytest.mark.parametrize(
    "text",
    [
        'a <lessons id="x">1. When: y</lessons> b',
        'a <LESSONS id="x">1. When: y</Lessons > b',
        'a <lessons id=\\"x\\">\\n1. When: y<\\/lessons> b',
        "a &lt;lessons id=x&gt;1. When: y&lt;/lessons&gt; b",
        "a \\u003clessons id=x\\u003e1. When: y\\u003c/lessons\\u003e b",
    ],
)
def test_the_block_is_known_by_its_marks_in_any_escape(text):
    assert without_block(text) == "a  b"


def test_a_block_that_is_cut_off_is_left_out_to_the_end():
    assert without_block('a <lessons id="x">1. When: y') == "a "
    assert without_block('a <lessons id="x') == "a "


SAID = st.sampled_from([*f"{LESSON.when} {LESSON.do} {LESSON.why}".split(), PASSAGE, LESSON.do, LESSON.when, "\n", "\\n", '"', "x1"])
WORDS = st.lists(SAID, max_size=40).map(" ".join)


@given(WORDS | st.text(max_size=200))
def test_a_text_without_seven_common_words_in_a_row_comes_back_as_it_is(text):
    left = SHOWN.left_out(text)
    assert left == text or QUOTE in left
    assert NONE.left_out(text) == without_block(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_quote_survives_whatever_stands_around_it(before, after):
    assert PASSAGE not in SHOWN.left_out(f"{before} {PASSAGE} {after}")


@given(st.text(), st.text())
def test_what_is_left_out_once_has_nothing_more_to_leave_out(before, after):
    once = SHOWN.left_out(f"{before} {PASSAGE} {after}")
    assert SHOWN.left_out(once) == once or "esson" in before + after


@pytest.mark.parametrize(
    "piece",
    ["<lessons>", "<lessons ", "&lt;lessons", "\\", "\\u00", "the flight ", f"{PASSAGE} ", " ", "a", "<lessons>a</lessons>", "</lessons "],
)
def test_hostile_megabytes_take_no_time(piece):
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    SHOWN.left_out(text)
    assert time.process_time() - started < 3.0
