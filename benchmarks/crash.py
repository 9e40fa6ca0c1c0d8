"""`kill -9` at random moments: what is lost, done twice or left undone when submitters, agents and workers of one ledger die all the time.

Two submitters save groups of three episodes and record their outcomes: one after the other, in one batch, outcomes before their episodes,
or both at the same time. One that was killed is followed by one that submits its unfinished group again, with the same ids and keys. One
agent is a wrapped `StateGraph` whose runs are in the ledger when they return, and whose outcomes follow. Two workers reflect with a
scripted model that gives another lesson with every call, so that a group that had its effect twice has two lessons. All of them tell what
was acknowledged through a pipe; the parent kills a random one 0 to 400 ms after it was ready, and starts another in its place.

    lost        acknowledged episodes and outcomes that are not there, or say something else
    duplicated  outcomes that are there twice; groups with more than one lesson; revisions of a lesson besides the one that added it
    stuck       jobs that are not done, and groups that are ready without a job, or complete without a lesson, once a worker has drained all
    calls/job   calls of the model for each job that is done: a worker that is killed between its call and its commit costs one more, so
                on a busy machine, where fewer jobs are done between two kills, the figure is higher

A killed process is no power cut, see `powerloss.py`. Run it with `python benchmarks/crash.py [--engine sqlite|postgresql|both] [--kills N]
[--seed N]`; it needs fork. The exit code is 1 if anything was lost, duplicated or stuck.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import numpy as np
import psycopg
from crashing import EPISODE, GROUP, OUTCOME, READY, Child, Crew, Stop, Tell, Told
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph
from sqlalchemy import create_engine, func, select

from langchain_reflect import Learner, Ledger, Worker
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import tables
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.testing.postgres import PostgresServer
from langchain_reflect.types import Episode, now

ENGINES = ("sqlite", "postgresql")
CREW = {"worker": 2, "submitter": 2, "agent": 1}
REWARDS = (1.0, 0.0, 0.0)
"""Of a group, in the order in which they are told; with the last one, which has the feedback, the group is ready."""
FEEDBACK = "the value was taken from the wrong scale"
LONGEST_LIFE = 0.4
WAIT = 30.0
"""Seconds that a run of the agent may wait for the ledger; by default it goes on after 0.3 s, and its episode is written behind it."""
LEASE = timedelta(seconds=1.5)
POLICY = ReflectionPolicy(lease=LEASE, near=0.99, alike=0.99, same=0.99, max_lessons=None)
"""Each call's lesson is another one, so the curator is never asked, and none is retired for another."""
DRAIN = 300.0
"""Most seconds for a worker to drain what the killed ones have left."""
WORDS = 16


class Bag(Embeddings):
    """Texts are near if they share words."""

    model = "bag"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Counts of words, hashed."""
        vector = np.full(256, 1e-3)
        for word in text.lower().split():
            vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % 256] += 1
        return [float(x) for x in vector]


@dataclass
class Row:
    """What became of one engine."""

    engine: str
    kills: dict[str, int]
    outcomes: int = 0
    episodes: int = 0
    jobs: int = 0
    calls: int = 0
    lost: int = 0
    duplicated: int = 0
    stuck: int = 0
    problems: list[str] = field(default_factory=list)
    """What `verify` found."""
    examples: list[str] = field(default_factory=list)
    """Of what was lost."""
    seconds: float = 0.0
    drained: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, duplicated, stuck or contradictory."""
        return not (self.lost or self.duplicated or self.stuck or self.problems)


def submit(tell: Tell, *, url: str, run: str, slot: int, first: int) -> None:
    """A submitter: group after group, in ways that take turns."""
    stop, ledger = Stop(), Ledger(url)
    tell(READY)
    for number in count(first):
        if stop.asked:
            break
        key = f"{run}-s{slot}-{number}"
        episodes = [
            Episode(id=uuid5(NAMESPACE_URL, f"{key}-{at}"), task=_task(key), task_key=key, result=f"it says {at}") for at in range(3)
        ]
        WAYS[number % len(WAYS)](ledger, tell, episodes)
        tell(GROUP, number=number)
        time.sleep(random.uniform(0.05, 0.25))  # so that workers keep up, and kills meet jobs at work
    ledger.close()


