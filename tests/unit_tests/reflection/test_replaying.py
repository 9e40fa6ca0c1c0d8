"""The book comes out of the journal and the stored replies as it is, or as mended code makes it."""

import json
from uuid import UUID

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.reflection import Prompts, ReflectionPolicy, build_reflection_graph, curation, reflect, replaying
from langchain_reflect.reflection.policy import GateVerdict
from langchain_reflect.testing.models import ScriptedChatModel

FEEDBACK = "Tool names begin with acme_."
FIRST = {"when": "naming a tool", "do": "Begin every tool name with acme_", "cites": ["R1", "R2"]}
NEARLY = {"when": "naming a new tool", "do": "Begin each tool name with acme_", "cites": ["R1"]}
OTHER = {"when": "booking a flight", "do": "Look at the fare before you offer another day", "cites": ["R1", "R2"]}


@pytest.fixture
def learn(book, ledger, rollout, keep):
    """Three rollouts of a task, and one reflection on them with scripted answers."""
    count = iter(range(1, 1000))

    def run(*answers, key, task="Name the tool that deletes invoices", good="acme_x", **given):
        ids = [next(count) for _ in range(3)]
        keep(
            rollout(ids[0], 1.0, key=key, task=task, answer=good),
            rollout(ids[1], 0.0, FEEDBACK, key=key, task=task),
            rollout(ids[2], 0.0, FEEDBACK, key=key, task=task, answer="remove"),
        )
        return reflect(build_reflection_graph(ScriptedChatModel(answers=answers), book, ledger=ledger, **given))

    return run


def lessons(*drafts):
    return {"lessons": list(drafts)}


def again(book: LessonBook, **policy) -> replaying.Replay:
    return replaying.replay(book, policy=ReflectionPolicy(**policy), prompts=Prompts(), namespace=("default",))


def as_text(found) -> str:
    return "\n".join(lesson.model_dump_json() for lesson in sorted(found, key=lambda x: x.id))


@pytest.fixture
def rich(book, ledger, learn, rollout, keep):
    """A book with everything in it: adds, support, a merge by the curator, a rewording by a person, undo, retire, review, a bad reply."""
    learn(lessons(FIRST), key="a")
    learn("I learned a lot.", lessons(OTHER), key="b", task="Move my flight to Friday", good="no")
    added = {x.do: x.id for x in book.list()}
    learn(lessons(NEARLY), {"action": "MERGE", "ids": [added[FIRST["do"]]], "when": "", "do": "", "reason": "same"}, key="c")
    book.edit(added[OTHER["do"]], do="Look at the fare first", by="dana", reason="shorter")
    book.add(when="dates are written", do="write them as year, month, day", status="active", by="dana")
    third = learn(lessons({**OTHER, "when": "cancelling", "do": "Say what a refund costs"}), key="d", task="Cancel my flight", good="ok")
    book.undo(third.id, by="dana", reason="wrong")
    learn("nonsense", "nonsense", key="e")
    learn(lessons(), key="f")
    return book


def test_the_same_book_comes_out_bit_for_bit(rich):
    made = again(rich)
    assert as_text(made.lessons) == as_text(rich.list())
    assert (made.is_same, made.reflections, made.unanswered, made.as_it_was, made.lost) == (True, 6, (), (), ())


def test_a_replay_asks_no_model_and_changes_nothing(rich, ledger):
    before = (ledger.lessons_version(), ledger.journal(), ledger.reflections(), ledger.jobs())
    again(rich)
    assert (ledger.lessons_version(), ledger.journal(), ledger.reflections(), ledger.jobs()) == before


def test_a_gates_choice_is_repeated(book, learn):
    def gate(group, drafts):
        return GateVerdict(best=1, scores=[0.1] * len(drafts), baseline=0.0)

    learn(
        *[lessons({**FIRST, "do": f"Begin every tool name with acme_ {word}"}) for word in ("now", "please", "today", "soon")],
        key="a",
        gate=gate,
    )
    assert len(book.list()) == 1
    assert as_text(again(book).lessons) == as_text(book.list())


def test_a_review_setting_is_repeated(ledger, book, learn):
    book.review = "required"
    learn(lessons(FIRST), key="a")
    book.review = "none"
    assert [x.status for x in again(book).lessons] == ["proposed"] == [x.status for x in book.list()]


def test_what_a_person_approved_later_is_made_again_in_its_place_and_its_reflection_is_repeated_once(book, learn):
    learn(lessons(FIRST), key="a")
    (added,) = book.list()
    book.approve(added.id, by="dana")
    words = [("Begin every tool name with acme_ in front", "approve"), ("Begin tool names with acme_", "reject")]
    for key, (do, decide) in zip("bc", words, strict=True):
        revise = {"action": "REVISE", "ids": [added.id], "when": NEARLY["when"], "do": do, "reason": "more exact"}
        learn(lessons({**NEARLY, "why": key}, OTHER), revise, key=key)
        (review,) = book.reviews()
        getattr(book, decide)(review.id, by="sam")
    made = again(book)
    assert as_text(made.lessons) == as_text(book.list())
    assert (made.reflections, made.revisions, made.as_it_was, made.lost) == (3, 2, (), ())


