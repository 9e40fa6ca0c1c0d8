"""A job has its effect exactly once: one worker at a time holds it, and whoever lost it can no longer finish it."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest

from langchain_reflect import Ledger
from langchain_reflect.errors import ClaimLost, RevisionConflict
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import Episode, Lesson, ReflectionReport, Revision, RolloutGroup, Usage, now

SHORT = timedelta(milliseconds=1)


def judged(ledger, *, namespace=("default",), task="move my flight", graph="agent"):
    episode = Episode(id=uuid4(), namespace=namespace, task=task, graph=graph)
    ledger.save_episode(episode)
    ledger.record_outcome(episode.id, reward=0, feedback="wrong fare", namespace=namespace)
    return episode.id


def group_of(ledger, *ids, key="k"):
    rollouts = tuple(ledger.rollouts(episodes=ids))
    first = rollouts[0].episode
    return RolloutGroup(key=key, namespace=first.namespace, graph=first.graph, task=first.task, rollouts=rollouts, reason="feedback")


def planned(ledger, **fields):
    """A new job with one episode; the episode."""
    episode = judged(ledger, **fields)
    assert ledger.plan([group_of(ledger, episode)]) == 1
    return episode


def claim_of(job):
    return Claim(job.id, job.fence)


def closing(ledger, *jobs, end="done", report_id=None, usage=None, **fields):
    """What a reflection of these jobs leaves behind."""
    report = ReflectionReport(id=report_id or f"R-{uuid4().hex[:8]}", groups=len(jobs), usage=usage or Usage(calls=1, tokens_in=7))
    endings = [Ending(claim_of(j), end, tuple(ledger.rollouts(episodes=j.episodes)), **fields) for j in jobs]
    return Closing(report=report, namespace=jobs[0].namespace, endings=endings, replies={"said": "…"})


def added(lesson_id="L-1", **fields):
    return Revision(lesson=Lesson(id=lesson_id, when="a flight moves", do="check the fare", **fields), kind="add", actor="R-1")


def spent(ledger):
    rows = ledger._read(lambda c: c.execute(tables.spending.select()).all())
    return {row.namespace: (row.calls, row.tokens) for row in rows}


def end_waiting(ledger):
    """Let the waits after failures be over."""
    past = {"not_before": now() - timedelta(seconds=1)}
    ledger._write(lambda c: c.execute(tables.jobs.update().where(tables.jobs.c.not_before.is_not(None)).values(past)))


def test_a_group_is_planned_once(either):
    episode = judged(either)
    group = group_of(either, episode)
    assert [either.plan([group]), either.plan([group]), either.plan([group, group])] == [1, 0, 0]
    (job,) = either.jobs()
    assert (job.state, job.key, job.reason, job.episodes, job.fence) == ("ready", "k", "feedback", (episode,), 0)
    assert either.verify() == []


def test_what_is_not_due_is_not_planned(either):
    planned(either)
    (job,) = either.claim("a")
    group = group_of(either, *job.episodes)
    either.append_revisions([], closing=closing(either, job))
    assert either.plan([group]) == 0


def test_threads_that_plan_at_once_make_one_job(either):
    group = group_of(either, judged(either))
    made = []
    at_once = threading.Barrier(4)

    def plan():
        at_once.wait(10)
        made.append(either.plan([group]))

    run_all([plan] * 4)
    assert sorted(made) == [0, 0, 0, 1]
    assert len(either.jobs()) == 1


def run_all(works):
    failed = []

    def guarded(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def test_eight_threads_never_get_the_same_job(either):
    for _ in range(24):
        planned(either)
    taken = []

    def work():
        while found := either.claim(threading.current_thread().name):
            taken.extend(found)

    run_all([work] * 8)
    assert len(taken) == len({job.id for job in taken}) == 24
    assert {job.state for job in either.jobs()} == {"leased"}


def test_a_claimed_job_tells_who_has_it_and_until_when(either):
    planned(either)
    (job,) = either.claim("worker-7", lease=timedelta(minutes=5))
    assert (job.state, job.owner, job.fence) == ("leased", "worker-7", 1)
    assert timedelta(minutes=4) < job.leased_until - now() < timedelta(minutes=6)
    assert either.jobs(state="leased") == [job]
    assert either.job_counts() == {"leased": 1}


def test_the_oldest_job_is_claimed_first(either):
    episodes = [planned(either) for _ in range(4)]
    assert [job.episodes for job in either.claim("a", limit=2)] == [(e,) for e in episodes[:2]]
    assert [job.episodes for job in either.claim("a", limit=5)] == [(e,) for e in episodes[2:]]


def test_jobs_of_several_namespaces_are_not_mixed_in_one_claim(either):
    spaces = [("a",), ("b",), ("a",), ("b",), ("a", "b")]
    for space in spaces:
        planned(either, namespace=space)
    claims = [either.claim("w", limit=10) for _ in range(4)]
    assert [len({job.namespace for job in several}) for several in claims[:3]] == [1, 1, 1]
    assert sorted(job.namespace for several in claims for job in several) == sorted(spaces)
    assert claims[3] == []


def test_a_claim_may_ask_for_a_namespace_a_graph_or_episodes(either):
    ours, theirs = planned(either, namespace=("a",)), planned(either, namespace=("a", "b"), graph="other")
    assert either.claim("w", namespace=("b",)) == []
    assert either.claim("w", graph="nothing") == []
    assert either.claim("w", episodes=[uuid4()]) == []
    assert [job.episodes for job in either.claim("w", graph="other")] == [(theirs,)]
    assert [job.episodes for job in either.claim("w", namespace=("a",), episodes=[uuid4(), ours])] == [(ours,)]


def test_a_claim_by_episodes_takes_only_jobs_that_are_all_among_them(either):
    first, second = judged(either), judged(either)
    either.plan([group_of(either, first, second)])
    assert either.claim("w", episodes=[first]) == []
    assert len(either.claim("w", episodes=[first, second])) == 1


def test_a_lease_that_ran_out_is_taken_over_and_the_first_worker_can_write_nothing(either):
    planned(either)
    (first,) = either.claim("slow", lease=SHORT)
    late = closing(either, first, report_id="R-late")
    time.sleep(0.02)
    (second,) = either.claim("fast")
    assert (second.id, second.fence, second.owner) == (first.id, 2, "fast")
    with pytest.raises(ClaimLost, match="taken over by another worker"):
        either.append_revisions([added()], closing=late)
    assert (either.lessons(), either.reflections(), spent(either)) == ([], [], {})
    assert either.reflection_replies("R-late") is None
    either.append_revisions([added()], closing=closing(either, second, report_id="R-1"))
    assert [r.id for r in either.reflections()] == ["R-1"]
    assert either.jobs()[0].reflection_id == "R-1"
    assert either.verify() == []


def test_a_lease_that_ran_out_and_that_nobody_took_still_counts(either):
    planned(either)
    (job,) = either.claim("slow", lease=SHORT)
    time.sleep(0.02)
    either.append_revisions([], closing=closing(either, job))
    assert either.jobs()[0].state == "done"


def test_a_renewed_lease_is_not_taken_over(either):
    planned(either)
    (job,) = either.claim("a", lease=timedelta(milliseconds=50))
    assert either.renew([claim_of(job)], timedelta(minutes=1)) == [claim_of(job)]
    time.sleep(0.1)
    assert either.claim("b") == []


def test_renewing_tells_which_claims_are_still_held(either):
    planned(either)
    planned(either)
    lost, held = either.claim("a", limit=2, lease=SHORT)
    time.sleep(0.02)
    either.claim("b", episodes=lost.episodes)
    assert either.renew([claim_of(lost), claim_of(held), Claim("J-unknown", 1)]) == [claim_of(held)]


def test_one_lost_claim_of_several_lets_nothing_be_written(either):
    planned(either)
    planned(either)
    jobs = either.claim("a", limit=2, lease=SHORT)
    late = closing(either, *jobs)
    time.sleep(0.02)
    either.claim("b", episodes=jobs[1].episodes)
    with pytest.raises(ClaimLost):
        either.append_revisions([added()], closing=late)
    assert either.lessons() == []
    assert {job.state for job in either.jobs()} == {"leased"}
    assert either.due() == 2


def test_the_same_closing_again_changes_nothing(either):
    planned(either)
    (job,) = either.claim("a")
    once = closing(either, job, usage=Usage(calls=2, tokens_in=5, tokens_out=6))
    for _ in range(3):
        either.append_revisions([added()], closing=once)
    assert [len(either.reflections()), len(either.revisions("L-1")), len(either.lessons())] == [1, 1, 1]
    assert spent(either) == {("default",): (2, 11)}
    assert either.verify() == []


def test_a_closing_that_conflicts_in_a_lesson_leaves_the_job_as_it_was(either):
    planned(either)
    either.append_revisions([added()])
    (job,) = either.claim("a")
    with pytest.raises(RevisionConflict):
        either.append_revisions([added(status="active")], closing=closing(either, job))
    assert (either.jobs()[0].state, either.reflections(), spent(either), either.due()) == ("leased", [], {}, 1)


def test_a_done_job_lets_its_episodes_go_and_they_are_no_longer_due(either):
    episode = planned(either)
    (job,) = either.claim("a")
    either.append_revisions([], closing=closing(either, job))
    (done,) = either.jobs()
    assert (done.state, done.episodes, done.leased_until, either.due()) == ("done", (), None, 0)
    either.record_outcome(episode, reward=1, source="test")
    assert either.plan([group_of(either, episode)]) == 1
    assert either.job_counts() == {"done": 1, "ready": 1}


def test_a_failure_backs_off_longer_each_time_and_parks_with_its_reason(either):
    planned(either)
    waits = []
    for number in range(1, 4):
        (job,) = either.claim("a")
        before = now()
        either.append_revisions([], closing=closing(either, job, end="failed", problem=f"timeout {number}"))
        (failed,) = either.jobs()
        assert (failed.state, failed.failures, failed.problem) == ("ready", number, f"timeout {number}")
        assert either.claim("b") == [], "not before its time"
        waits.append((failed.not_before - before).total_seconds())
        end_waiting(either)
    assert [3 < waits[0] < 8, 6 < waits[1] < 14, 13 < waits[2] < 27] == [True] * 3
    (job,) = either.claim("a")
    last = closing(either, job, end="failed", problem="timeout 4")
    either.append_revisions([], closing=Closing(**{f: getattr(last, f) for f in last.__slots__} | {"max_failures": 4}))
    (parked,) = either.jobs(state="parked")
    assert (parked.failures, parked.problem, parked.not_before) == (4, "timeout 4", None)
    assert either.claim("a") == []
    assert either.due() == 0
    assert either.free() == 1
    assert either.due() == 1, "what was not learned from is due when it is freed"


def test_a_wait_that_a_provider_asks_for_is_kept_up_to_an_hour(either):
    planned(either)
    for asked, least, most in ((120.0, 119, 130), (86_400.0, 3_500, 3_610)):
        (job,) = either.claim("a")
        before = now()
        either.append_revisions([], closing=closing(either, job, end="failed", problem="429", retry_after=asked))
        assert least < (either.jobs()[0].not_before - before).total_seconds() < most
        end_waiting(either)


def test_what_is_given_back_waits_and_is_parked_in_the_end(either):
    planned(either)
    for number in range(1, 4):
        (job,) = either.claim("a")
        either.give_back([Ending(claim_of(job), "failed", problem="KeyError: x")], max_failures=3)
        either.give_back([Ending(claim_of(job), "failed", problem="once more")], max_failures=3)
        (found,) = either.jobs()
        assert (found.failures, found.problem) == (number, "KeyError: x")
        end_waiting(either)
    assert either.job_counts() == {"parked": 1}


def test_a_released_job_may_be_claimed_at_once(either):
    planned(either)
    (job,) = either.claim("a")
    either.append_revisions([], closing=closing(either, job, end="released", problem="interrupted"))
    assert [(j.fence, j.failures) for j in either.claim("b")] == [(2, 0)]


def test_freeing_makes_parked_and_waiting_jobs_claimable(either):
    for space, end in ((("a",), "parked"), (("b",), "failed"), (("c",), "parked")):
        planned(either, namespace=space)
        (job,) = either.claim("w", namespace=space)
        either.append_revisions([], closing=closing(either, job, end=end, problem="no contrast"))
    running = planned(either, namespace=("d",))
    (held,) = either.claim("w", episodes=[running])
    assert either.claim("w") == []
    assert [either.free(namespace=("a",)), either.free(job_ids=[]), either.free(graph="other"), either.free(episodes=[running])] == [
        1,
        0,
        0,
        0,
    ]
    assert [job.namespace for job in either.claim("w", limit=9)] == [("a",)]
    assert either.free() == 2
    assert [(job.failures, job.not_before) for job in either.jobs(state="ready")] == [(0, None)] * 2
    assert either.renew([claim_of(held)]) == [claim_of(held)], "what is held is left alone"


def test_freeing_by_id_frees_that_job_only(either):
    for _ in range(2):
        planned(either)
    jobs = either.claim("w", limit=2)
    either.append_revisions([], closing=closing(either, *jobs, end="parked", problem="x"))
    assert either.free(job_ids=[jobs[1].id]) == 1
    assert [job.id for job in either.jobs(state="ready")] == [jobs[1].id]


def test_a_dropped_job_is_planned_anew(either):
    episode = planned(either)
    (job,) = either.claim("a")
    either.drop([claim_of(job)])
    assert (either.jobs(), either.due()) == ([], 1)
    assert either.plan([group_of(either, episode)]) == 1
    either.drop([claim_of(job)])
    assert len(either.jobs()) == 1, "only who holds a job can drop it"


@pytest.mark.parametrize("end", ["ready", "parked"])
def test_a_new_outcome_makes_a_waiting_or_parked_job_anew(either, end):
    episode = planned(either)
    if end == "parked":
        (job,) = either.claim("a")
        either.append_revisions([], closing=closing(either, job, end="parked", problem="no contrast"))
    before = either.jobs()[0].id
    either.record_outcome(episode, reward=1, source="test")
    assert either.plan([group_of(either, episode)]) == 1
    (job,) = either.claim("b")
    assert job.id != before
    assert len(either.jobs()) == 1
    assert either.verify() == []


@pytest.mark.parametrize("end", ["done", "parked", "failed"])
def test_an_outcome_that_comes_during_a_lease_is_reflected_on_afterwards(either, end):
    episode = planned(either)
    (job,) = either.claim("a")
    ending = closing(either, job, end=end, problem="no contrast")
    either.record_outcome(episode, reward=1, source="test")
    assert either.claim("b") == [], "it stays with who has it"
    either.append_revisions([], closing=ending)
    assert either.due() == 1
    end_waiting(either)
    either.plan([group_of(either, episode)])
    assert [j.episodes for j in either.claim("b")] == [(episode,)]
    assert either.verify() == []


def test_a_job_that_failed_for_good_while_it_was_judged_anew_is_not_parked(either):
    episode = planned(either)
    (job,) = either.claim("a")
    last = closing(either, job, end="failed", problem="429")
    either.record_outcome(episode, reward=1, source="test")
    either.append_revisions([], closing=Closing(**{f: getattr(last, f) for f in last.__slots__} | {"max_failures": 1}))
    assert either.job_counts() == {}
    assert either.plan([group_of(either, episode)]) == 1


def test_a_namespace_that_spent_its_calls_waits_and_others_do_not(either):
    for _ in range(2):
        planned(either, namespace=("a",))
        planned(either, namespace=("b",))
    (job,) = either.claim("w", namespace=("a",))
    either.append_revisions([], closing=closing(either, job, usage=Usage(calls=3)))
    assert [j.namespace for j in either.claim("w", limit=9, daily_calls=3)] == [("b",), ("b",)]
    assert either.claim("w", daily_calls=3) == []
    assert [j.namespace for j in either.claim("w", daily_calls=4)] == [("a",)]


def test_a_namespace_that_spent_its_tokens_waits_and_others_do_not(either):
    for _ in range(2):
        planned(either, namespace=("a",))
    planned(either, namespace=("b",))
    (job,) = either.claim("w", namespace=("a",))
    either.append_revisions([], closing=closing(either, job, usage=Usage(calls=1, tokens_in=60, tokens_out=40)))
    assert [j.namespace for j in either.claim("w", daily_tokens=100)] == [("b",)]
    assert either.claim("w", daily_tokens=100) == []
    assert [j.namespace for j in either.claim("w", daily_tokens=101)] == [("a",)]


def test_a_job_that_is_worked_on_counts_as_a_call_even_on_a_new_day(either):
    for _ in range(3):
        planned(either)
    assert len(either.claim("w", daily_calls=2)) == 1
    assert len(either.claim("w", daily_calls=2)) == 1
    assert either.claim("w", daily_calls=2) == []


def test_a_job_whose_worker_died_does_not_use_up_the_budget(either):
    planned(either)
    either.claim("dies", lease=SHORT, daily_calls=1)
    time.sleep(0.02)
    assert len(either.claim("w", daily_calls=1)) == 1


def test_what_was_spent_yesterday_does_not_count_today(either):
    planned(either)
    planned(either)
    (job,) = either.claim("w")
    either.append_revisions([], closing=closing(either, job, usage=Usage(calls=9)))
    assert either.claim("w", daily_calls=9) == []
    yesterday = (now() - timedelta(days=1)).date().isoformat()
    either._write(lambda c: c.execute(tables.spending.update().values(day=yesterday)))
    assert len(either.claim("w", daily_calls=9)) == 1


ZOMBIE = """
import sys
from datetime import timedelta
from langchain_reflect import Ledger
from langchain_reflect.errors import ClaimLost
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import Lesson, ReflectionReport, Revision, Usage
with Ledger(sys.argv[1]) as ledger:
    (job,) = ledger.claim("zombie", lease=timedelta(milliseconds=300))
    rollouts = ledger.rollouts(episodes=job.episodes)
    print(job.id, flush=True)
    sys.stdin.readline()
    lesson = Lesson(id="L-zombie", when="always", do="the wrong thing")
    report = ReflectionReport(id="R-zombie", groups=1, usage=Usage(calls=1))
    closing = Closing(report=report, namespace=job.namespace, endings=[Ending(Claim(job.id, job.fence), "done", rollouts)])
    try:
        ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="R-zombie")], closing=closing)
    except ClaimLost:
        print("refused", flush=True)