def _one_by_one(ledger: Ledger, tell: Tell, episodes: list[Episode]) -> None:
    for at, episode in enumerate(episodes):
        _save(ledger, tell, episode)
        _judge(ledger, tell, episode, at)


def _in_a_batch(ledger: Ledger, tell: Tell, episodes: list[Episode]) -> None:
    ledger.save_episodes([(episode, ()) for episode in episodes])
    for episode in episodes:
        tell(EPISODE, episode.id)
    ledger.record_outcomes([(episode.id, _said(at)) for at, episode in enumerate(episodes)])
    for at, episode in enumerate(episodes):
        tell(OUTCOME, episode.id, int(REWARDS[at]))


def _outcomes_first(ledger: Ledger, tell: Tell, episodes: list[Episode]) -> None:
    for at, episode in enumerate(episodes):
        _judge(ledger, tell, episode, at)
    for episode in episodes:
        _save(ledger, tell, episode)


def _at_the_same_time(ledger: Ledger, tell: Tell, episodes: list[Episode]) -> None:
    for at, episode in enumerate(episodes):
        thread = threading.Thread(target=_save, args=(ledger, tell, episode), daemon=True)
        thread.start()
        _judge(ledger, tell, episode, at)
        thread.join()


WAYS = (_one_by_one, _in_a_batch, _outcomes_first, _at_the_same_time)


def _save(ledger: Ledger, tell: Tell, episode: Episode) -> None:
    ledger.save_episode(episode)
    tell(EPISODE, episode.id)


def _judge(ledger: Ledger, tell: Tell, episode: Episode, at: int) -> None:
    ledger.record_outcome(episode.id, **_said(at))
    tell(OUTCOME, episode.id, int(REWARDS[at]))


def _said(at: int) -> Any:
    return {"reward": REWARDS[at], "feedback": FEEDBACK if at == 2 else None, "source": "verifier", "key": "gauge"}


def _task(key: str) -> str:
    return f"read the gauge of pump {key}"


def act(tell: Tell, *, url: str, folder: Path) -> None:
    """An agent that runs each task three times, and is judged after each run."""

    def answer(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("it says seven")]}

    stop = Stop()
    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(name="gauge")
    with _learner(url, folder, record="before_return", reflect="manual", deadline=WAIT) as learner:
        agent = learner.wrap(graph)
        tell(READY)
        while not stop.asked:
            key = f"a-{uuid4().hex}"
            for at in range(3):
                run_id = uuid4()
                agent.invoke({"messages": [("user", _task(key))]}, {"run_id": run_id, "metadata": {"reflect_task_key": key}})
                tell(EPISODE, run_id)
                learner.record_outcome(run_id, **_said(at))
                tell(OUTCOME, run_id, int(REWARDS[at]))
            time.sleep(random.uniform(0.05, 0.25))  # so that workers keep up, and kills meet jobs at work


def work(tell: Tell, *, url: str, folder: Path, calls: Path) -> None:
    """A worker, until it is told to stop."""
    with _learner(url, folder, model=_model(calls), reflection=POLICY) as learner:
        worker = Worker(learner, poll=0.1)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        tell(READY)
        worker.run()


def drain(_: Tell, *, url: str, folder: Path, calls: Path) -> None:
    """A worker that is not killed works off all that is left, also what the killed ones hold until their leases end."""
    with _learner(url, folder, model=_model(calls), reflection=POLICY) as learner:
        worker, deadline = Worker(learner, poll=0.1), time.monotonic() + DRAIN
        while time.monotonic() < deadline:
            worker.run(until_idle=True)
            if not {"ready", "leased"} & learner.ledger.job_counts().keys():
                break
            time.sleep(0.2)


