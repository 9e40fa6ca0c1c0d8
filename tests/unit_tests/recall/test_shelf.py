import pytest

from langchain_reflect.ledger import Ledger
from langchain_reflect.recall import shelf as module
from langchain_reflect.recall.shelf import LexicalShelf
from langchain_reflect.types import Lesson, Revision

HERE, THERE = ("here",), ("there",)


def write(ledger, name, do="flight", *, revision=1, status="candidate", namespace=HERE):
    lesson = Lesson(id=name, namespace=namespace, revision=revision, when="Always", do=do, status=status)
    ledger.append_revisions([Revision(lesson=lesson, kind="add" if revision == 1 else "revise", actor="test")])


def found(shelf, task="flight", namespace=HERE):
    return [name for name, _ in shelf.best(task, namespace, 9)]


@pytest.fixture
def shelf(ledger):
    return LexicalShelf(ledger)


def test_only_the_served_lessons_of_the_namespace_are_found(ledger, shelf):
    write(ledger, "L-here")
    write(ledger, "L-there", namespace=THERE)
    write(ledger, "L-retired", status="retired")
    assert found(shelf) == ["L-here"]
    assert found(shelf, namespace=THERE) == ["L-there"]
    assert found(shelf, namespace=("nowhere",)) == []


def test_a_change_is_seen_at_the_next_search(ledger, shelf):
    write(ledger, "L-1")
    assert found(shelf) == ["L-1"]
    write(ledger, "L-2")
    write(ledger, "L-1", "hotel", revision=2)
    assert (found(shelf), found(shelf, "hotel")) == (["L-2"], ["L-1"])
    write(ledger, "L-2", revision=2, status="quarantined")
    assert found(shelf) == []


def test_what_another_process_wrote_is_seen_at_the_next_search(tmp_path):
    with Ledger(tmp_path) as mine, Ledger(tmp_path) as another:
        shelf = LexicalShelf(mine)
        assert found(shelf) == []
        write(another, "L-1")
        assert found(shelf) == ["L-1"]


def test_a_namespace_that_had_to_make_room_is_read_again(ledger, shelf, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD", 1)
    write(ledger, "L-here")
    write(ledger, "L-there", namespace=THERE)
    assert [found(shelf), found(shelf, namespace=THERE), found(shelf)] == [["L-here"], ["L-there"], ["L-here"]]
    assert len(shelf._held) == 1
