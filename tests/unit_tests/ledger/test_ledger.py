"""The ledger keeps what it acknowledged, and tells it as it was."""

import asyncio
import subprocess
import sys
import threading
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import event

from langchain_reflect.errors import EpisodeNotFound, InvalidInput, LedgerError, LessonNotFound, ReflectError
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import Episode, Exposure, Lesson, ReflectionReport, Revision, RolloutGroup, Step


@pytest.fixture
def ledger(either):
    return either


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
    assert ledger.episode(str(episode.id), namespace=("acme", "support")) == episode


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


def test_unknown_ids_say_what_to_do(ledger):
    with pytest.raises(EpisodeNotFound, match="reflect episodes"):
        ledger.episode(uuid4())
    with pytest.raises(LessonNotFound, match="L-none"):
        ledger.lesson("L-none")
    with pytest.raises(InvalidInput, match="'not-a-uuid' is not a UUID"):
        ledger.episode("not-a-uuid")


async def test_outcomes_are_recorded_without_blocking_the_loop(ledger):
    ids = [uuid4() for _ in range(20)]
    await asyncio.gather(*(ledger.arecord_outcome(i, reward=1) for i in ids))
    assert ledger.counts()["outcomes"] == 20


def reflect(ledger, rollouts, name="R-1"):
    """What a reflection does that has seen these rollouts and changes no lesson."""
    ledger.append_revisions([], closing=Closing(report=ReflectionReport(id=name), namespace=ledger.namespace, seen=rollouts))


def park(ledger, namespace, name):
    """Make a job of all that is due in a namespace, and park it."""
    due = tuple(ledger.rollouts(namespace=namespace, unreflected=True))
    ledger.plan([RolloutGroup(key="k", namespace=namespace, graph="agent", task="t", rollouts=due)])
    (job,) = ledger.claim("me", namespace=namespace)
    ending = Ending(Claim(job.id, job.fence), "parked", due, problem="the model answered nonsense")
    ledger.append_revisions([], closing=Closing(report=ReflectionReport(id=name), namespace=namespace, endings=[ending]))
    return job.id


def test_reflected_episodes_are_not_due_until_a_new_outcome_comes(ledger):
    one, sibling, other = an_episode(task_key="k"), an_episode(task_key="k"), an_episode()
    ledger.save_episodes([(e, ()) for e in (one, sibling, other)])
    for episode in (one, sibling, other):
        ledger.record_outcome(episode.id, reward=0)
    reflect(ledger, ledger.rollouts())
    assert ledger.rollouts(unreflected=True) == []
    ledger.record_outcome(sibling.id, reward=1, source="human")
    assert {r.episode.id for r in ledger.rollouts(unreflected=True)} == {one.id, sibling.id}


def judge(ledger, *given, **fields):
    """Episodes that were judged in this order."""
    made = [an_episode(**fields) for _ in given]
    ledger.save_episodes([(e, ()) for e in made])
    for episode, outcome in zip(made, given, strict=True):
        ledger.record_outcome(episode.id, **outcome, namespace=episode.namespace)
    return [e.id for e in made]


def ids_of(rollouts):
    return [r.episode.id for r in rollouts]


def test_what_was_judged_anew_since_it_was_read_stays_due(ledger):
    changed, same = judge(ledger, {"reward": 0}, {"reward": 0, "feedback": "no", "detail": {"at": [0.1, None]}})
    read = ledger.rollouts()
    ledger.record_outcome(changed, feedback="because", source="human")
    reflect(ledger, read)
    assert ids_of(ledger.rollouts(unreflected=True)) == [changed]
    ledger.record_outcome(same, reward=0, feedback="no", detail={"at": [0.1, None]})
    assert ids_of(ledger.rollouts(unreflected=True)) == [changed], "the same report again is no news"


def test_a_parked_job_waits_for_a_person_or_for_another_outcome(ledger):
    mine = judge(ledger, {"reward": 0}, {"reward": 0}, namespace=("mine",))
    judge(ledger, {"reward": 0})
    parked = {park(ledger, ("mine",), "R-1"), park(ledger, ("default",), "R-2")}
    assert {job.id for job in ledger.jobs(state="parked")} == parked
    assert {job.problem for job in ledger.jobs()} == {"the model answered nonsense"}
    assert (ledger.due(), ledger.job_counts(), ledger.claim("me")) == (0, {"parked": 2}, [])

    ledger.record_outcome(mine[0], feedback="because", namespace=("mine",))
    assert (ledger.due(), ledger.jobs(namespace=("mine",))) == (2, [])
    assert ledger.free(namespace=("mine",)) == 0
    assert ledger.free(episodes=mine) == 0
    assert ledger.free() == 1
    assert ledger.due() == 3
    assert [job.namespace for job in ledger.claim("me", limit=5)] == [("default",)]
    assert ledger.verify() == []


