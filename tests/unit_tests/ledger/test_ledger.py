"""The ledger keeps what it acknowledged, and tells it as it was."""

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from langchain_reflect.errors import (
    EpisodeNotFound,
    InvalidInput,
    LedgerError,
    LedgerTooNew,
    LessonNotFound,
    OutcomeConflict,
    ReflectError,
)
from langchain_reflect.ledger import Ledger
from langchain_reflect.types import Episode, Exposure, Lesson, ReflectionReport, Revision, Step, resolve, source_rank

EARLY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as opened:
        yield opened


def an_episode(**fields):
    return Episode(**({"id": uuid4(), "task": "move my flight"} | fields))


def test_an_episode_comes_back_as_it_was(ledger):
    episode = an_episode(
        namespace=("acme", "support"),
        task_key="flights/1",
        steps=(Step(kind="tool", name="search", input={"q": "é\ud800"}, output=[1, None], error="ValueError: x"),),
        result={"answer": "done"},
        shown=("L-1",),
        metadata={"ticket": "T-1", "nested": {"a": 1}},
    )
    ledger.save_episode(episode)
    assert ledger.episode(str(episode.id)) == episode


def test_saving_again_replaces_the_episode_and_keeps_the_first_exposures(ledger):
    episode = an_episode(status="running")
    exposure = Exposure(episode_id=episode.id, lesson_id="L-1", revision=1, shown=True, probability=0.75)
    ledger.save_episode(episode, [exposure])
    ledger.save_episode(episode.model_copy(update={"status": "ok"}), [exposure.model_copy(update={"shown": False})])
    assert ledger.episode(episode.id).status == "ok"
    assert ledger.exposures(episode_id=episode.id) == [exposure]
    assert ledger.counts()["episodes"] == 1


def test_episodes_are_found_by_metadata_namespace_and_status(ledger):
    wanted = an_episode(metadata={"ticket": "T-1042"}, namespace=("a",))
    ledger.save_episodes([(wanted, ()), (an_episode(metadata={"ticket": "T-2"}), ()), (an_episode(namespace=("a", "b")), ())])
    assert ledger.episodes(metadata={"ticket": "T-1042"}) == [wanted]
    assert ledger.episodes(namespace=("a",)) == [wanted]
    assert ledger.episodes(status="error") == []


@pytest.mark.parametrize("hostile", ["*", "%", "_", "A", "a\n", "\u0430", "", 'a"', "a" * 10_000])
def test_a_namespace_is_compared_by_equality_only(ledger, hostile):
    ledger.save_episode(an_episode(namespace=("a",)))
    assert ledger.episodes(namespace=(hostile,)) == []
    mine = an_episode(namespace=(hostile,))
    ledger.save_episode(mine)
    assert ledger.episodes(namespace=(hostile,)) == [mine]


def test_unknown_ids_say_what_to_do(ledger):
    with pytest.raises(EpisodeNotFound, match="reflect episodes"):
        ledger.episode(uuid4())
    with pytest.raises(LessonNotFound, match="L-none"):
        ledger.lesson("L-none")
    with pytest.raises(InvalidInput, match="'not-a-uuid' is not a UUID"):
        ledger.episode("not-a-uuid")


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -0.01, 1.01, 2, "0.5", [1]])
def test_a_reward_outside_its_range_is_refused_by_name(ledger, reward):
    with pytest.raises(InvalidInput, match=r"\[0, 1\]") as raised:
        ledger.record_outcome(uuid4(), reward=reward)
    assert isinstance(raised.value, ValueError)
    assert repr(reward) in str(raised.value)
    assert ledger.counts()["outcomes"] == 0


@pytest.mark.parametrize("fields", [{}, {"feedback": "  "}, {"reward": None, "feedback": None}])
def test_an_outcome_without_reward_and_feedback_is_refused(ledger, fields):
    with pytest.raises(InvalidInput, match="got neither"):
        ledger.record_outcome(uuid4(), **fields)


def test_a_detail_that_is_no_json_is_refused(ledger):
    with pytest.raises(InvalidInput, match="plain JSON"):
        ledger.record_outcome(uuid4(), reward=1, detail={"score": float("nan")})


def test_bools_and_numpy_numbers_are_rewards(ledger):
    assert ledger.record_outcome(uuid4(), reward=True).reward == 1.0
    assert ledger.record_outcome(uuid4(), reward=np.float32(0.5)).reward == 0.5


