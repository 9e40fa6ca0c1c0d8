"""`verify` finds what contradicts itself, and nothing where all is well."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import delete, text, update

from langchain_reflect import Ledger
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import Episode, Lesson, ReflectionReport, Revision, RolloutGroup

AT = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = UUID(int=1)


@pytest.fixture
def full(either):
    """A ledger with one of everything: a lesson of two revisions, a done job, a waiting one, due and seen episodes, a resumed run."""
    for number in range(1, 5):
        run_ids = (UUID(int=40),) if number == 4 else ()
        either.save_episode(Episode(id=UUID(int=number), task=f"task {number}", metadata={"n": number}, run_ids=run_ids))
        either.record_outcome(UUID(int=number), reward=0, feedback=f"wrong {number}")
    lesson = Lesson(id="L-1", when="w", do="d", evidence=(FIRST,), tasks=("task 1",))
    either.append_revisions([Revision(lesson=lesson, kind="add", actor="R-1")])
    either.append_revisions([Revision(lesson=lesson.model_copy(update={"revision": 2, "do": "e"}), kind="revise", actor="dana")])
    for number in (1, 2):
        rollouts = tuple(either.rollouts(episodes=[UUID(int=number)]))
        either.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="t", rollouts=rollouts)])
    (job,) = either.claim("w")
    endings = [Ending(Claim(job.id, job.fence), "done", tuple(either.rollouts(episodes=job.episodes)))]
    closing = Closing(report=ReflectionReport(id="R-1", groups=1), namespace=("default",), endings=endings)
    either.append_revisions([], closing=closing)
    return either


def test_a_sound_ledger_has_no_problems(full):
    assert full.verify() == []


def test_an_empty_ledger_has_no_problems(either):
    assert either.verify() == []


t = tables
DAMAGE = {
    "a head that is not the last revision": (
        update(t.lessons).values(body={**Lesson(id="L-1", when="w", do="z", revision=2).model_dump(mode="json")}),
        "lesson L-1 is not the fold of its revisions",
    ),
    "a lost last revision": (delete(t.revisions).where(t.revisions.c.revision == 2), "lesson L-1 is not the fold of its revisions"),
    "a lost first revision": (delete(t.revisions).where(t.revisions.c.revision == 1), "lesson L-1 is at revision 2, but has 1"),
    "a lesson that is lost": (delete(t.lessons), "revisions of lesson L-1 belong to no lesson"),
    "a status changed by hand": (update(t.lessons).values(status="active"), "lesson L-1 has columns that differ from its body"),
    "a namespace changed by hand": (update(t.lessons).values(namespace=("other",)), "lesson L-1 has columns that differ from its body"),
    "a lost text": (delete(t.lesson_texts).where(t.lesson_texts.c.position == 1), "lesson L-1 is not found by its own texts"),
    "a lost piece of evidence": (delete(t.evidence), "lesson L-1 has other evidence than its body says"),
    "evidence too much": (t.evidence.insert().values(lesson_id="L-1", episode_id=UUID(int=9)), "has other evidence than its body says"),
    "a reward changed by hand": (
        update(t.outcomes).where(t.outcomes.c.episode_id == FIRST).values(reward=1),
        f"an outcome of episode {FIRST}",
    ),
    "a feedback changed by hand": (update(t.outcomes).where(t.outcomes.c.episode_id == FIRST).values(feedback="ok"), "was changed after"),
    "a retraction made by hand": (update(t.outcomes).where(t.outcomes.c.episode_id == FIRST).values(retracted=1), "was changed after"),
    "a due episode that is not listed": (delete(t.due), f"episode {UUID(int=2)} is due, but is not listed as such"),
    "an episode that is listed and not due": (
        t.due.insert().values(episode_id=FIRST, namespace=("default",), graph="agent", judged_at=AT),
        f"episode {FIRST} is listed as due, but is not",
    ),
    "a job without episodes": (delete(t.job_episodes), "has no episodes"),
    "a done job that holds episodes": (
        t.job_episodes.insert().values(episode_id=UUID(int=3), job_id="J-none"),
        "episodes are held by job J-none, which is not open",
    ),
    "a trajectory without episode": (
        t.trajectories.insert().values(episode_id=UUID(int=9), data=b"x"),
        "1 rows of trajectories belong to no",
    ),
    "metadata without episode": (
        t.episode_metadata.insert().values(episode_id=UUID(int=9), key="k", value="1"),
        "1 rows of episode_metadata belong to no episode",
    ),
    "a run without episode": (t.runs.insert().values(run_id=UUID(int=90), episode_id=UUID(int=9)), "1 rows of runs belong to no episode"),
    "a mark without episode": (
        t.reflected.insert().values(episode_id=UUID(int=9), reflection_id="R-1", at=AT),
        "1 rows of reflected belong to no episode",
    ),
    "a lost episode": (delete(t.episodes).where(t.episodes.c.id == UUID(int=4)), "rows of trajectories belong to no episode"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_each_kind_of_damage_is_found(full, damage, said):
    full._write(lambda c: c.execute(damage))
    assert any(said in line for line in full.verify())


def test_a_damaged_page_is_a_problem(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.record_outcomes([(UUID(int=n), {"reward": 1}) for n in range(500)])
        pages = ledger._read(lambda c: c.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'outcomes_by_source'")).scalar())
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.seek((pages - 1) * 4096)
        file.write(bytes(4096))
    with Ledger(tmp_path) as ledger:
        assert any(line.startswith("the file is damaged") for line in ledger.verify())


def test_a_thousand_problems_of_a_kind_are_not_all_told(either):
    rows = [{"episode_id": UUID(int=n), "namespace": ("default",), "graph": "agent", "judged_at": AT} for n in range(1000)]
    either._write(lambda c: c.execute(tables.due.insert(), rows))
    assert len(either.verify()) == 20


def test_verifying_changes_nothing(full):
    before = full.counts()
    full.verify()
    assert full.counts() == before
