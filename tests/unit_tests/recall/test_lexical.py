import hypothesis.strategies as st
import pytest
from hypothesis import given

from langchain_reflect.recall import lexical as module
from langchain_reflect.recall.lexical import MAX_CHARS, LexicalIndex, lesson_words, words
from langchain_reflect.types import Lesson


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("getUserId", ["getuserid", "get", "user", "id"]),
        ("update_reservation_flights", ["update_reservation_flights", "updat", "reserv", "flight"]),
        ("HTTPServerError", ["httpservererror", "http", "server", "error"]),
        ("src/app.py", ["src", "app", "py"]),
        ("ORA00942", ["ora00942", "ora", "00942"]),
        ("the flights", ["flight"]),
        ("退款政策", ["退款", "款政", "政策"]),
        ("mail jo.do@example.com now", ["mail"]),
        ("!?", []),
    ],
)
def test_a_text_is_taken_apart(text, found):
    assert words(text) == found


def test_forms_of_one_word_are_one():
    assert len({*words("refund refunds refunded refunding")}) == 1


def test_what_is_too_long_is_not_read():
    assert "end" not in words("a " * MAX_CHARS + "end")


def test_a_lesson_is_found_by_title_condition_advice_and_tasks():
    lesson = Lesson(id="L", title="Alpha", when="beta", do="gamma", tasks=("delta",), why="epsilon")
    assert lesson_words(lesson) == ["alpha", "beta", "gamma", "delta"]


def index_of(**texts):
    return LexicalIndex((name, words(text)) for name, text in texts.items())


def names(hits):
    return [name for name, _ in hits]


def test_rare_words_count_more_than_common_ones():
    index = index_of(a="flight booking", b="flight zebra", c="flight change", d="hotel")
    assert names(index.best("zebra flight", 9))[0] == "b"


def test_a_name_does_not_outweigh_what_is_to_be_done():
    orders = {f"order{n}": f"cancel the order of {who}" for n, who in enumerate(("Ana", "Ben", "Cleo", "Dan"))}
    others = {f"other{n}": f"Greet {who}" for n, who in enumerate(("Eve", "Fay", "Gil", "Hal", "Ida", "Jon"))}
    assert names(index_of(**orders, **others).best("cancel an order for Eve", 9))[-1] == "other0"


def test_a_rare_identifier_counts_for_more_than_a_rare_word():
    index = index_of(**{f"{n}": "sort some numbers" for n in range(9)}, word="get user id zebra", identifier="get_user_id")
    assert names(index.best("sort numbers with get_user_id and zebra", 2)) == ["identifier", "word"]


def test_a_short_lesson_wins_over_a_long_one_that_says_the_same():
    index = index_of(long="refund " + "other words about many things " * 5, short="refund policy")
    assert names(index.best("refund", 9)) == ["short", "long"]


def test_a_lesson_that_shares_no_word_is_not_found():
    assert index_of(a="flight", b="hotel").best("zebra", 9) == []
    assert LexicalIndex().best("zebra", 9) == []


def test_no_more_are_returned_than_asked_for():
    index = index_of(a="flight", b="flight hotel", c="flight hotel car")
    assert names(index.best("flight", 2)) == ["a", "b"]
    assert index.best("flight", 0) == []


def test_what_a_task_repeats_counts_once():
    index = index_of(a="flight", b="hotel car")
    assert index.best("flight hotel", 9) == index.best("flight flight flight hotel", 9)


TEXT = st.lists(st.sampled_from(["flight", "hotel", "car", "refund", "zebra"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), TEXT)), max_size=12), TEXT)
def test_an_index_that_followed_changes_is_the_index_built_anew(changes, task):
    followed, last = LexicalIndex(), {}
    for name, text in changes:
        followed.best(task, 9)
        last.pop(name, None)
        if text is None:
            followed.remove(name)
        else:
            followed.put(name, words(text))
            last[name] = text
    anew = index_of(**last)
    assert len(followed) == len(last)
    assert dict(followed.best(task, 9)) == pytest.approx(dict(anew.best(task, 9)))


def test_the_gaps_of_removed_lessons_are_closed(monkeypatch):
    monkeypatch.setattr(module, "_SPARE", 0)
    index = index_of(a="flight hotel", b="hotel", c="car flight")
    for name in "ab":
        index.remove(name)
    assert len(index._ids) == 1
    assert index.best("flight car hotel", 9) == index_of(c="car flight").best("flight car hotel", 9)