def test_the_same_outcome_twice_is_one(ledger):
    episode = uuid4()
    first = ledger.record_outcome(episode, reward=1, source="zendesk", key="e1", observed_at=EARLY)
    again = ledger.record_outcome(episode, reward=1, source="zendesk", key="e1")
    assert again == first
    assert ledger.outcomes(episode) == [first]


def test_a_later_judgement_wins_whatever_arrives_first(ledger):
    episode = uuid4()
    ledger.record_outcome(episode, reward=1, observed_at=EARLY + timedelta(hours=1))
    counts = ledger.record_outcome(episode, reward=0, observed_at=EARLY)
    assert counts.reward == 1
    assert [o.reward for o in ledger.outcomes(episode)] == [1]


def test_strict_refuses_another_content(ledger):
    episode = uuid4()
    ledger.record_outcome(episode, reward=1, strict=True)
    ledger.record_outcome(episode, reward=1, strict=True)
    with pytest.raises(OutcomeConflict, match="another outcome"):
        ledger.record_outcome(episode, reward=0, strict=True)


def test_an_outcome_may_overtake_its_episode(ledger):
    episode = an_episode()
    ledger.record_outcome(episode.id, feedback="too slow")
    assert ledger.rollouts() == []
    ledger.save_episode(episode)
    (rollout,) = ledger.rollouts()
    assert (rollout.episode, rollout.reward, rollout.feedback) == (episode, None, ("too slow",))


def test_a_verifier_outweighs_a_person_and_a_person_a_judge(ledger):
    episode = an_episode()
    ledger.save_episode(episode)
    for reward, source in ((0.1, "judge:gpt"), (0.5, "zendesk"), (0.9, "verifier"), (0.2, "judge")):
        ledger.record_outcome(episode.id, reward=reward, source=source)
    assert ledger.rollouts()[0].reward == 0.9
    assert [source_rank(s) for s in ("test:unit", "human", "zendesk", "rule", "judge:x")] == [0, 1, 1, 2, 3]


def test_a_batch_of_outcomes_is_all_or_none(ledger):
    with pytest.raises(InvalidInput):
        ledger.record_outcomes([(uuid4(), {"reward": 1}), (uuid4(), {"reward": 7})])
    assert ledger.counts()["outcomes"] == 0


async def test_outcomes_are_recorded_without_blocking_the_loop(ledger):
    ids = [uuid4() for _ in range(20)]
    await asyncio.gather(*(ledger.arecord_outcome(i, reward=1) for i in ids))
    assert ledger.counts()["outcomes"] == 20


REPORTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["verifier", "user"]), st.sampled_from(["", "k"]), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


