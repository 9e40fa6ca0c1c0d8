"""Check 110: wrapped graphs on a real Agent Server, and the whole loop over HTTP."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_reflect import Ledger

pytest.importorskip("langgraph_api", reason="the extra `server` is not installed")
from langgraph_sdk import get_client

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "agent_server"
PRICE = {"messages": [{"role": "user", "content": "Convert the price $12.50 to the form our API takes."}]}
OTHER_PRICE = {"messages": [{"role": "user", "content": "Convert the price $7.99 to the form our API takes."}]}


class Server:
    """A running server, its ledger and its log."""

    def __init__(self, folder: Path, url: str, log: Path) -> None:
        self.home, self.url, self.log = folder / "reflect", url, log

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.home)

    async def written(self, run_id: str) -> Any:
        """The episode of a run, once the server's recorder has written it."""
        for _ in range(100):
            with self.ledger as ledger:
                found = [e for e in ledger.episodes() if str(e.id) == run_id and e.status != "running"]
            if found:
                return found[0]
            await asyncio.sleep(0.1)
        raise AssertionError(f"no episode {run_id}\n{self.log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(EXAMPLE, folder / "example")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log.txt"
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    quiet = {"REFLECT_PATH": str(folder / "reflect"), "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_COLOR": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder / "example", stdout=out, stderr=out, env={**os.environ, **quiet})
    try:
        _await(process, f"http://127.0.0.1:{port}/ok", log)
        yield Server(folder, f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server ended with code {process.returncode}\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    pytest.fail(f"the server did not answer within two minutes\n{log.read_text()[-3000:]}")


@pytest.fixture
async def client(server: Server) -> Any:
    """A client of this test's event loop."""
    opened = get_client(url=server.url, timeout=60)
    yield opened
    await opened.http.client.aclose()


async def assistant_id(client: Any, graph: str) -> str:
    [found] = await client.assistants.search(graph_id=graph)
    return found["assistant_id"]


@pytest.mark.parametrize("graph", ["assistant", "careful"])
async def test_110_schemas_and_drawings_of_a_variable_and_of_a_factory(server, client, graph):
    wanted = await assistant_id(client, graph)
    schemas = await client.assistants.get_schemas(wanted)
    assert "messages" in schemas["input_schema"]["properties"]
    drawn = await client.assistants.get_graph(wanted, xray=True)
    assert "answer" in {node["id"] for node in drawn["nodes"]}


async def test_110_the_run_id_is_the_episodes_id_and_streams_show_no_lessons(server, client):
    thread = await client.threads.create()
    seen, run_id = [], None
    async for part in client.runs.stream(
        thread["thread_id"], "assistant", input=PRICE, stream_mode=["values", "updates", "messages-tuple"]
    ):
        seen.append(part.event)
        run_id = part.data["run_id"] if part.event == "metadata" else run_id
        assert "<lessons" not in repr(part.data)
    assert {"metadata", "values", "updates", "messages"} <= set(seen)
    episode = await server.written(run_id)
    assert (episode.status, episode.thread_id, episode.graph) == ("ok", thread["thread_id"], "assistant")


async def test_110_a_stateless_run(server, client):
    result = await client.runs.wait(None, "assistant", input=PRICE)
    assert len(result["messages"]) == 2


async def test_110_a_person_is_asked_and_the_resumed_run_is_the_same_episode(server, client):
    thread = await client.threads.create()
    first = await client.runs.create(thread["thread_id"], "careful", input=PRICE)
    await client.runs.join(thread["thread_id"], first["run_id"])
    assert (await client.threads.get(thread["thread_id"]))["status"] == "interrupted"
    assert (await server.written(first["run_id"])).status == "interrupted"
    second = await client.runs.create(thread["thread_id"], "careful", command={"resume": "yes"})
    await client.runs.join(thread["thread_id"], second["run_id"])
    await asyncio.sleep(0.5)
    with server.ledger as ledger:
        ledger.record_outcome(second["run_id"], reward=1.0)
        episode = ledger.episode(first["run_id"])
        assert (episode.status, [str(r) for r in episode.run_ids]) == ("ok", [second["run_id"]])
        assert len(ledger.outcomes(first["run_id"])) == 1


async def test_110_an_error_is_an_episode(server, client):
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "assistant", input={"messages": [{"role": "user", "content": "fail"}]})
    await client.runs.join(thread["thread_id"], run["run_id"])
    episode = await server.written(run["run_id"])
    assert (episode.status, episode.error) == ("error", "ConnectionError: no network")


async def test_110_a_cancelled_run_is_an_episode(server, client):
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "assistant", input={"messages": [{"role": "user", "content": "wait"}]})
    for _ in range(100):
        if (await client.runs.get(thread["thread_id"], run["run_id"]))["status"] == "running":
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    await client.runs.cancel(thread["thread_id"], run["run_id"], wait=True)
    assert (await server.written(run["run_id"])).status == "cancelled"


async def test_110_a_judged_run_becomes_a_lesson_of_the_next(server, client):
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "assistant", input=PRICE)
    first = await client.runs.join(thread["thread_id"], run["run_id"])
    await server.written(run["run_id"])
    judge = [Path(sys.executable).with_name("reflect"), "--path", server.home, "outcome", run["run_id"], "--reward", "0"]
    feedback = "Amounts are integers in cents without a currency sign or point."
    await asyncio.to_thread(subprocess.run, [*map(str, judge), "--feedback", feedback], check=True, capture_output=True)
    await client.runs.wait(None, "reflection", input={})
    with server.ledger as ledger:
        assert [lesson.status for lesson in ledger.lessons()] == ["candidate"]
    again = await client.threads.create()
    second = await client.runs.create(again["thread_id"], "assistant", input=OTHER_PRICE)
    result = await client.runs.join(again["thread_id"], second["run_id"])
    assert first["messages"][-1]["content"] != "1250"
    assert "799" in result["messages"][-1]["content"]
    assert (await server.written(second["run_id"])).shown


async def test_110_a_cron_can_run_the_reflection(server, client):
    cron = await client.crons.create(await assistant_id(client, "reflection"), schedule="0 4 * * *", input={})
    assert cron["cron_id"]
    await client.crons.delete(cron["cron_id"])


async def test_110_nothing_of_ours_blocked_the_servers_loop(server):
    log = server.log.read_text()
    assert "BlockingError" not in log, log[log.index("BlockingError") - 2000 :][:4000]
