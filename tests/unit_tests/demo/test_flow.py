import io
import re
import shlex
import sys

import pytest
from rich.console import Console

from langchain_reflect.cli import main
from langchain_reflect.demo import report, source
from langchain_reflect.demo.flow import forget, run_demo
from langchain_reflect.errors import InvalidInput, ModelMissing
from tests.unit_tests.words import Words

FRAME = {"quick": True, "model": "simulated"}


@pytest.fixture
def demo(tmp_path):
    screen = Console(file=io.StringIO(), width=150)

    def run(**options):
        result = run_demo(**{**FRAME, "path": tmp_path / "demo", "console": screen, "embeddings": Words(), **options})
        return result, screen.file.getvalue()

    return run


def test_held_out_tasks_go_better_with_lessons(demo):
    result, shown = demo()
    difference = result.uplift.difference("lessons", "bare")
    assert difference.low > 0
    assert result.lessons
    assert "Held-out tasks, mean reward (SIMULATED model)" in shown
    assert all(lesson.do in " ".join(shown.split()) for lesson in result.lessons)


def test_one_difference_has_one_interval(demo):
    result, shown = demo()
    gain = result.uplift.difference("lessons", "bare")
    for each in (gain, *(d for d in result.uplift.families if (d.arm, d.against) == ("lessons", "bare"))):
        assert re.search(rf"{re.escape(f'{each.mean:+.2f}')}\W+{re.escape(f'{each.low:+.2f} to {each.high:+.2f}')}", shown)
    assert f"lessons - bare: {gain.mean:+.2f} (95 % interval {gain.low:+.2f} to {gain.high:+.2f}" in " ".join(shown.split())


def test_a_second_demo_begins_with_the_lessons_of_the_first(demo):
    first, _ = demo()
    second, shown = demo()
    assert second.earlier == len(first.lessons) > 0
    assert f"It begins with {second.earlier} lessons of earlier runs" in shown
    assert second.curve[: len(first.curve)] == first.curve


def test_fresh_forgets(demo):
    demo()
    assert demo(fresh=True)[0].earlier == 0


def test_another_world_has_lessons_of_its_own(demo):
    demo()
    assert demo(seed=8)[0].earlier == 0


def test_forgetting_deletes_nothing_but_the_demos_own_files(tmp_path):
    for name in ("ledger.db", "ledger.db-wal", "uplift.json", "mine.txt"):
        (tmp_path / name).write_text("")
    forget(tmp_path)
    forget(tmp_path / "missing")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_everything_is_where_the_demo_says(demo):
    result, shown = demo()
    assert {p.name for p in result.path.iterdir()} >= {"ledger.db", "chroma", "uplift.json"}
    assert str(result.path) in shown
    assert result.usage.calls > 0


def test_the_commands_to_look_around_work_as_they_stand(demo, monkeypatch, capsys):
    monkeypatch.setattr(report, "which", lambda _: "/somewhere/reflect")
    result, shown = demo()
    told = [line.strip() for line in shown.splitlines() if line.startswith("  reflect --path")]
    assert len(told) == 3
    for line in told:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
    assert result.lessons[0].id in capsys.readouterr().out


def test_reflect_is_called_by_its_place_where_the_shell_does_not_find_it(tmp_path, monkeypatch):
    place = tmp_path / ".venv" / "bin" / "reflect"
    monkeypatch.setattr(report, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(place.with_name("python")))
    monkeypatch.chdir(tmp_path)
    assert report.command() == "reflect"
    place.parent.mkdir(parents=True)
    place.touch()
    assert report.command() == "./.venv/bin/reflect"
    monkeypatch.chdir(place.parents[1] / "bin")
    assert report.command() == "./reflect"


def test_without_a_language_model_one_line_says_so(demo, monkeypatch):
    def missing(**_):
        raise ModelMissing("it cannot be had")

    monkeypatch.setattr(source, "find_weights", missing)
    result, shown = demo(model=None)
    assert result.simulated
    assert "so a SIMULATED one plays its part: it cannot be had" in shown


def test_an_unreadable_model_name_is_an_error(demo):
    with pytest.raises(InvalidInput, match="expected 'provider:model'"):
        demo(model="gpt")
