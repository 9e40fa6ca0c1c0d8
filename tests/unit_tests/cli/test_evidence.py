"""`reflect credit` and `reflect report`."""

import pytest

from langchain_reflect import Ledger
from langchain_reflect.crediting import credit
from tests.unit_tests.crediting.conftest import World


@pytest.fixture
def tried(ledger, tmp_path):
    world = World(ledger)
    bad, good = world.lesson("bad thing"), world.lesson("good thing")
    world.runs(300, {bad.id: -0.4}, base=0.6)
    world.runs(300, {good.id: 0.4}, base=0.4, seed=1)
    return tmp_path / "reflect", bad.id, good.id


def test_credit_tells_what_it_decided(run, tried):
    home, bad, good = tried
    ran = run("--path", home, "credit")
    assert ran.code == 0
    assert f"{bad} retired: lowers the reward by" in ran.out
    assert f"{good} promoted: raises the reward by" in ran.out
    again = run("--path", home, "credit", "--json").json
    assert (again["lessons"], again["decided"]) == (2, [])


def test_credit_of_another_namespace_decides_nothing(run, tried):
    home, *_ = tried
    assert run("--path", home, "credit", "--namespace", "other", "--json").json["exposures"] == 0


def test_the_report_is_printed_for_people_or_as_json(run, tried):
    home, bad, good = tried
    text = run("--path", home, "report").out
    assert text.startswith("agent in acme, 2026-11-01 12:00 to 12:10: ")
    assert max(map(len, text.splitlines())) <= 160  # where nobody looks at a terminal
    assert text.index(bad) < text.index(good)
    told = run("--path", home, "report", "--json", "--namespace", "acme", "--lesson", good).json
    assert [lesson["lesson_id"] for lesson in told["lessons"]] == [good]


def test_a_report_of_a_ledger_on_postgresql_is_the_same(run, tmp_path, postgres_url, monkeypatch):
    monkeypatch.setenv("REFLECT_LEDGER_URL", postgres_url)
    with Ledger(postgres_url, durability="fast") as ledger:
        world = World(ledger)
        bad = world.lesson("bad thing", actor="dana")
        world.runs(300, {bad.id: -0.5}, base=0.8)
        credit(ledger, world.book)
    ran = run("--path", tmp_path, "report", "--html", tmp_path / "r.html")
    assert ran.code == 0
    text = run("--path", tmp_path, "report").out
    assert "PAUSED since" in text
    assert "retires the lesson" in " ".join(text.split())  # lines are wrapped
    (told,) = run("--path", tmp_path, "report", "--json").json["lessons"]
    assert (told["lesson_id"], told["effect"]["verdict"]) == (bad.id, "hurts")
    assert bad.id in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_report_is_written_as_a_page_and_a_picture(run, tried, tmp_path):
    pytest.importorskip("matplotlib")
    home, *_ = tried
    ran = run("--path", home, "report", "--html", tmp_path / "r.html", "--png", tmp_path / "r.png")
    assert ran.code == 0
    assert "r.html" in ran.out
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("json", [True, False])
def test_a_picture_that_cannot_be_drawn_yet_takes_nothing_else_along(run, home, tmp_path, json):
    page, picture = tmp_path / "r.html", tmp_path / "r.png"
    ran = run("--path", home, "report", "--html", page, "--png", picture, *["--json"] * json)
    assert (ran.code, page.exists(), picture.exists()) == (1, True, False)
    assert "nothing can be drawn yet" in ran.err
    assert "`reflect report` says what is missing" in ran.err
    if json:
        assert ran.json["spaces"] == []
    else:
        assert ran.out == f"Wrote {page}\n"


def test_a_report_of_a_part_says_if_there_is_nothing(run, tried):
    home, *_ = tried
    assert run("--path", home, "report", "--since", "2027-01-01").out.startswith("No evidence yet")
    assert run("--path", home, "report", "--graph", "other").out.startswith("No evidence yet")
    wrong = run("--path", home, "report", "--lesson", "L-none")
    assert (wrong.code, "no lesson 'L-none'" in wrong.err) == (1, True)
    assert run("--path", home, "report", "--since", "soon").code == 1


@pytest.mark.parametrize("command", ["credit", "report"])
def test_looking_at_the_evidence_makes_no_ledger(run, tmp_path, command: str):
    ran = run("--path", tmp_path / "none", command)
    assert (ran.code, "no ledger" in ran.err) == (1, True)
    assert not (tmp_path / "none").exists()