def test_mended_code_makes_another_book_and_says_where(rich, monkeypatch):
    wrong = next(x for x in rich.list() if x.do == FIRST["do"])
    kept = curation.Curation._settle

    def mended(self, candidate, near, answer):
        kept(self, candidate, near, answer.model_copy(update={"action": "ADD"}))

    monkeypatch.setattr(curation.Curation, "_settle", mended)
    made = again(rich)
    assert not made.is_same
    changed, new = sorted(made.differences, key=lambda d: d.before is None)
    assert (changed.lesson_id, len(changed.before.evidence), len(changed.after.evidence)) == (wrong.id, 3, 2)
    assert (new.before, new.after.do) == (None, NEARLY["do"])


def test_what_a_mended_replay_writes_is_a_revision_and_the_next_replay_agrees(rich, monkeypatch, ledger):
    monkeypatch.setattr(curation.Curation, "_settle", lambda self, c, near, answer: self._add(c))
    made = again(rich)
    journal = ledger.journal()
    assert replaying.apply(rich, made, reason="merging was wrong") == 2
    assert ledger.journal()[: len(journal)] == journal
    assert {(r.kind, r.actor, r.reason) for r in ledger.journal()[len(journal) :]} == {
        ("add", "replay", "merging was wrong"),
        ("merge", "replay", "merging was wrong"),
    }
    assert {x.id: (x.do, x.evidence, x.status) for x in rich.list()} == {x.id: (x.do, x.evidence, x.status) for x in made.lessons}
    assert again(rich).is_same
    assert ledger.verify() == []


def test_a_persons_change_of_a_lesson_that_comes_out_differently_is_made_on_what_there_is(rich, monkeypatch):
    added = next(x for x in rich.list() if x.do == FIRST["do"])
    rich.edit(added.id, why="tools of other teams have the same names", by="dana")
    monkeypatch.setattr(curation.Curation, "_settle", lambda self, c, near, answer: self._add(c))
    after = next(x for x in again(rich).lessons if x.id == added.id)
    assert (after.why, len(after.evidence), after.approved_by) == ("tools of other teams have the same names", 2, "dana")


def test_a_question_without_a_stored_answer_leaves_its_draft_out_and_names_it(rich, monkeypatch):
    monkeypatch.setattr("langchain_reflect.reflection.repeating.question_of", lambda *_: "another question")
    made = again(rich)
    assert made.unanswered == (NEARLY["do"],)


def test_a_reflection_whose_episode_was_forgotten_is_taken_as_it_was(book, ledger, learn):
    learn(lessons(FIRST), key="a")
    learn(lessons(OTHER), key="b", task="Move my flight", good="no")
    ledger.forget(episode=UUID(int=6))
    made = again(book)
    assert len(made.as_it_was) == 1
    assert as_text(made.lessons) == as_text(book.list())


def test_two_reflections_that_read_the_book_at_the_same_time_come_out_as_they_did(book, ledger, rollout, keep):
    for n, key in ((1, "a"), (4, "b")):
        keep(*(rollout(n + i, float(i == 0), FEEDBACK if i else None, key=key, answer=f"x{n}{i}") for i in range(3)))
    second = build_reflection_graph(ScriptedChatModel(answers=[lessons(FIRST)]), book, ledger=ledger)
    taken = []

    def first(_):
        if not taken:  # while the first one thinks, the second one begins and ends
            taken.append(reflect(second, limit=1))
        return lessons({**FIRST, "do": "Begin every tool name with acme_, always"})

    reflect(build_reflection_graph(ScriptedChatModel(answers=first), book, ledger=ledger), limit=1)
    assert taken[0].groups == 1
    assert as_text(again(book).lessons) == as_text(book.list())


def test_the_record_is_json_that_names_what_was_read(book, ledger, learn):
    report = learn(lessons(FIRST), key="a")
    record = ledger.reflection_replies(report.id)
    json.dumps(record)
    (group,) = record["groups"]
    assert [r["episode"] for r in group["rollouts"]] == [str(UUID(int=n)) for n in (1, 2, 3)]
    assert group["rollouts"][1]["outcomes"][0]["feedback"] == FEEDBACK
    assert record["prompts"]["hash"] == Prompts().hash
    assert record["settings"]["max_lessons"] == 200


def test_a_reflection_that_had_read_a_lesson_that_was_forgotten_is_taken_as_it_was(book, ledger, learn):
    learn(lessons(FIRST), key="a")
    known = book.list()[0].id
    learn(lessons(NEARLY), {"action": "ADD", "reason": "another"}, key="b")
    learn(lessons(OTHER), key="c", task="Move my flight", good="no")
    for number in (1, 2, 3):
        ledger.forget(episode=UUID(int=number))
    assert known not in {x.id for x in book.list()}
    made = again(book)
    assert (made.is_same, made.unanswered, made.reflections, len(made.as_it_was)) == (True, (), 0, 2)
    assert as_text(made.lessons) == as_text(book.list())


def test_advice_without_a_stored_answer_is_lost_only_on_purpose(rich, monkeypatch):
    monkeypatch.setattr("langchain_reflect.reflection.repeating.question_of", lambda *_: "another question")
    made = again(rich)
    with pytest.raises(InvalidInput, match="1 pieces of advice would be lost"):
        replaying.apply(rich, made)
    assert replaying.apply(rich, made, leave_out=True) == len(made.differences) == 1
