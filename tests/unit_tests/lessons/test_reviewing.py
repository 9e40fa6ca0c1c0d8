"""A model never changes what a person approved, and what it asks is decided once."""

import threading
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput, LessonNotFound, ReviewNotFound
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.authors import approver_of, check_person, is_model
from langchain_reflect.types import SERVABLE, LessonEdit, LessonText

MODEL, OTHER_MODEL, DISTILLER = "R-00000000000a", "R-00000000000b", "C-00000000000c"
SPACE = ("default",)
WORDS = LessonText(when="a flight is moved", do="ask for the fare class")
BETTER = LessonText(when="a flight is moved", do="look up the fare class")
EPISODE = UUID(int=1)


def commit(book, *edits, actor=MODEL):
    return book.commit(edits, namespace=SPACE, actor=actor)


def approved(book, text=WORDS):
    return book.add(when=text.when, do=text.do, status="active", by="dana")


def ask(book, lesson, text=BETTER, actor=MODEL):
    """A model's rewording of an approved lesson; returns the id of its review."""
    (done,) = commit(book, LessonEdit(kind="revise", lesson_id=lesson.id, text=text, reason="more exact"), actor=actor)
    assert not done.applied
    return done.review_id


@pytest.mark.parametrize("actor", [MODEL, DISTILLER])
@pytest.mark.parametrize(
    "change",
    [
        {"kind": "revise", "text": BETTER},
        {"kind": "merge", "text": BETTER},
        {"kind": "retire"},
        {"kind": "status", "status": "quarantined"},
        {"kind": "revise", "text": WORDS, "status": "retired"},
        {"kind": "restore"},
    ],
    ids=str,
)
def test_a_change_of_an_approved_lesson_by_a_model_waits_for_a_person(book, change, actor):
    lesson = approved(book)
    (done,) = commit(book, LessonEdit(lesson_id=lesson.id, **change), actor=actor)
    (review,) = book.reviews()
    assert (done.applied, done.review_id, review.lessons, review.actor) == (False, review.id, (lesson.id,), actor)
    assert done.reason == f"waits for a person: {lesson.id} was approved by dana"
    assert book.show(lesson.id) == lesson
    assert len(book.history(lesson.id)) == 1


def test_an_approved_lesson_is_not_absorbed_by_a_model_but_absorbs_and_gains_support(book):
    mine, theirs = approved(book), book.add(when="a", do="b")
    into, support, absorb = (
        LessonEdit(kind="merge", lesson_id=theirs.id, merged=(mine.id,)),
        LessonEdit(kind="merge", lesson_id=mine.id, evidence=(EPISODE,), tasks=("move it",)),
        LessonEdit(kind="merge", lesson_id=mine.id, merged=(theirs.id,)),
    )
    assert [d.applied for d in commit(book, into, support, absorb)] == [False, True, True]
    now_is = book.show(mine.id)
    assert (now_is.evidence, now_is.status, now_is.approved_by, now_is.text) == ((EPISODE,), "active", "dana", mine.text)
    assert book.show(theirs.id).status == "superseded"


def test_an_approved_review_is_applied_and_the_person_stands_behind_the_words(book):
    lesson = approved(book)
    review_id = ask(book, lesson)
    changed = book.approve(review_id, by="kim", reason="yes")
    assert (changed.text, changed.status, changed.approved_by) == (BETTER, "candidate", "kim")
    last = book.history(lesson.id)[-1]
    assert (last.actor, last.reason) == (MODEL, "more exact (approved by kim: yes)")
    assert book.reviews() == []
    (kept,) = book.reviews(state=None)
    assert (kept.state, kept.by, kept.answer) == ("approved", "kim", "yes")


def test_a_rejected_question_is_kept_with_its_reason_and_not_asked_again(book):
    lesson = approved(book)
    review_id = ask(book, lesson)
    assert book.reject(review_id, by="kim", reason="the class is never shown") == lesson
    (again,) = commit(book, LessonEdit(kind="revise", lesson_id=lesson.id, text=BETTER), actor=OTHER_MODEL)
    assert (again.review_id, again.reason) == (review_id, "was asked before, and rejected by kim: the class is never shown")
    assert book.reviews() == []


def test_what_was_approved_and_taken_back_is_asked_anew(book):
    lesson = approved(book)
    first = ask(book, lesson)
    book.approve(first, by="kim")
    book.restore(lesson.id, 1, by="kim")
    assert ask(book, lesson) not in (None, first)


def test_a_question_of_two_reflections_is_one(book):
    lesson = approved(book)
    assert ask(book, lesson) == ask(book, lesson, actor=OTHER_MODEL)
    assert len(book.reviews()) == 1


def test_a_review_that_no_longer_applies_says_so_and_stays_open(book):
    lesson = approved(book)
    review_id = ask(book, lesson)
    book.retire(lesson.id, by="dana")
    with pytest.raises(InvalidInput, match=r"no longer applies: .* is retired; restore it first"):
        book.approve(review_id, by="kim")
    (review,) = book.reviews()
    assert (review.state, review.decided_at) == ("open", None)
    assert "no longer applies" in review.answer
    book.restore(lesson.id, by="dana")
    assert book.approve(review_id, by="kim").text == BETTER


