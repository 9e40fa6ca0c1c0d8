"""The production example: a webhook, an agent and two workers on PostgreSQL and Chroma, each a process of its own."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from langchain_core.messages.utils import convert_to_messages

from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import Episode

pytestmark = pytest.mark.enable_socket

EXAMPLE = Path(__file__).parents[2] / "examples" / "production"
CURVE = re.compile(r"round \d+  (\d\.\d\d)")


def started(mark, *arguments, **env):
    command = [sys.executable, str(EXAMPLE / "run.py"), "--quick", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, "PRODUCTION_EXAMPLE": mark, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def left(mark):
    """The processes that descend from a run: a mark in their environment tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"PRODUCTION_EXAMPLE={mark}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            continue
    return found


def assert_learned(said):
    curve = [float(point) for point in CURVE.findall(said)]
    assert len(curve) == 4
    assert curve == sorted(curve)
    assert curve[0] < curve[-1]
    assert "lost 0, doubled 0, episodes 39 of 39, verify ok" in said
    assert "parked               none" in said


@pytest.mark.slow
def test_the_curve_rises_no_outcome_is_lost_and_no_process_is_left(tmp_path):
    mark = uuid4().hex
    run = started(mark)
    said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert_learned(said)
    assert left(mark) == []


@pytest.mark.slow
def test_workers_of_the_command_line_learn_with_a_model_that_has_a_name_on_a_server_that_is_given(postgres_url):
    mark, url = uuid4().hex, postgres_url.replace("postgresql+psycopg://", "postgresql://")
    with provider() as base_url:
        run = started(mark, REFLECT_MODEL="openai:simulated", OPENAI_BASE_URL=base_url, OPENAI_API_KEY="none", REFLECT_LEDGER_URL=url)
        said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert "started postgres" not in said
    assert_learned(said)
    assert left(mark) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_that_was_started(number):
    mark = uuid4().hex
    run = started(mark)
    for line in run.stdout:
        if line.startswith("started worker 2"):
            break
    assert len(left(mark)) > 5
    run.send_signal(number)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 128 + number, said
    assert left(mark) == []


class provider:  # noqa: N801 - used as a function
    """What speaks as OpenAI does, with the simulated model behind it."""

    def __enter__(self):
        model = SimulatedModel(slip=0.0)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                message = {"role": "assistant", "content": model.invoke(convert_to_messages(asked["messages"])).text}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                body = json.dumps(
                    {"id": "1", "object": "chat.completion", "created": 1, "model": "simulated", "choices": [choice], "usage": usage}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook(ledger_url, monkeypatch):
    """A client of the webhook, and its ledger."""
    monkeypatch.setenv("REFLECT_LEDGER_URL", ledger_url)
    spec = importlib.util.spec_from_file_location("production_webhook", EXAMPLE / "webhook.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "production_webhook", module)
    spec.loader.exec_module(module)
    with TestClient(module.app) as client:
        yield client, module.app.state.ledger


def test_the_webhook_keeps_a_report_once_and_before_its_episode(webhook):
    client, ledger = webhook
    run_id = uuid4()
    report = {"episode": str(run_id), "key": "event-1", "source": "zendesk", "reward": True, "feedback": "Good."}
    answers = [client.post("/outcomes", json=report) for _ in range(2)]
    assert [(a.status_code, a.json()["reward"]) for a in answers] == [(200, 1.0)] * 2
    ledger.save_episode(Episode(id=run_id, task="t"))
    assert [(o.source, o.key, o.feedback) for o in ledger.outcomes(run_id)] == [("zendesk", "event-1", "Good.")]


def test_the_webhook_lets_the_later_judgement_count_in_whatever_order_they_arrive(webhook):
    client, _ = webhook
    report = {"episode": str(uuid4()), "key": "event-1"}
    client.post("/outcomes", json=report | {"reward": 1.0, "observed_at": "2026-01-02T00:00:00Z"})
    answer = client.post("/outcomes", json=report | {"reward": 0.0, "observed_at": "2026-01-01T00:00:00+00:00"})
    assert answer.json()["reward"] == 1.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reward": 7}, "reward 7"),
        ({"reward": "1"}, "reward.*valid number"),
        ({"reward": None}, "needs a reward in \\[0, 1\\], a feedback text, or both"),
        ({"episode": "T-17"}, "not a UUID"),
        ({"key": ""}, "key"),
        ({"source": " "}, "source ' ' is empty"),
        ({"observed_at": "2026-01-01T00:00:00"}, "observed_at: .*timezone"),
        ({"rewrad": 1}, "rewrad: Extra inputs"),
        ({"\ud800": 1}, "unicode"),
    ],
)
def test_the_webhook_says_what_is_wrong_with_a_report(webhook, wrong, said):
    client, ledger = webhook
    report = {"episode": str(uuid4()), "key": "event-1", "reward": 1.0} | wrong
    answer = client.post("/outcomes", content=json.dumps(report), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert re.search(said, answer.json()["error"]), answer.text
    assert ledger.counts()["outcomes"] == 0


@pytest.mark.parametrize("body", ["", "{", "[]", '{"episode": NaN}', "null"])
def test_the_webhook_refuses_what_is_no_report(webhook, body):
    client, _ = webhook
    answer = client.post("/outcomes", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_the_webhook_keeps_out_what_was_erased(webhook):
    client, ledger = webhook
    run_id = uuid4()
    ledger.save_episode(Episode(id=run_id, task="t"))
    ledger.forget(episode=run_id)
    answer = client.post("/outcomes", json={"episode": str(run_id), "key": "event-1", "reward": 1.0})
    assert answer.status_code == 410
    assert "erased" in answer.json()["error"]