"""


def test_a_worker_that_slept_longer_than_its_lease_cannot_finish(either, ledger_url):
    planned(either)
    child = subprocess.Popen([sys.executable, "-c", ZOMBIE, ledger_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        claimed = child.stdout.readline().strip()
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(0.4)
        (job,) = either.claim("alive")
        assert job.id == claimed
        either.append_revisions([added()], closing=closing(either, job, report_id="R-1"))
        os.kill(child.pid, signal.SIGCONT)
        said, _ = child.communicate("go on\n", timeout=60)
    finally:
        child.kill()
    assert said.strip() == "refused"
    assert [x.id for x in either.lessons()] == ["L-1"]
    assert [r.id for r in either.reflections()] == ["R-1"]
    assert either.verify() == []


def test_what_workers_in_several_ledgers_do_adds_up(either, ledger_url):
    for _ in range(12):
        planned(either)

    def work():
        with Ledger(ledger_url, durability="fast") as mine:
            while found := mine.claim("w"):
                (job,) = found
                lesson = Lesson(id=f"L-{job.id}", when="w", do="d", evidence=job.episodes)
                mine.append_revisions([Revision(lesson=lesson, kind="add", actor="w")], closing=closing(mine, job))

    run_all([work] * 4)
    assert sorted(x.evidence for x in either.lessons()) == sorted((r.episode.id,) for r in either.rollouts())
    assert either.job_counts() == {"done": 12}
    assert spent(either) == {("default",): (12, 84)}
    assert either.verify() == []


def test_an_unknown_claim_ends_nothing(either):
    unknown = Closing(report=ReflectionReport(id="R-1"), namespace=("default",), endings=[Ending(Claim("J-unknown", 1), "done")])
    with pytest.raises(ClaimLost, match="'J-unknown'"):
        either.append_revisions([], closing=unknown)
    assert either.reflections() == []


def test_a_claim_of_many_keeps_to_what_is_left_of_the_day(either):
    for _ in range(4):
        planned(either)
    assert len(either.claim("a", limit=10, daily_calls=3)) == 3
    assert either.claim("b", limit=10, daily_calls=3) == []


def test_what_was_judged_while_a_reflection_broke_off_is_planned_anew(either):
    planned(either)
    (taken,) = either.claim("a")
    read = tuple(either.rollouts(episodes=taken.episodes))
    either.record_outcome(taken.episodes[0], reward=1.0, source="human")
    either.give_back([Ending(claim_of(taken), "failed", read, "it broke")], max_failures=1)
    assert either.jobs() == [], "not parked with an outcome that nobody has read"
    assert either.due() == len(taken.episodes)


def test_a_job_whose_workers_die_again_and_again_is_parked(either):
    planned(either)
    for _ in range(3):
        assert len(either.claim("dies", lease=SHORT, max_failures=3)) == 1
        time.sleep(0.02)
    assert either.claim("lives", max_failures=3) == []
    (job,) = either.jobs(state="parked")
    assert "3 times" in job.problem


def test_what_is_in_a_job_takes_no_room_in_the_window(either):
    for n in range(3):
        planned(either, task=f"task {n}")
    late = judged(either, namespace=("late",))
    found = either.rollouts(unreflected=True, newest=True, limit=2)
    assert [r.episode.id for r in found] == [late]


def test_revoking_a_source_takes_the_job_from_whoever_reads_it(either):
    planned(either)
    (taken,) = either.claim("a")
    left = closing(either, taken)
    either.revoke_source("user")
    with pytest.raises(ClaimLost):
        either.append_revisions([added(evidence=taken.episodes)], closing=left)
    assert either.lessons() == []


def test_the_next_claim_is_when_a_lease_or_a_wait_ends(either):
    assert either.next_claim() is None
    planned(either)
    assert either.next_claim() == 60.0, "it may be claimed now and was not"
    either.claim("a", lease=timedelta(seconds=30))
    assert 25 < either.next_claim() <= 30
