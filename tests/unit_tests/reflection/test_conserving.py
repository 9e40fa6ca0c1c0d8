"""What vectors do not see must be said letter by letter: names, numbers, prohibitions and exceptions."""

import pytest

from langchain_reflect.reflection.conserving import kept_examples, lost, specifics
from langchain_reflect.types import Example, Lesson, LessonText


def lesson(do: str, number: int = 1, **more) -> Lesson:
    return Lesson(id=f"L-{number}", **({"when": "a refund is asked for", "do": do} | more))


def text(do: str, **more) -> LessonText:
    return LessonText(**({"when": "a refund is asked for", "do": do} | more))


@pytest.mark.parametrize(
    ("advice", "expected"),
    [
        ("Start the name with the prefix acme_, then the verb.", ["acme_"]),
        ("Write dates as %Y-%m-%d.", ["%Y-%m-%d"]),
        ("Give at most 20 % back, and ask above $1,500.", ["20", "1,500"]),
        ("Call getOrder() first; then `cancel order`.", ["cancel order", "getOrder"]),
        ("Quote amounts in USD. NEVER guess.", ["USD"]),
        ("Say \"I don't know\" if you don't.", ["I don't know"]),
        ("Check the user's fare class first.", []),
        ("1. Check the fare. 2) Ask. Then wait 3 days.", ["3"]),
    ],
)
def test_names_numbers_and_quotes_are_read_from_an_advice(advice, expected):
    assert specifics(advice) == expected


@pytest.mark.parametrize(
    ("source", "general"),
    [
        (lesson("use the prefix acme_"), text("use the prefix of the house")),
        (lesson("refund up to 20 dollars"), text("refund up to 200 dollars")),
        (lesson("never refund twice"), text("refund twice")),
        (lesson("refund at once"), text("do not refund at once")),
        (lesson("refund at once", when_not="the order was shipped already"), text("refund at once")),
        (lesson("refund at once", when_not="the order was shipped"), text("refund at once", when_not="a person is asking")),
        (lesson("refund at once", when_not="above 20 dollars"), text("refund at once", when_not="above some dollars")),
    ],
)
def test_what_a_source_says_may_not_get_lost(source, general):
    assert lost(general, [source]) is not None


@pytest.mark.parametrize(
    ("source", "general"),
    [
        (lesson("use the prefix acme_"), text("begin names with acme_ and a verb")),
        (lesson("never refund twice"), text("refund once and not again")),
        (lesson("refund at once", when_not="the order was shipped already"), text("refund", when_not="orders that were shipped")),
        (lesson("refund at once", when_not="the order was shipped"), text("refund at once unless the order was shipped")),
    ],
)
def test_other_words_for_the_same_are_accepted(source, general):
    assert lost(general, [source]) is None


def test_a_detail_may_live_on_in_an_example():
    shown = Example(input="list an invoice", output="acme_list_invoice")
    source = lesson("use the prefix acme_", examples=(Example(input="a", output="b"), shown))
    other = lesson("use the prefix", 2, examples=(Example(input="c", output="d"),))
    general = text("use the prefix of the house")
    assert kept_examples(general, [source, other])[0] == shown
    assert lost(general, [source, other]) is None
    assert lost(general, [source.model_copy(update={"examples": ()}), other]) == "L-1 says 'acme_' and the new lesson does not"
