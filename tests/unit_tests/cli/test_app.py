import subprocess
import sys
import time

import pytest


def test_help_names_every_command(run):
    out = run("--help").out
    for command in ("demo", "status", "episodes", "outcome", "import", "reflect", "recall", "reindex", "lessons", "doctor"):
        assert f" {command} " in out


def test_help_answers_at_once():
    command = [sys.executable, "-c", "from langchain_reflect.cli import main; main()", "--help"]
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        durations.append(time.perf_counter() - started)
    assert min(durations) < 4  # 0.45 s on an idle core; loose, because the machine may be busy


def test_version(run):
    assert run("--version").out.startswith("langchain-reflect 0.")


def test_our_errors_are_one_line_and_exit_code_1(run, tmp_path):
    ran = run("--path", tmp_path / "nowhere", "status")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.startswith("reflect: no ledger in ")
    assert ran.err.count("\n") == 1


def test_wrong_usage_is_exit_code_2(run):
    assert run("no-such-command").code == 2


@pytest.mark.parametrize("command", ["status", "episodes", "lessons"])
def test_looking_creates_no_ledger(run, tmp_path, command):
    assert run("--path", tmp_path / "nowhere", command).code == 1
    assert not (tmp_path / "nowhere").exists()


def test_the_path_comes_from_the_environment_too(run, home, monkeypatch):
    monkeypatch.setenv("REFLECT_PATH", str(home))
    assert run("status").code == 0


def test_a_setting_that_cannot_be_is_named(run, home, monkeypatch):
    monkeypatch.setenv("REFLECT_K", "many")
    ran = run("--path", home, "status")
    assert ran.code == 1
    assert "k='many'" in ran.err


@pytest.mark.parametrize("arguments", [["status"], ["episodes"], ["lessons"], ["outcome", "--metadata", "ticket=T-1", "--reward", "1"]])
def test_reading_and_judging_load_no_index_and_no_model(home, arguments):
    code = f"""
import sys
sys.argv = ["reflect", "--path", {str(home)!r}, *{arguments!r}]
from langchain_reflect.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
loaded = {{"chromadb", "torch", "langgraph", "langchain.agents"}} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
