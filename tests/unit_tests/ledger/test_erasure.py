"""What is forgotten is gone, from every table and every file, and stays out; what others gave stays."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import select

from langchain_reflect import Ledger
from langchain_reflect.errors import ClaimLost, EpisodeErased, EpisodeNotFound, InvalidInput, LessonNotFound, RevisionConflict
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import (
    AppliedEdit,
    Episode,
    Erased,
    Example,
    Exposure,
    Lesson,
    LessonEdit,
    LessonText,
    ReflectionReport,
    Review,
    Revision,
    RolloutGroup,
    Step,
    Usage,
    now,
)

CANARY = "kanarie-1f0c"
BLOCK = f"{CANARY} sings. " * 3


def an_episode(number, said=BLOCK, **fields):
    step = Step(kind="tool", name="search", input={"q": said}, output=[said], error=said)
    given = {"task": f"task {number} {said}", "task_key": f"key {said}", "steps": (step,), "result": {"r": said}, "error": said}
    return Episode(id=UUID(int=number), **(given | {"metadata": {"note": said}, "model": said[:20], "thread_id": said} | fields))


def a_lesson(lesson_id, *episodes, said=BLOCK, tasks=()):
    return Lesson(
        id=lesson_id,
        title=said,
        when=f"when {lesson_id} {said}",
        when_not=said,
        do=f"do {said}",
        why=said,
        examples=(Example(input=said, output=said),),
        evidence=tuple(UUID(int=e) for e in episodes),
        tasks=tasks,
        origin="R-1",
    )


def a_review(actor, lesson_id, said=BLOCK, **fields):
    """A question that quotes what is to be erased, wherever it can."""
    edit = LessonEdit(kind="revise", lesson_id=lesson_id, text=LessonText(when=said, do=said), reason=said)
    return Review(
        id=f"V-{actor}-{lesson_id}", kind="edit", lessons=(lesson_id,), edit=edit, actor=actor, reason=said, answer=said, **fields
    )


def judge(ledger, number, said=BLOCK, **fields):
    ledger.record_outcome(UUID(int=number), **({"reward": 0, "feedback": said, "detail": {"d": said}, "key": "a"} | fields))


def reflect_on(ledger, report_id, *numbers, lessons=(), said=BLOCK, end="done"):
    """One reflection as it leaves jobs, lessons, a report and replies behind."""
    rollouts = tuple(ledger.rollouts(episodes=[UUID(int=n) for n in numbers]))
    group = RolloutGroup(key=f"key:{said}", namespace=("default",), graph="agent", task="t", rollouts=rollouts, reason="feedback")
    assert ledger.plan([group]) == 1
    (job,) = ledger.claim("w")
    texts = [LessonText(when=x.when, do=x.do) for x in lessons]
    edits = tuple(AppliedEdit(edit=LessonEdit(kind="add", text=t, reason=said), applied=True, lesson_id="L") for t in texts)
    report = ReflectionReport(id=report_id, groups=1, edits=edits, errors=(said,), usage=Usage(calls=2, tokens_in=9))
    ending = Ending(Claim(job.id, job.fence), end, rollouts, said)
    closing_ = Closing(report=report, namespace=("default",), endings=[ending], replies={"raw": [said]})
    revisions = [Revision(lesson=x, kind="add", actor=report_id, reason=said) for x in lessons]
    ledger.append_revisions(revisions, asked=[a_review(report_id, x.id, said) for x in lessons], closing=closing_)
    embedded = [t for x in lessons for t in (x.key_text(), *x.tasks)] + [r.episode.task for r in rollouts]
    ledger.put_vectors("e", {t: np.ones(4, dtype=np.float32) for t in embedded})


def everything(ledger):
    """Every row of every table, as text."""
    read = {t.name: ledger._read(lambda c, t=t: [tuple(row) for row in c.execute(select(t))]) for t in tables.metadata.sorted_tables}
    return {name: sorted(map(repr, rows)) for name, rows in read.items()}


def holding(ledger):
    """Where the canary still is: tables, and for SQLite the files too. Trajectories are packed, so they are read as episodes."""
    found = {name for name, rows in everything(ledger).items() if any(CANARY in row for row in rows)}
    if any(CANARY in repr((e.steps, e.result)) for e in ledger.episodes(limit=1000)):
        found.add("trajectories")
    if ledger._database.is_sqlite:
        found |= {p.name for p in Path(ledger.url.database).parent.iterdir() if CANARY.encode() in p.read_bytes()}
    return found


def full(ledger, number=1, **reflected):
    """One episode with one of everything that may quote it."""
    shown = Exposure(episode_id=UUID(int=number), lesson_id="L-1", revision=1, shown=True, probability=0.5)
    ledger.save_episode(an_episode(number, run_ids=(UUID(int=number + 1000),)), [shown])
    judge(ledger, number)
    judge(ledger, number + 1000, source="zendesk")
    reflect_on(ledger, "R-1", number, lessons=[a_lesson("L-1", number, tasks=(f"task {number} {BLOCK}",))], **reflected)


@pytest.mark.parametrize("end", ["done", "parked", "failed"])
def test_nothing_of_a_forgotten_episode_is_left_anywhere(either, end):
    full(either, end=end)
    assert {"episodes", "outcomes", "lessons", "revisions", "reviews", "reflections", "jobs", "episode_metadata"} <= holding(either)
    erased = either.forget(episode=UUID(int=1))
    assert holding(either) == set()
    assert (erased.episodes, erased.trajectories, erased.outcomes, erased.exposures, erased.reflections) == (1, 1, 2, 1, 1)
    assert (erased.lessons, erased.changed, erased.vectors, erased.dry_run) == (("L-1",), (), 2, False)
    assert "episodes" in str(erased)
    assert either.counts() | {"reflections": 0} == dict.fromkeys(either.counts(), 0)
    assert either.verify() == []


def test_what_a_reflection_cost_is_still_known_after_its_words_are_gone(either):
    full(either)
    either.forget(episode=UUID(int=1))
    (report,) = either.reflections()
    assert (report.usage.calls, report.edits, report.errors) == (2, (), ())
    assert either.reflection_replies("R-1") is None


def test_many_forgotten_episodes_leave_nothing_in_the_pages(tmp_path):
    with Ledger(tmp_path / "reflect", durability="fast") as ledger:
        for start in range(0, 300, 100):
            said = [BLOCK if n % 3 else "plain " * 20 for n in range(start, start + 100)]
            ledger.save_episodes([(an_episode(start + i, s), ()) for i, s in enumerate(said)])
            ledger.record_outcomes([(UUID(int=start + i), {"reward": 0, "feedback": s}) for i, s in enumerate(said)])
        old = datetime(2020, 1, 1, tzinfo=UTC)
        ledger._write(lambda c: c.execute(tables.episodes.update().where(tables.episodes.c.task.contains(CANARY)).values(started_at=old)))
        assert ledger.forget(before=old + timedelta(days=1)).episodes == 200
        assert holding(ledger) == set()
        assert ledger.counts()["episodes"] == 100
        assert ledger.verify() == []
    assert all(CANARY.encode() not in p.read_bytes() for p in (tmp_path / "reflect").iterdir())


def test_a_reader_that_is_in_the_way_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_reflect.ledger.backups._SCRUB_PATIENCE", 0.1)
    with Ledger(tmp_path / "reflect") as ledger, closing(sqlite3.connect(tmp_path / "reflect" / "ledger.db")) as reader:
        full(ledger)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM episodes").fetchone()
        erased = ledger.forget(episode=UUID(int=1))
        assert "-wal" in erased.out_of_reach[0]
        reader.rollback()
        ledger.save_episode(an_episode(2, "plain"))
        assert "-wal" not in str(ledger.forget(episode=UUID(int=2)).out_of_reach)
        assert holding(ledger) == set()


SELECTORS = {
    "episode": {"episode": UUID(int=1)},
    "run that resumed it": {"episode": str(UUID(int=1001))},
    "source": {"source": "user"},
    "before": {"before": datetime(2100, 1, 1, tzinfo=UTC)},
    "lesson": {"lesson": "L-1"},
}


@pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
def test_a_dry_run_changes_nothing_and_tells_what_would_go(either, selector):
    full(either)
    full_of = everything(either)
    planned = either.forget(**selector, dry_run=True)
    assert everything(either) == full_of
    done = either.forget(**selector)
    assert planned.dry_run
    numbers = set(Erased.model_fields) - {"dry_run", "out_of_reach"}
    assert planned.model_dump(include=numbers) == done.model_dump(include=numbers)
    assert everything(either) != full_of
    assert str(planned).startswith("would erase")


def test_what_was_forgotten_stays_out_when_it_is_delivered_again(either):
    full(either)
    either.forget(episode=UUID(int=1))
    either.save_episode(an_episode(1, run_ids=(UUID(int=1001),)))
    for episode_id in (UUID(int=1), str(UUID(int=1001))):
        with pytest.raises(EpisodeErased, match="was erased; nothing was kept"):
            either.record_outcome(episode_id, reward=0, feedback=BLOCK)
        with pytest.raises(EpisodeErased):
            either.retract_outcome(episode_id)
    with pytest.raises(EpisodeNotFound):
        either.episode(UUID(int=1))
    assert either.erased([an_episode(1), an_episode(2)]) == {UUID(int=1)}
    assert either.erased([an_episode(1, namespace=("other",))]) == set()
    assert holding(either) == set()


def test_an_erased_outcome_in_a_batch_lets_none_of_the_batch_in(either):
    full(either)
    either.forget(episode=UUID(int=1))
    with pytest.raises(EpisodeErased):
        either.record_outcomes([(UUID(int=5), {"reward": 1}), (UUID(int=1), {"reward": 1})])
    assert either.counts()["outcomes"] == 0


def test_an_episode_of_which_only_outcomes_came_can_be_forgotten(either):
    judge(either, 9)
    assert either.forget(episode=UUID(int=9)).outcomes == 1
    assert holding(either) == set()
    either.save_episode(an_episode(9))
    assert either.counts()["episodes"] == 0


def test_the_same_id_in_another_namespace_is_not_forgotten(either):
    judge(either, 1, namespace=("other",))
    full(either)
    either.forget(episode=UUID(int=1))
    assert [o.feedback for o in either.outcomes(UUID(int=1), namespace=("other",))] == [BLOCK.strip()]
    with pytest.raises(EpisodeNotFound):
        either.forget(episode=UUID(int=2))
    assert either.forget(episode=UUID(int=1)).outcomes == 0, "once more is the same, for whoever got no answer"
    assert either.forget(before=datetime(2100, 1, 1, tzinfo=UTC), namespace=("other",)).episodes == 0


def test_a_lesson_that_rests_on_others_too_stays_without_the_erased_task(either):
    plain = "plain words"
    either.save_episode(an_episode(1))
    either.save_episode(an_episode(2, plain))
    judge(either, 1)
    judge(either, 2, plain)
    shared = a_lesson("L-1", 1, 2, said=plain, tasks=(f"task 1 {BLOCK}", f"task 2 {plain}"))
    shared = shared.model_copy(update={"examples": (Example(input=BLOCK, output=BLOCK),)})
    reflect_on(either, "R-1", 1, 2, lessons=[shared], said=plain)
    reworded = shared.model_copy(update={"revision": 2, "do": "do it well"})
    general = a_review("C-1", "L-1", plain)
    quoting = general.model_copy(update={"edit": LessonEdit(kind="add", tasks=(f"task 1 {BLOCK}",), merged=("L-1",))})
    either.append_revisions([Revision(lesson=reworded, kind="revise", actor="dana")], asked=[quoting])
    version = either.lessons_version()
    erased = either.forget(episode=UUID(int=1))
    assert (erased.lessons, erased.changed) == ((), ("L-1",))
    lesson = either.lesson("L-1")
    assert (lesson.evidence, lesson.tasks, lesson.examples, lesson.do) == ((UUID(int=2),), (f"task 2 {plain}",), (), "do it well")
    assert [r.lesson.evidence for r in either.revisions("L-1")] == [(UUID(int=2),)] * 2
    assert either.lessons_changed_since(version)[1] == ["L-1"]
    assert either.missing_texts("e", [lesson]) == [lesson.key_text()], "vectors of what is still said stay"
    assert holding(either) == set()
    assert either.verify() == []


def test_a_forgotten_lesson_goes_with_all_its_revisions_and_cannot_come_again(either):
    full(either)
    lesson = either.lesson("L-1")
    either.append_revisions([Revision(lesson=lesson.model_copy(update={"revision": 2, "do": "x"}), kind="revise", actor="dana")])
    erased = either.forget(lesson="L-1")
    assert (erased.lessons, erased.episodes) == (("L-1",), 0)
    assert [either.lessons(), either.revisions("L-1"), either.exposures(lesson_id="L-1")] == [[], [], []]
    assert either.episode(UUID(int=1)).task.startswith("task 1")
    with pytest.raises(InvalidInput, match="was erased and stays erased"):
        either.append_revisions([Revision(lesson=lesson, kind="add", actor="dana")])
    with pytest.raises(LessonNotFound):
        either.forget(lesson="L-unknown")
    assert either.verify() == []


def test_a_forgotten_source_leaves_episodes_and_what_others_said(either):
    said = f"{CANARY} said this"
    for number in (1, 2):
        either.save_episode(an_episode(number, "plain"))
        judge(either, number, said, source="gossip")
    judge(either, 2, "plain", source="human")
    reflect_on(either, "R-1", 1, lessons=[a_lesson("L-1", 1, said=said)], said=said)
    reflect_on(either, "R-2", 2, lessons=[a_lesson("L-2", 2, said="plain")], said="plain")
    erased = either.forget(source="gossip")
    assert (erased.outcomes, erased.episodes, erased.lessons) == (2, 0, ("L-1",))
    assert either.counts()["episodes"] == 2
    assert [o.source for o in either.outcomes(UUID(int=2))] == ["human"]
    assert [r.episode.id.int for r in either.rollouts(unreflected=True)] == [2], "it is judged by others, and due again"
    with pytest.raises(EpisodeErased):
        judge(either, 1, said, source="gossip")
    judge(either, 1, "plain", source="human")
    assert [x.id for x in either.lessons()] == ["L-2"]
    assert holding(either) == set()
    assert either.verify() == []


def test_before_forgets_what_began_earlier_and_nothing_else(either):
    at = datetime(2026, 5, 1, tzinfo=UTC)
    for number, hours in ((1, -1), (2, 0), (3, 1)):
        either.save_episode(an_episode(number, BLOCK if hours < 0 else "plain", started_at=at + timedelta(hours=hours)))
    assert either.forget(before=at).episodes == 1
    assert {e.id.int for e in either.episodes()} == {2, 3}
    assert holding(either) == set()


def test_a_job_with_a_forgotten_episode_is_planned_anew_without_it(either):
    for number in (1, 2):
        either.save_episode(an_episode(number, BLOCK if number == 1 else "plain"))
        judge(either, number, BLOCK if number == 1 else "plain")
    rollouts = tuple(either.rollouts())
    either.plan([RolloutGroup(key=BLOCK, namespace=("default",), graph="agent", task="t", rollouts=rollouts)])
    either.forget(episode=UUID(int=1))
    assert (either.jobs(), either.due()) == ([], 1)
    left = tuple(either.rollouts())
    assert either.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="t", rollouts=left)]) == 1
    assert [job.episodes for job in either.claim("w")] == [(UUID(int=2),)]
    assert holding(either) == set()
    assert either.verify() == []


def test_a_reflection_of_what_was_forgotten_meanwhile_writes_nothing(either):
    either.save_episode(an_episode(1))
    judge(either, 1)
    rollouts = tuple(either.rollouts())
    either.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="t", rollouts=rollouts)])
    (job,) = either.claim("w")
    either.forget(episode=UUID(int=1))
    late = Closing(
        report=ReflectionReport(id="R-1", groups=1, errors=(BLOCK,)),
        namespace=("default",),
        endings=[Ending(Claim(job.id, job.fence), "done", rollouts)],
        replies=[BLOCK],
    )
    with pytest.raises(ClaimLost):
        either.append_revisions([Revision(lesson=a_lesson("L-1", 1), kind="add", actor="R-1")], closing=late)
    assert holding(either) == set()
    assert either.verify() == []


BAD_SELECTORS = [
    {},
    {"episode": None},
    {"namespace": ("a",)},
    {"episode": UUID(int=1), "source": "user"},
    {"before": datetime(2026, 1, 1, tzinfo=UTC), "lesson": "L-1"},
    {"everything": True},
    {"episode": UUID(int=1), "everything": True},
]


@pytest.mark.parametrize("selector", BAD_SELECTORS, ids=str)
def test_forgetting_needs_exactly_one_selector(ledger, selector):
    full(ledger)
    before = everything(ledger)
    with pytest.raises(InvalidInput, match="exactly one of episode=, source=, before= and lesson="):
        ledger.forget(**selector)
    assert everything(ledger) == before


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"before": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001 - the bad input
        ({"before": "2026-01-01"}, "no time zone"),
        ({"episode": "not an id"}, "is not a UUID"),
        ({"source": "a\nb"}, "cannot be used"),
        ({"source": 7}, "expected text"),
        ({"source": "user", "namespace": "*"}, "namespace"),
    ],
    ids=str,
)
def test_a_selector_that_cannot_be_meant_is_refused(ledger, selector, message):
    with pytest.raises(InvalidInput, match=message):
        ledger.forget(**selector)


def test_forgetting_names_where_copies_may_still_be(either):
    full(either)
    places = " ".join(either.forget(episode=UUID(int=1)).out_of_reach)
    assert "backups" in places
    assert ("WAL archive" in places) is (not either._database.is_sqlite)


def test_old_trajectories_are_trimmed_unless_they_wait_for_a_reflection(either):
    long_ago = now() - timedelta(days=40)
    for number in (1, 2, 3):
        started = long_ago if number < 3 else now()
        either.save_episode(an_episode(number, "plain", started_at=started, status="running" if number == 1 else "ok"))
    judge(either, 2, "plain")
    assert either.sweep(timedelta(hours=1), trajectories_older_than=timedelta(days=30)) == 1
    assert [bool(either.episode(UUID(int=n)).steps) for n in (1, 2, 3)] == [False, True, True]
    assert either.episode(UUID(int=1)).status == "abandoned"
    assert either.episode(UUID(int=1)).task == "task 1 plain", "only steps and result go"
    reflect_on(either, "R-1", 2, said="plain")
    assert either.trim(timedelta(days=30)) == 1
    assert either.trim(timedelta(days=30)) == 0
    assert either.verify() == []


def test_forgetting_an_unknown_episode_is_told(either):
    with pytest.raises(EpisodeNotFound, match="`reflect episodes` shows"):
        either.forget(episode=uuid4())


def test_a_forgotten_lesson_leaves_no_word_in_the_reports_that_wrote_it(tmp_path):
    with Ledger(tmp_path) as ledger:
        lesson = Lesson(id="L-9", when="CANARY-when", do="CANARY-do", origin="R-9")
        edit = AppliedEdit(edit=LessonEdit(kind="add", text=lesson.text), applied=True, lesson_id="L-9")
        report = ReflectionReport(id="R-9", groups=1, edits=(edit,))
        closing = Closing(report=report, namespace=("default",), replies={"said": "CANARY-reply"})
        ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="R-9")], closing=closing)
        assert ledger.forget(lesson="L-9").lessons == ("L-9",)
        assert ledger.forget(lesson="L-9").lessons == ("L-9",), "once more is the same"
    assert all(b"CANARY" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_source_that_is_forgotten_takes_the_reflection_under_way_along(tmp_path):
    with Ledger(tmp_path) as ledger:
        episode = Episode(id=uuid4(), task="t")
        ledger.save_episode(episode)
        ledger.record_outcome(episode.id, reward=0.0, feedback="CANARY", source="rumour")
        rollouts = tuple(ledger.rollouts())
        group = RolloutGroup(key="k", namespace=("default",), graph="agent", task="t", rollouts=rollouts)
        ledger.plan([group])
        (job,) = ledger.claim("a worker")
        ledger.forget(source="rumour")
        ending = Ending(Claim(job.id, job.fence), "done", rollouts)
        lesson = Lesson(id="L-9", when="w", do="CANARY", evidence=(episode.id,))
        with pytest.raises(ClaimLost):
            ledger.append_revisions(
                [Revision(lesson=lesson, kind="add", actor="R-9")],
                closing=Closing(ReflectionReport(id="R-9"), ("default",), [ending]),
            )
        assert ledger.lessons() == []
    assert all(b"CANARY" not in file.read_bytes() for file in tmp_path.iterdir())


def test_outcomes_whose_episode_never_came_go_with_their_time(either):
    either.record_outcome(UUID(int=5), feedback="x", source="early")
    assert either.orphans() == 1
    assert either.forget(before=datetime(2100, 1, 1, tzinfo=UTC)).outcomes == 1
    assert either.orphans() == 0


@pytest.mark.parametrize("state", ["open", "approved", "rejected"])
def test_reviews_go_with_the_lesson_they_quote_and_with_the_reflection_that_asked(either, state):
    full(either)
    either.save_episode(an_episode(2, "plain"))
    judge(either, 2, "plain")
    reflect_on(either, "R-2", 2, lessons=[a_lesson("L-2", 2, said="plain")], said="plain")
    asked = [a_review("R-9", "L-1", state=state), a_review("R-1", "L-2", state=state)]
    either.append_revisions([], asked=asked)
    both = a_review("R-9", "L-2", "plain").model_copy(
        update={"id": "V-both", "kind": "contradiction", "lessons": ("L-1", "L-2"), "reason": BLOCK}
    )
    either.append_revisions([], asked=[both])
    either.forget(episode=UUID(int=1))
    assert [r.id for r in either.reviews(state=None)] == ["V-R-2-L-2"]
    assert holding(either) == set()
    assert either.verify() == []


def test_what_was_forgotten_is_in_no_past_and_no_journal(either):
    full(either)
    either.forget(lesson="L-1")
    assert (either.journal(), either.journal(until=now()), either.lesson_facts().shown) == ([], [], {})
    assert either.is_erased("L-1")
    assert not either.is_erased("L-2")


def test_a_decision_after_the_lesson_was_forgotten_brings_nothing_back(either):
    full(either)
    (review,) = either.reviews()
    said = either.lesson("L-1").model_copy(update={"revision": 2})
    either.forget(lesson="L-1")
    before = everything(either)
    decided = review.model_copy(update={"state": "approved", "by": "dana"})
    assert not either.decide(decided, [Revision(lesson=said, kind="revise", actor="R-1")])
    with pytest.raises(RevisionConflict):
        either.append_revisions([], decided=[decided])
    assert everything(either) == before


def test_a_consolidation_that_quotes_an_episodes_lesson_is_scrubbed_with_it(either):
    either.save_episode(Episode(id=UUID(int=1), task=CANARY))
    either.save_episode(Episode(id=UUID(int=2), task="other"))
    report = ReflectionReport(id="C-00000000000a", groups=1, errors=(f"cluster {CANARY}",))
    either.append_revisions([], closing=Closing(report=report, namespace=("default",), replies=[CANARY], about=[UUID(int=1), UUID(int=2)]))
    assert either.forget(episode=UUID(int=1)).reflections == 1
    assert holding(either) == set()
    assert either.due() == 0, "to be quoted is not to be reflected on"