@given(reports=REPORTS, data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_reports_gives_the_same_state(ledger, reports, data):
    states = []
    for order in (reports, data.draw(st.permutations(reports))):
        episode = uuid4()
        for reward, source, key, hour in order:
            ledger.record_outcome(episode, reward=reward, source=source, key=key, observed_at=EARLY + timedelta(hours=hour))
        kept = ledger.outcomes(episode)
        states.append((resolve(kept), [(o.source, o.key, o.reward) for o in kept]))
    # Equal content reported at several times keeps the first time it was heard, so only one time per content is compared.
    if len({r[:3] for r in reports}) == len(reports):
        assert states[0] == states[1]


def test_reflected_episodes_are_not_due_until_a_new_outcome_comes(ledger):
    one, sibling, other = an_episode(task_key="k"), an_episode(task_key="k"), an_episode()
    ledger.save_episodes([(e, ()) for e in (one, sibling, other)])
    for episode in (one, sibling, other):
        ledger.record_outcome(episode.id, reward=0)
    ledger.mark_reflected("R-1", ledger.rollouts())
    assert ledger.rollouts(unreflected=True) == []
    ledger.record_outcome(sibling.id, reward=1, source="human")
    assert {r.episode.id for r in ledger.rollouts(unreflected=True)} == {one.id, sibling.id}


def judge(ledger, *given, **fields):
    """Episodes that were judged in this order."""
    made = [an_episode(**fields) for _ in given]
    ledger.save_episodes([(e, ()) for e in made])
    for episode, outcome in zip(made, given, strict=True):
        ledger.record_outcome(episode.id, **outcome)
    return [e.id for e in made]


def ids_of(rollouts):
    return [r.episode.id for r in rollouts]


def test_what_was_judged_anew_since_it_was_read_stays_due(ledger):
    changed, same = judge(ledger, {"reward": 0}, {"reward": 0, "feedback": "no", "detail": {"at": [0.1, None]}})
    read = ledger.rollouts()
    ledger.record_outcome(changed, feedback="because", source="human")
    ledger.mark_reflected("R-1", read)
    assert ids_of(ledger.rollouts(unreflected=True)) == [changed]
    ledger.record_outcome(same, reward=0, feedback="no", detail={"at": [0.1, None]})
    assert ids_of(ledger.rollouts(unreflected=True)) == [changed], "the same report again is no news"


def test_parked_episodes_are_due_after_a_new_outcome_or_a_retry(ledger):
    mine = judge(ledger, {"reward": 0}, {"reward": 0}, namespace=("mine",))
    (theirs,) = judge(ledger, {"reward": 0})
    ledger.mark_reflected("R-1", ledger.rollouts(), parked=True)
    assert (ledger.parked(), ledger.rollouts(unreflected=True)) == (3, [])

    ledger.record_outcome(mine[0], feedback="because")
    assert ids_of(ledger.rollouts(unreflected=True)) == [mine[0]]
    assert ledger.retry_parked(namespace=("mine",)) == 1
    assert ledger.retry_parked(episodes=mine) == 0
    assert ledger.retry_parked() == 1
    assert {*ids_of(ledger.rollouts(unreflected=True))} == {*mine, theirs}
    assert ledger.parked() == 0


def test_what_was_learned_from_is_not_retried(ledger):
    judge(ledger, {"reward": 0})
    ledger.mark_reflected("R-1", ledger.rollouts(), parked=True)
    ledger.mark_reflected("R-2", ledger.rollouts())
    assert (ledger.parked(), ledger.retry_parked()) == (0, 0)


def test_rollouts_may_come_newest_judged_first_and_without_trajectories(ledger):
    step = Step(kind="tool", name="search")
    first, second, third = judge(ledger, {"reward": 1}, {"reward": 0}, {"reward": 1, "feedback": "nice"}, steps=(step,), result="done")
    ledger.record_outcome(first, reward=1, source="human")
    assert ids_of(ledger.rollouts(newest=True)) == [first, third, second]
    assert ids_of(ledger.rollouts(newest=True, limit=1)) == [first]
    assert ids_of(ledger.rollouts(newest=True, below=0.5)) == [third, second]
    light, full = ledger.rollouts(episodes=[first], trajectories=False), ledger.rollouts(episodes=[first], limit=None)
    assert (light[0].episode.steps, light[0].episode.result, light[0].outcomes) == ((), None, full[0].outcomes)
    assert (full[0].episode.steps, full[0].episode.result) == ((step,), "done")


def test_any_number_of_episodes_may_be_chosen(ledger):
    (known,) = judge(ledger, {"reward": 0})
    assert ids_of(ledger.rollouts(episodes=[known, *(UUID(int=n) for n in range(40_000))])) == [known]
    assert ledger.rollouts(episodes=[]) == []


def test_vectors_of_texts_come_back_as_they_were(ledger):
    ledger.put_vectors("E", {"a": np.array([0.1, 0.2], np.float32)})
    found = ledger.text_vectors("E", ["a", "b"])
    assert {text: v.tolist() for text, v in found.items()} == {"a": np.array([0.1, 0.2], np.float32).tolist()}
    assert ledger.text_vectors("other", ["a"]) == {}


def a_lesson(revision=1, **fields):
    return Lesson(**({"id": "L-1", "when": "a flight moves", "do": "check the fare", "revision": revision} | fields))


def revision_of(lesson, kind="add"):
    return Revision(lesson=lesson, kind=kind, actor="human")


def test_a_lesson_is_the_last_of_its_revisions(ledger):
    ledger.append_revisions([revision_of(a_lesson()), revision_of(a_lesson(2, status="retired"), "retire")])
    assert ledger.lesson("L-1").status == "retired"
    assert [r.kind for r in ledger.revisions("L-1")] == ["add", "retire"]


def test_a_revision_that_follows_nothing_changes_nothing(ledger):
    ledger.append_revisions([revision_of(a_lesson())])
    with pytest.raises(LedgerError, match="at revision 1"):
        ledger.append_revisions([revision_of(a_lesson(id="L-2")), revision_of(a_lesson(1))])
    assert len(ledger.lessons()) == 1


def test_lessons_of_another_namespace_do_not_exist(ledger):
    ledger.append_revisions([revision_of(a_lesson(namespace=("a",)))])
    with pytest.raises(LessonNotFound):
        ledger.lesson("L-1", namespace=("b",))
    assert ledger.lessons(namespace=("b",), ids=["L-1"]) == []


def test_a_vector_belongs_to_its_text_so_nothing_is_embedded_twice(ledger):
    lesson = a_lesson(tasks=("move my flight",))
    ledger.append_revisions([revision_of(lesson)])
    texts = ledger.missing_texts("E", [lesson])
    ledger.put_vectors("E", {t: np.full(3, i, np.float32) for i, t in enumerate(texts)})
    reworded = a_lesson(2, do="ask first", tasks=lesson.tasks)
    assert ledger.missing_texts("E", [lesson]) == []
    assert ledger.missing_texts("E", [reworded]) == [reworded.key_text()]
    assert len(ledger.missing_texts("other", [lesson])) == 2
    (held,) = ledger.vectors("E")
    assert held.vectors.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_an_index_asks_what_changed_since_it_last_read(ledger):
    ledger.append_revisions([revision_of(a_lesson()), revision_of(a_lesson(id="L-2"))])
    version, changed = ledger.lessons_changed_since(0)
    assert changed == ["L-1", "L-2"]
    ledger.append_revisions([revision_of(a_lesson(2))])
    assert ledger.lessons_changed_since(version) == (ledger.lessons_version(), ["L-1"])


def test_the_version_grows_with_every_change_of_lessons(ledger):
    before = ledger.lessons_version()
    ledger.append_revisions([revision_of(a_lesson())])
    assert ledger.lessons_version() > before


def test_reports_of_reflections_come_back_with_their_replies(ledger):
    report = ReflectionReport(id="R-1", groups=2)
    ledger.save_reflection(report, replies=[{"raw": "…"}])
    assert ledger.reflections() == [report]
    assert ledger.reflection_replies("R-1") == [{"raw": "…"}]


def test_a_newer_ledger_is_left_untouched(tmp_path):
    with Ledger(tmp_path) as ledger, ledger._write() as connection:
        connection.execute(text("INSERT INTO schema_migrations VALUES ('9999_from_the_future', '2030-01-01T00:00:00.000000+00:00')"))
    with pytest.raises(LedgerTooNew, match="9999_from_the_future"):
        Ledger(tmp_path)


@pytest.mark.parametrize(("url", "message"), [("mysql://h/x", "'mysql'"), ("://", "cannot be read"), ("sqlite://", "no file")])
def test_a_url_that_cannot_be_meant_is_refused(url, message):
    with pytest.raises(InvalidInput, match=message):
        Ledger(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="REFLECT_PATH"):
        Ledger(tmp_path / "file" / "below")


def test_every_write_is_durable_and_immediate(ledger):
    with ledger._write() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    with Ledger(ledger.url.database, durability="fast") as fast, fast._read() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1


def test_threads_share_one_ledger(ledger):
    def work():
        for _ in range(25):
            ledger.record_outcome(uuid4(), reward=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.counts()["outcomes"] == 200


OTHER_PROCESS = """
import sys
from langchain_reflect import Ledger
with Ledger(sys.argv[1]) as ledger:
    ledger.record_outcome(sys.argv[2], reward=0.5, source="zendesk", key=sys.argv[3])
assert not {"chromadb", "torch", "langgraph", "numpy"} & set(sys.modules), "a webhook pays for the ledger only"
"""


def test_processes_that_open_an_empty_ledger_at_once_all_record(tmp_path):
    episode = UUID(int=7)
    running = [subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, str(tmp_path), str(episode), str(n)]) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    with Ledger(tmp_path) as ledger:
        assert sorted(o.key for o in ledger.outcomes(episode)) == ["0", "1", "2", "3"]


def test_every_error_is_a_reflect_error_and_a_builtin():
    for kind, builtin in ((InvalidInput, ValueError), (EpisodeNotFound, LookupError), (LedgerError, RuntimeError)):
        assert issubclass(kind, ReflectError)
        assert issubclass(kind, builtin)