def _learner(url: str, folder: Path, **given: Any) -> Learner:
    return Learner(folder, ledger=url, index=ExactIndex(), embeddings=Bag(), holdout=0.0, **given)


def _model(calls: Path) -> ScriptedChatModel:
    """It thinks for some milliseconds; each call leaves a line, whoever is killed."""
    log = os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def answer(_: list[BaseMessage]) -> Mapping[str, Any]:
        os.write(log, b"%d\n" % os.getpid())
        time.sleep(random.uniform(0.002, 0.01))
        letters = "abcdefghijklmnopqrstuvwxyz"
        words = " ".join("".join(random.choices(letters, k=6)) for _ in range(WORDS))
        lesson = {"when": "a gauge is to be read", "do": f"Look it up under {words}.", "cites": ["R1", "R2", "R3"]}
        return {"lessons": [lesson]}

    return ScriptedChatModel(answers=answer)


def check(_: Tell, *, url: str, row: Row, episodes: set[UUID], outcomes: dict[UUID, int], answer: Path) -> None:
    """The fresh process that compares the ledger with what was acknowledged."""
    with Ledger(url) as ledger:
        row.problems = ledger.verify()
        known = {e.id: e for e in ledger.episodes(trajectories=False, limit=10_000_000)}
        judged = {r.episode.id: r for r in ledger.rollouts(trajectories=False, limit=None)}
        gone = [f"episode {i}" for i in sorted(episodes - known.keys())]
        gone += [f"outcome of {i}" for i, said in outcomes.items() if [o.reward for o in ledger.outcomes(i)] != [float(said)]]
        row.lost, row.examples = len(gone), gone[:5]
        counted = Counter(r.episode.task_key for r in judged.values())
        lessons = {lesson.id: {known[i].task_key for i in lesson.evidence} for lesson in ledger.lessons()}
        taught = Counter(key for keys in lessons.values() for key in keys)
        row.duplicated = _twice(url) + sum(n - 1 for n in taught.values())
        row.duplicated += sum(len(ledger.revisions(lesson_id)) - 1 for lesson_id in lessons)
        jobs = ledger.job_counts()
        row.jobs = jobs.pop("done", 0)
        waiting = ledger.rollouts(unreflected=True, trajectories=False, limit=None)
        ready = {g.key for g in ready_groups(waiting, policy=ReflectionPolicy(), now=now())}
        untaught = {f"key:{key}" for key, n in counted.items() if n == len(REWARDS) and key not in taught}
        row.stuck = sum(jobs.values()) + len(ready | untaught)
    answer.write_text(json.dumps(asdict(row)))


def _twice(url: str) -> int:
    """Reports that say the same of the same episode under the same key more than once, besides the first."""
    table = tables.outcomes.c
    counted = select(func.count().label("rows")).select_from(tables.outcomes)
    slots = counted.group_by(table.namespace, table.episode_id, table.source, table.key).subquery()
    engine = create_engine(url)
    with engine.connect() as connection:
        twice: int = connection.execute(select(func.coalesce(func.sum(slots.c.rows - 1), 0)).where(slots.c.rows > 1)).scalar_one()
    engine.dispose()
    return int(twice)