def test_what_was_learned_from_is_not_claimed_again(ledger):
    judge(ledger, {"reward": 0})
    park(ledger, ("default",), "R-1")
    reflect(ledger, ledger.rollouts(), "R-2")
    assert (ledger.due(), ledger.rollouts(unreflected=True)) == (0, [])
    assert ledger.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="t", rollouts=tuple(ledger.rollouts()))]) == 0


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


def test_texts_and_evidence_are_those_of_the_last_revision(ledger):
    first, second = uuid4(), uuid4()
    ledger.append_revisions([revision_of(a_lesson(tasks=("a", "b"), evidence=(first, second)))])
    ledger.append_revisions([revision_of(a_lesson(2, tasks=("b", "a"), evidence=(second,)))])
    ledger.put_vectors("E", {text: np.full(3, i, np.float32) for i, text in enumerate((a_lesson().key_text(), "a", "b"))})
    (held,) = ledger.vectors("E")
    assert held.vectors[:, 0].tolist() == [0, 2, 1]
    assert ledger.lesson_facts().lost == {"L-1": (second,)}
    ledger.append_revisions([revision_of(a_lesson(3))])
    assert len(ledger.vectors("E")[0].vectors) == 1
    assert ledger.lesson_facts().lost == {}


def test_an_edit_that_changes_no_words_writes_what_changed_only(ledger):
    """Each page that an edit writes has to reach the disk before it is acknowledged."""
    lesson, written = a_lesson(tasks=("a",), evidence=(uuid4(),)), []
    ledger.append_revisions([revision_of(lesson)])
    event.listen(ledger._database._engine, "before_cursor_execute", lambda *given: written.append(given[2].split()[:3]))
    ledger.append_revisions([revision_of(lesson.model_copy(update={"status": "retired", "revision": 2}), "retire")])
    writes = [words for words in written if words[0] in ("INSERT", "UPDATE", "DELETE")]
    assert writes == [["INSERT", "INTO", "meta"], ["INSERT", "INTO", "revisions"], ["INSERT", "INTO", "lessons"]]
    assert ledger.lesson("L-1").status == "retired"


def test_lessons_are_read_by_id_without_going_through_their_namespace(tmp_path):
    asked = []
    with Ledger(tmp_path) as ledger:
        event.listen(ledger._database._engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        ledger.lessons(namespace=("default",), statuses=("active", "candidate"), ids=["L-1", "L-2"])
        ledger.vectors("E", namespace=("default",), statuses=("active",), ids=["L-1", "L-2"])
        for statement, values in tuple(asked):
            plan = ledger._read(lambda c, s=statement, v=values: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", v).all())
            assert any("lessons USING INDEX sqlite_autoindex_lessons_1 (id=?)" in row[3] for row in plan), plan


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
    ledger.append_revisions([], closing=Closing(report=report, namespace=ledger.namespace, replies=[{"raw": "…"}]))
    assert ledger.reflections() == [report]
    assert ledger.reflection_replies("R-1") == [{"raw": "…"}]


@pytest.mark.parametrize(("url", "message"), [("mysql://h/x", "'mysql'"), ("://", "cannot be read"), ("sqlite://", "no file")])
def test_a_url_that_cannot_be_meant_is_refused(url, message):
    with pytest.raises(InvalidInput, match=message):
        Ledger(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="REFLECT_PATH"):
        Ledger(tmp_path / "file" / "below")


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


def test_processes_that_open_an_empty_ledger_at_once_all_record(ledger_url):
    episode = UUID(int=7)
    running = [subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, ledger_url, str(episode), str(n)]) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    with Ledger(ledger_url) as ledger:
        assert sorted(o.key for o in ledger.outcomes(episode)) == ["0", "1", "2", "3"]


def test_every_error_is_a_reflect_error_and_a_builtin():
    for kind, builtin in ((InvalidInput, ValueError), (EpisodeNotFound, LookupError), (LedgerError, RuntimeError)):
        assert issubclass(kind, ReflectError)
        assert issubclass(kind, builtin)