def test_of_two_people_who_decide_at_once_one_wins_and_the_other_is_told(book, tmp_path):
    review_id = ask(book, approved(book))
    said, ready = [], threading.Barrier(2)

    def decide(name, verb):
        with Ledger(tmp_path, durability="fast") as ledger:
            own = type(book)(ledger, type(book.index)(), book.embedder)
            ready.wait()
            try:
                getattr(own, verb)(review_id, by=name)
                said.append(name)
            except InvalidInput as error:
                said.append(str(error))

    threads = [threading.Thread(target=decide, args=args) for args in (("kim", "approve"), ("lee", "reject"))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    (winner,), (told,) = [x for x in said if x in ("kim", "lee")], [x for x in said if x not in ("kim", "lee")]
    assert f"by {winner!r}" in told
    (review,) = book.reviews(state=None)
    assert review.by == winner
    assert len(book.history(review.lessons[0])) == (2 if winner == "kim" else 1)


def test_a_contradiction_is_asked_once_whatever_the_order_and_changes_nothing(book):
    one, two = approved(book), book.add(when="a", do="b")
    flag = LessonEdit(kind="contradict", lesson_id=one.id, against=(two.id,), reason="fares")
    (first,), (second,) = (
        commit(book, flag),
        commit(book, flag.model_copy(update={"lesson_id": two.id, "against": (one.id,)}), actor=OTHER_MODEL),
    )
    (review,) = book.reviews()
    assert first.review_id == second.review_id == review.id
    assert (review.kind, review.lessons) == ("contradiction", tuple(sorted((one.id, two.id))))
    assert [book.show(one.id), book.show(two.id)] == [one, two]
    book.approve(review.id, by="kim", reason="retired one by hand")
    assert [book.show(one.id), book.show(two.id)] == [one, two]
    assert "was asked before" in commit(book, flag)[0].reason


def test_edits_mean_what_was_added_before_them_by_its_name(book):
    old = book.add(when="a", do="b")
    edits = [
        LessonEdit(kind="add", name="N1", text=WORDS),
        LessonEdit(kind="merge", lesson_id="N1", merged=(old.id,), evidence=(EPISODE,)),
        LessonEdit(kind="add", name="N1", text=BETTER),
        LessonEdit(kind="add", name="N2", text=BETTER),
        LessonEdit(kind="contradict", lesson_id="N2", against=("N1",)),
        LessonEdit(kind="retire", lesson_id="N3"),
    ]
    done = commit(book, *edits)
    new, other = done[0].lesson_id, done[3].lesson_id
    assert (done[1].edit.lesson_id, done[4].edit.against, book.reviews()[0].lessons) == (new, (new,), tuple(sorted((new, other))))
    assert [d.reason for d in done if not d.applied and not d.review_id] == ["the name 'N1' is taken", "no such lesson: N3"]
    assert (book.show(new).evidence, book.show(old.id).status) == ((EPISODE,), "superseded")
    assert len({r.at for r in book.journal() if r.actor == MODEL}) == 1, "one commit has one time"


# Where a person reviews everything


def test_rewording_under_review_leaves_the_served_lesson_as_it_is(reviewed):
    lesson = reviewed.add(when=WORDS.when, do=WORDS.do)
    review_id = ask(reviewed, lesson)
    assert reviewed.show(lesson.id) == lesson
    assert len(reviewed.search("a flight is moved")) == 1
    assert reviewed.approve(review_id, by="kim").text == BETTER


def test_a_model_serves_nothing_by_itself_where_a_person_reviews(reviewed):
    new, unproposed = (
        LessonEdit(kind="add", text=WORDS, status="active", name="N1"),
        LessonEdit(kind="status", lesson_id="N1", status="candidate"),
    )
    added, waits = commit(reviewed, new, unproposed)
    assert reviewed.show(added.lesson_id).status == "proposed"
    assert (waits.applied, reviewed.reviews()[0].id) == (False, waits.review_id)
    (reworded,) = commit(reviewed, LessonEdit(kind="revise", lesson_id=added.lesson_id, text=BETTER))
    assert reworded.applied, "nobody is shown a proposed lesson"


def test_a_general_lesson_waits_with_all_it_supersedes_and_support_since_is_no_obstacle(reviewed):
    one, two = reviewed.add(when="a", do="b"), reviewed.add(when="c", do="d")
    (done,) = commit(reviewed, LessonEdit(kind="add", text=WORDS, merged=(one.id, two.id), expected=(1, 1)), actor=DISTILLER)
    assert not done.applied
    commit(reviewed, LessonEdit(kind="merge", lesson_id=one.id, evidence=(EPISODE,)))
    made = reviewed.approve(done.review_id, by="kim")
    assert (made.text, made.status, made.evidence, made.approved_by) == (WORDS, "candidate", (EPISODE,), "kim")
    assert {reviewed.show(x.id).status for x in (one, two)} == {"superseded"}


def test_a_general_lesson_is_not_approved_over_sources_that_were_reworded(reviewed):
    one, two = reviewed.add(when="a", do="b"), reviewed.add(when="c", do="d")
    (done,) = commit(reviewed, LessonEdit(kind="add", text=WORDS, merged=(one.id, two.id), expected=(1, 1)), actor=DISTILLER)
    reviewed.edit(one.id, do="something else", by="dana")
    with pytest.raises(InvalidInput, match="no longer applies"):
        reviewed.approve(done.review_id, by="kim")


# People


def test_a_proposed_lesson_is_approved_reworded_or_rejected(reviewed):
    ids = [d.lesson_id for d in commit(reviewed, *(LessonEdit(kind="add", text=WORDS.model_copy(update={"why": w})) for w in "abcd"))]
    yes, no = reviewed.approve(ids[0], by="dana"), reviewed.reject(ids[1], by="dana", reason="wrong")
    stays, serves = reviewed.edit(ids[2], do="x", by="dana"), reviewed.edit(ids[3], do="y", by="dana", approve=True)
    assert [(x.status, x.approved_by) for x in (yes, no, stays, serves)] == [
        ("active", "dana"),
        ("retired", None),
        ("proposed", "dana"),
        ("active", "dana"),
    ]
    with pytest.raises(InvalidInput, match="already active, approved by dana"):
        reviewed.approve(yes.id, by="kim")


@pytest.mark.parametrize("name", [MODEL, DISTILLER, "", " ", "a\nb", "x" * 201, None, 7])
def test_nobody_decides_under_the_name_of_a_model_or_none(book, name):
    lesson = book.add(when="a", do="b")
    for call in (
        lambda: book.add(when="c", do="d", by=name),
        lambda: book.approve(lesson.id, by=name),
        lambda: book.edit(lesson.id, do="c", by=name),
        lambda: book.reject("V-000000000000", by=name),
        lambda: book.undo(MODEL, by=name),
        lambda: book.import_([], by=name),
    ):
        with pytest.raises(InvalidInput, match="by="):
            call()
    assert book.list() == [lesson]


def test_who_is_a_model_and_who_a_person():
    assert [is_model(x) for x in (MODEL, DISTILLER, "R-1", "R-00000000000G", "R-00000000000a\n", "dana")] == [True, True, *[False] * 4]
    assert [approver_of(x) for x in (MODEL, "import", "revocation", "dana")] == [None, None, None, "dana"]
    assert check_person("Dana Ø.") == "Dana Ø."


def test_an_unknown_id_is_told(book):
    with pytest.raises(ReviewNotFound, match="V-000000000000"):
        book.approve("V-000000000000")
    with pytest.raises(LessonNotFound, match="L-000000000000"):
        book.approve("L-000000000000")


STEPS = st.lists(
    st.builds(
        LessonEdit,
        kind=st.sampled_from(["revise", "merge", "retire", "status", "restore", "contradict", "add"]),
        lesson_id=st.none() | st.sampled_from(["A", "B", "C"]),
        text=st.none() | st.sampled_from([WORDS, BETTER]),
        merged=st.lists(st.sampled_from(["A", "B", "C"]), max_size=2).map(tuple),
        against=st.lists(st.sampled_from(["A", "B"]), max_size=1).map(tuple),
        revision=st.none() | st.integers(1, 3),
        status=st.none() | st.sampled_from(["active", "candidate", "retired", "proposed"]),
        evidence=st.lists(st.integers(1, 5).map(lambda n: UUID(int=n)), max_size=2).map(tuple),
    ),
    max_size=8,
)


@given(STEPS, st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_a_models_edits_changes_what_a_person_approved(tmp_path_factory, steps, required):
    with Ledger(tmp_path_factory.mktemp("x"), durability="fast") as ledger:
        book = make(ledger, required)
        ids = {"A": approved(book).id, "B": book.add(when="a", do="b").id, "C": book.add(when="c", do="d").id}
        before, named = book.show(ids["A"]), [named_as(step, ids) for step in steps]
        commit(book, *named)
        after = book.show(ids["A"])
        assert (after.text, after.status, after.approved_by) == (before.text, before.status, "dana")
        if required:
            assert all(book.show(ids[x]).status in SERVABLE for x in "BC")
        assert all(d.lessons for d in book.reviews())
        assert ledger.verify() == []


def make(ledger, required):
    from langchain_reflect.index.embeddings import resolve_embedder
    from langchain_reflect.index.exact import ExactIndex
    from langchain_reflect.lessons.book import LessonBook
    from tests.unit_tests.words import Words

    return LessonBook(ledger, ExactIndex(), resolve_embedder(Words()), review="required" if required else "none")


def named_as(edit, ids):
    many = {name: tuple(ids[i] for i in getattr(edit, name)) for name in ("merged", "against")}
    return edit.model_copy(update={"lesson_id": ids.get(edit.lesson_id), **many})