def measure(engine: str, url: str, folder: Path, kills: int, seed: int) -> Row:
    """Kill so many, drain, and compare."""
    moment, started = random.Random(seed), time.monotonic()
    killed: Counter[str] = Counter()
    episodes: set[UUID] = set()
    outcomes: dict[UUID, int] = {}
    next_group: Counter[int] = Counter()

    def hear(child: Child, told: Told) -> None:
        if told.kind == EPISODE:
            episodes.add(told.id)
        elif told.kind == OUTCOME:
            outcomes[told.id] = told.number
        elif told.kind == GROUP:
            next_group[child.slot] = told.number + 1

    calls, place = folder / "calls", uuid4().hex[:6]
    with Crew(hear) as crew:
        crew.run("preparation", lambda _: Ledger(url).close())
        while killed.total() < kills:
            for kind, slot in _missing(crew):
                what = {
                    "worker": partial(work, url=url, folder=folder, calls=calls),
                    "submitter": partial(submit, url=url, run=place, slot=slot, first=next_group[slot]),
                    "agent": partial(act, url=url, folder=folder),
                }[kind]
                crew.start(kind, what, slot)
            child = moment.choice(crew.children)
            crew.wait_ready(child)
            crew.listen(moment.uniform(0, LONGEST_LIFE))
            crew.kill(child)
            killed[child.kind] += 1
        crew.wait_ready(*crew.children)
        crew.dismiss()
        row, ended = Row(engine, {kind: killed[kind] for kind in CREW}, len(outcomes), len(episodes)), time.monotonic()
        crew.run("drain", partial(drain, url=url, folder=folder, calls=calls))
        row.drained = time.monotonic() - ended
        row.calls = len(calls.read_bytes().splitlines()) if calls.exists() else 0
        row.seconds = time.monotonic() - started
        crew.run("check", partial(check, url=url, row=row, episodes=episodes, outcomes=outcomes, answer=folder / "row"))
    return Row(**json.loads((folder / "row").read_text()))


def _missing(crew: Crew) -> list[tuple[str, int]]:
    there = {(child.kind, child.slot) for child in crew.children}
    return [(kind, slot) for kind, number in CREW.items() for slot in range(number) if (kind, slot) not in there]


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The URL of an empty ledger that survives power cuts, and the version of what keeps it."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}", f"SQLite {sqlite3.sqlite_version}"
        return
    with PostgresServer(fsync=True) as server:
        url = server.create("crash")
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            number = connection.info.server_version
        yield url, f"PostgreSQL {number // 10000}.{number % 10000}"


def show(rows: list[Row], versions: list[str], seed: int) -> None:
    """Print the table, and below it what it was measured with."""
    print(
        f"{'engine':11} {'kills':>6} {'worker/submitter/agent':>23} {'outcomes':>9} {'episodes':>9} {'jobs done':>10} "
        f"{'lost':>5} {'duplicated':>11} {'stuck':>6} {'calls/job':>10} {'seconds':>8}"
    )
    for row in rows:
        kinds = "/".join(str(row.kills[kind]) for kind in CREW)
        print(
            f"{row.engine:11} {sum(row.kills.values()):6} {kinds:>23} {row.outcomes:9} {row.episodes:9} {row.jobs:10} "
            f"{row.lost:5} {row.duplicated:11} {row.stuck:6} {row.calls / max(row.jobs, 1):10.3f} {row.seconds:8.1f}"
        )
    for row in rows:
        print(
            f"{row.engine}: {row.calls} calls, {row.calls - row.jobs} more than jobs, with {row.kills['worker']} workers killed; "
            f"{row.drained:.1f} s to drain; verify found {row.problems or 'nothing'}"
        )
        for example in row.examples:
            print(f"{row.engine} lost: {example}")
    print(
        f"\n{', '.join(versions)}; langchain-reflect {version('langchain-reflect')}, SQLAlchemy {version('SQLAlchemy')}, "
        f"psycopg {version('psycopg')}, langgraph {version('langgraph')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores; seed {seed}, lease {LEASE.total_seconds()} s."
    )


def main() -> int:
    """Kill on each engine, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    parser.add_argument("--kills", type=int, default=300, help="for each engine")
    parser.add_argument("--seed", type=int, default=0, help="of whom to kill and when; what they have done by then still varies")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead")
    asked = parser.parse_args()
    if asked.kills < 1:
        parser.error("--kills must be at least 1")
    rows, versions = [], []
    for engine in ENGINES if asked.engine == "both" else (asked.engine,):
        with tempfile.TemporaryDirectory() as folder, opened(engine, Path(folder)) as (url, server):
            versions.append(server)
            rows.append(measure(engine, url, Path(folder), asked.kills, asked.seed))
    if asked.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        show(rows, versions, asked.seed)
    return 0 if all(row.is_clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
