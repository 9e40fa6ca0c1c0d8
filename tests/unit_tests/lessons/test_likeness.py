import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons import calibration
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.lessons.likeness import UNKNOWN, Likeness, likeness_from, says_same
from langchain_reflect.lessons.paraphrases import TRIOS
from langchain_reflect.types import LessonText
from tests.unit_tests.words import Words


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def trios(twin: float, other: float, count=8):
    """Each trio in a plane of its own, with these cosines to its first text."""
    made = np.zeros((count, 3, 3 * count))
    for n in range(count):
        made[n, :, 3 * n] = 1, twin, other
        made[n, 1, 3 * n + 1] = np.sqrt(1 - twin**2)
        made[n, 2, 3 * n + 2] = np.sqrt(1 - other**2)
    return made


class Given:
    """An embedder that returns what a function makes of the texts."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def embed_documents(self, texts):
        self.calls += len(texts) > 1
        return self.function(texts)

    def embed_query(self, text):
        return self.function([text])[0]


def words(shift=0):
    return Embedder("words", lambda: Words(shift))


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", durability="fast") as opened:
        yield opened


# Thresholds from vectors


def test_thresholds_lie_between_twins_and_others():
    found = likeness_from(trios(0.8, 0.6))
    assert (found.near, found.alike, found.same) == pytest.approx((0.7, 0.7, 0.85)), "all twins lie above `alike`, so `near` ends there"


def test_outlying_twins_move_only_where_the_curator_is_asked():
    far = trios(0.8, 0.4)
    far[-2:] = trios(0.2, 0.4)[-2:]
    close, found = likeness_from(trios(0.8, 0.4)), likeness_from(far)
    assert (found.alike, found.same) == pytest.approx((close.alike, close.same))
    assert found.near < close.near


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.5), st.floats(0, 3))
def test_near_is_never_above_alike_nor_alike_above_same(seed, noise, bias):
    random = np.random.default_rng(seed)
    lesson, other = random.normal(size=(2, 12, 1, 16))
    again = lesson + noise * random.normal(size=(12, 1, 16))
    found = likeness_from(unit(np.concatenate([lesson, again, other], axis=1) + bias))
    assert found is None or 0 <= found.near <= found.alike <= found.same <= 1


@given(st.integers(0, 2**32 - 1))
def test_random_vectors_give_no_thresholds(seed):
    assert likeness_from(unit(np.random.default_rng(seed).normal(size=(18, 3, 64)))) is None


def test_thresholds_follow_the_embedder():
    low, high = likeness_from(trios(0.8, 0.3)), likeness_from(unit(np.pad(trios(0.8, 0.3), ((0, 0), (0, 0), (0, 1)), constant_values=1.0)))
    assert high.near > low.near
    assert high.alike > low.alike
    assert high.same > low.same


# Calibration


def test_calibrated_once_per_ledger(ledger):
    model = Words()
    embedder = Embedder("words", lambda: model)
    first = likeness_of(embedder, ledger)
    count = len(model.embedded)
    assert count == 3 * len(TRIOS) + 1, "and the probe"
    assert likeness_of(embedder, ledger) == first
    assert len(model.embedded) == count


def test_another_process_reads_what_was_calibrated(ledger, monkeypatch):
    first = likeness_of(words(), ledger)
    monkeypatch.setattr(calibration, "likeness_from", lambda _: pytest.fail("calibrated again"))
    assert likeness_of(words(), ledger) == first


def test_another_model_of_the_same_name_is_calibrated_anew(ledger):
    likeness_of(words(), ledger)
    model = Words(shift=7)
    likeness_of(Embedder("words", lambda: model), ledger)
    assert len(model.embedded) == 3 * len(TRIOS) + 1


@pytest.mark.parametrize("broken", ["", "{", "[1]", '{"likeness": {"same": 1}}'])
def test_what_cannot_be_read_is_calibrated_anew(ledger, broken):
    first = likeness_of(words(), ledger)
    ledger.set_meta(calibration._key(words()), broken)
    assert likeness_of(words(), ledger) == first


def test_changed_lessons_are_calibrated_anew(ledger, monkeypatch):
    old = calibration._key(words())
    monkeypatch.setattr(calibration, "VERSION", calibration.VERSION + 1)
    assert calibration._key(words()) != old


@pytest.mark.parametrize(
    "blind",
    [
        lambda texts: np.ones((len(texts), 8)),
        lambda texts: np.zeros((len(texts), 8)),
        lambda texts: np.random.default_rng(1).normal(size=(len(texts), 64)),
        lambda texts: np.ones((len(texts), 8)) + 1e-5 * np.random.default_rng(1).normal(size=(len(texts), 8)),
    ],
    ids=["all equal", "all zero", "random", "all but equal"],
)
def test_a_blind_embedder_never_merges_by_itself(ledger, blind, caplog):
    caplog.set_level(logging.WARNING)
    found = likeness_of(Embedder("blind", lambda: Given(blind)), ledger)
    assert found == UNKNOWN
    assert found.same > 1
    assert found.alike > 1
    assert "embedder 'blind' sees no difference" in caplog.text


def test_trios_are_three_texts_of_condition_and_advice():
    texts = [text for trio in TRIOS for text in trio]
    assert len(set(texts)) == len(texts)
    assert all(text.count("\n") == 1 and len(text) < 240 for text in texts)


# What turns a meaning round


def advice(do, when="naming a tool", when_not=""):
    return LessonText(when=when, do=do, when_not=when_not)


AGREE = {
    "literal": ("Sort the rows by date.", "Sort the rows by date."),
    "case and punctuation": ("Sort the rows, by date.", "sort the rows by date"),
    "endings": ("Check each row before counting rows.", "Check each rows before you count the row."),
    "never and do not": ("Never guess an order id.", "Do not guess an order id."),
    "don't and avoid": ("Don't guess the order id.", "Avoid guessing the order id."),
    "curly quote": ("Don\u2019t guess the order id.", "Don't guess the order id."),
    "instead of and rather than": ("Use the calculator instead of your head.", "Use the calculator rather than your head."),
    "number words": ("Show at most three results.", "Show at most 3 results."),
    "units": ("Wait 5 seconds, then retry.", "Wait 5 s, then retry."),
    "extended": ("Ask for the order number.", "Ask for the order number and a photo of the damage."),
    "reworded": (
        "Never delete a file unless the user confirms it.",
        "Do not delete any file unless its owner has explicitly confirmed this.",
    ),
    "reworded denial": ("Tell the price, never guess what it is.", "Tell the price, do not make it up."),
}
DIFFER = {
    "negated": ("Ask the user before booking.", "Do not ask the user before booking."),
    "always and never": ("Always quote the column names.", "Never quote the column names."),
    "without": ("Answer with a code fence.", "Answer without a code fence."),
    "swapped denial": ("Use the search tool, not the browser.", "Use the browser, not the search tool."),
    "swapped instead": ("Use the map instead of the list.", "Use the list instead of the map."),
    "swapped rather": ("Prefer a join rather than a subquery.", "Prefer a subquery rather than a join."),
    "exception": ("Offer a refund.", "Offer a refund unless the fare is basic economy."),
    "except": ("Delete all rows of the batch.", "Delete all rows of the batch except the first."),
    "only": ("Change the lines of the task.", "Change only the lines of the task."),
    "condition": ("Retry the call.", "Retry the call if it timed out."),
    "number": ("Round to 2 digits.", "Round to 4 digits."),
    "number word": ("Retry twice, then give up.", "Retry three times, then give up."),
    "decimal": ("Use a temperature of 0.2 here.", "Use a temperature of 0.7 here."),
    "unit": ("Wait 5 seconds, then retry.", "Wait 5 minutes, then retry."),
    "percent": ("Add 10 % to the net price.", "Add 10 $ to the net price."),
    "more and fewer": ("Search with more words than before.", "Search again with fewer words."),
    "before and after": ("Read the policy before you answer.", "Read the policy after you answer."),
    "swapped before": ("Check the fare before the date.", "Check the date before the fare."),
    "first and last": ("Take the first match of the list.", "Take the last match in this list here."),
    "increase": ("Increase the page size on errors.", "Decrease the page size whenever errors come."),
    "all and none": ("Return all of the rows found.", "Return none of the rows found."),
    "case of letters": ("Write the code in upper case.", "Write codes in lower case letters."),
    "order of sorting": ("Sort by price in ascending order.", "Order by price, descending."),
    "order of steps": ("Send the mail, then close the ticket.", "Close the ticket, then send the mail."),
    "from and to": ("Convert from feet to metres.", "Convert from metres to feet."),
    "prefix": ("Book a refundable fare for them.", "Book the nonrefundable fare."),
    "prefix un": ("Take the sorted list of the two lists.", "Take the unsorted one of two lists."),
    "one word": ("Call the search tool first.", "Call the booking tool first."),
}


@pytest.mark.parametrize(("one", "other"), AGREE.values(), ids=AGREE)
def test_other_words_for_the_same_advice_agree(one, other):
    assert says_same(advice(one), advice(other))
    assert says_same(advice(other), advice(one))


@pytest.mark.parametrize(("one", "other"), DIFFER.values(), ids=DIFFER)
def test_one_turned_word_is_other_advice(one, other):
    assert not says_same(advice(one), advice(other))
    assert not says_same(advice(other), advice(one))


@pytest.mark.parametrize(("one", "other"), DIFFER.values(), ids=DIFFER)
def test_one_turned_word_is_another_condition(one, other):
    assert not says_same(advice("Ask first.", when=one), advice("Ask first.", when=other))


def test_the_same_advice_under_another_condition_differs():
    assert not says_same(advice("Ask first.", when="The order is pending"), advice("Ask first.", when="The order is delivered"))
    assert not says_same(advice("Ask first.", when="Fewer than 3 rows"), advice("Ask first.", when="Fewer than 30 rows"))
    assert says_same(advice("Ask first.", when="When an order is pending"), advice("Ask first.", when="if the order is pending"))


def test_an_exception_of_one_lesson_only_differs():
    bare, one = advice("Ask first."), advice("Ask first.", when_not="The user said that it is urgent")
    assert not says_same(bare, one)
    assert says_same(one, advice("Ask first.", when_not="user said it is urgent"))
    assert not says_same(one, advice("Ask first.", when_not="A refund of a small sum was promised in writing"))


NOUNS = ["check", "order", "date", "price", "user", "list", "search", "file", "answer", "tool", "call", "page"]
PLAIN = st.lists(st.sampled_from(NOUNS), min_size=1, max_size=8)


@given(st.text(), st.text())
def test_says_same_is_reflexive_and_symmetric(one, other):
    assert says_same(advice(one), advice(one))
    assert says_same(advice(one), advice(other)) == says_same(advice(other), advice(one))


@given(PLAIN, st.integers(0, 8), st.sampled_from(["not", "never", "without", "unless", "only", "7", "before", "instead of"]))
def test_a_telling_word_anywhere_makes_a_difference(said, at, word):
    turned = [*said[:at], word, *said[at:]]
    assert not says_same(advice(" ".join(said)), advice(" ".join(turned)))


@given(PLAIN, st.data())
def test_another_number_makes_a_difference(said, data):
    at, one, other = data.draw(st.integers(0, 8)), *data.draw(st.lists(st.integers(0, 10**6), min_size=2, max_size=2, unique=True))
    texts = [advice(" ".join([*said[:at], str(number), *said[at:]])) for number in (one, other)]
    assert not says_same(*texts)


def test_likeness_is_stored_as_it_was(ledger):
    likeness = likeness_of(words(), ledger)
    assert isinstance(likeness, Likeness)
    assert 0 < likeness.near <= likeness.alike < likeness.same < 1


def test_reindex_calibrates_a_new_embedder(ledger, caplog):
    caplog.set_level(logging.WARNING)
    blind = Embedder("blind", lambda: Given(lambda texts: np.ones((len(texts), 64))))
    LessonBook(ledger, ExactIndex(), words()).add(when="naming a tool", do="begin with acme_")
    LessonBook(ledger, ExactIndex(), blind).reindex()
    assert "embedder 'blind' sees no difference" in caplog.text
