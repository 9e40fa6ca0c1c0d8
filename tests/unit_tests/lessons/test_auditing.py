"""The audit counts what is there, by name."""

import time
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest

from langchain_reflect.ledger.facts import LessonFacts
from langchain_reflect.lessons.auditing import Audit, audit, tokens_of
from langchain_reflect.types import Episode, Exposure, Lesson, LessonEdit, LessonText, now

NOTHING = LessonFacts(shown={}, judged={}, lost={}, orphans=0)
SPACE = ("default",)
MODEL = "R-00000000000a"


def test_an_empty_book_is_in_order(book):
    assert book.audit() == Audit()
    assert str(book.audit()) == "0 lessons served, 0.0% near-twins, 0 unsupported, 0 never shown, 0 tokens, 0 wait for a person"


def test_near_twins_are_served_lessons_of_one_namespace_that_say_the_same(book):
    one, two = book.add(when="a flight is moved", do="ask"), book.add(when="a flight is moved", do="ask ask")
    book.add(when="pears", do="peel")
    book.add(when="a flight is moved", do="ask", namespace=("acme",))
    book.retire(book.add(when="pears", do="peel", why="again").id)
    found = book.audit()
    assert found.near_twins == {one.id: two.id, two.id: one.id}
    assert found.near_twin_rate == 2 / 4
    assert book.audit(("acme",)).near_twin_rate == 0
    assert found.statuses == {"candidate": 4, "retired": 1}
    assert book.audit(twins=1.01).near_twins == {}


def test_support_is_a_judged_episode_or_a_person(book, ledger):
    episodes = [Episode(id=UUID(int=n), task="t") for n in range(4)]
    for episode in episodes[:3]:
        ledger.save_episode(episode)
    ledger.record_outcome(episodes[0].id, reward=1)
    texts = [LessonText(when=f"when {n}", do="do") for n in range(4)]
    done = book.commit(
        [LessonEdit(kind="add", text=t, evidence=(e.id,)) for t, e in zip(texts, episodes, strict=True)], namespace=SPACE, actor=MODEL
    )
    ids = [d.lesson_id for d in done]
    proven = book.add(when="x", do="y", status="active", by="dana")
    book.retire(ids[2])
    ledger.record_outcome(UUID(int=99), reward=0)
    found = book.audit()
    assert found.unsupported == tuple(sorted((ids[1], ids[3])))
    assert (found.lost_evidence, found.orphan_outcomes) == ({ids[3]: 1}, 1)
    assert proven.id not in found.unsupported
    assert (book.audit(("acme",)).lost_evidence, book.audit(("acme",)).orphan_outcomes) == ({}, 0)


def test_a_lesson_that_nobody_was_shown_is_named_with_its_age(book, ledger):
    shown, unseen, withheld = (book.add(when=x, do="y") for x in "abc")
    at = now() - timedelta(days=9)
    (old,) = book.commit([LessonEdit(kind="add", text=LessonText(when="old", do="old"))], namespace=SPACE, actor=MODEL, at=at)
    given = [
        Exposure(episode_id=UUID(int=1), lesson_id=x.id, revision=1, shown=x is shown, probability=0.5, arm="treated")
        for x in (shown, withheld)
    ]
    ledger.save_episode(Episode(id=UUID(int=1), task="t"), given)
    foreign = Exposure(episode_id=UUID(int=2), lesson_id=unseen.id, revision=1, shown=True, probability=1)
    ledger.save_episode(Episode(id=UUID(int=2), task="t", namespace=("other",)), [foreign])
    found = book.audit().never_shown
    assert set(found) == {unseen.id, withheld.id, old.lesson_id}
    assert found[old.lesson_id] == pytest.approx(9, abs=0.01)


def test_what_waits_for_a_person_and_what_is_over_the_cap_is_counted(reviewed):
    one, two = reviewed.add(when="a", do="b"), reviewed.add(when="c", do="d")
    edits = [
        LessonEdit(kind="contradict", lesson_id=one.id, against=(two.id,)),
        LessonEdit(kind="retire", lesson_id=one.id),
        LessonEdit(kind="add", text=LessonText(when="e", do="f")),
    ]
    done = reviewed.commit(edits, namespace=SPACE, actor=MODEL)
    found = reviewed.audit(cap=1)
    assert (found.contradictions, found.reviews, found.over_cap) == ((done[0].review_id,), (done[1].review_id,), {"default": 1})
    assert found.statuses == {"candidate": 2, "proposed": 1}
    assert str(found).endswith("3 wait for a person")


def test_tokens_are_those_of_served_lessons_in_full():
    lessons = [Lesson(id=f"L-{n}", when="w", do="word " * n, status="candidate" if n else "retired") for n in range(4)]
    found = audit(lessons, {}, NOTHING, [], at=now()).tokens
    counts = [tokens_of(x) for x in lessons[1:]]
    assert (found.total, found.median, found.most) == (sum(counts), counts[1], counts[2])
    assert audit(lessons, {}, NOTHING, [], at=now(), tokens=lambda _: 7).tokens.total == 21


def test_lessons_without_a_vector_are_told_and_no_twins():
    lessons = [Lesson(id=f"L-{n}", when="w", do="d") for n in range(2)]
    found = audit(lessons, {}, NOTHING, [], at=now())
    assert (found.without_vector, found.near_twin_rate) == (2, 0)


def test_ten_thousand_lessons_are_compared_in_seconds():
    rng = np.random.default_rng(7)
    lessons = [Lesson(id=f"L-{n:05}", when=f"w{n}", do="d") for n in range(10_000)]
    rows = rng.normal(size=(10_000, 384)).astype(np.float32)
    rows[5000] = rows[3] + 0.01
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    started = time.perf_counter()
    found = audit(lessons, {x.key_text(): row for x, row in zip(lessons, rows, strict=True)}, NOTHING, [], at=now())
    assert found.near_twins == {"L-00003": "L-05000", "L-05000": "L-00003"}
    assert time.perf_counter() - started < 20
