"""What recall would show is foreseen by recall's own measure."""

import pytest

from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.recall.among import recalled_among
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.shelf import LexicalShelf

from .conftest import FLIGHTS, LETTERS, REFUNDS, book_of

TASKS = ["Move my basic economy flight", "Refund the flight", "How many e are in cheese?", "Write a haiku about rain", "flight", "?"]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("floor", [None, 0.4])
def test_it_is_what_recall_shows_where_there_are_no_other_lessons(ledger, minilm, k, floor):
    lessons = (FLIGHTS, LETTERS, REFUNDS)
    book = book_of(ledger, minilm, lessons, ExactIndex())
    recaller = Recaller(book, minilm, words=LexicalShelf(ledger))
    texts = list({text for lesson in lessons for text in (lesson.key_text(), *lesson.tasks)})
    vectors = dict(zip(texts, minilm.embed_documents(texts), strict=True))
    policy = RecallPolicy(k=k, floor=floor, max_tokens=10_000)
    for task in TASKS:
        seen = recaller.recall(task, namespace=("default",), policy=policy).lessons
        found = recalled_among(lessons, task, minilm.embed_query(task), vectors, floors=book.floors, policy=policy)
        assert [lesson.id for lesson in found] == [lesson.id for lesson in seen]
