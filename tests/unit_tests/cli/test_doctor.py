import pytest

from langchain_reflect.cli.doctor import sqlite


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ((3, 40, 1), "warning"),
        ((3, 51, 2), "warning"),
        ((3, 51, 3), "ok"),
        ((3, 50, 7), "ok"),
        ((3, 50, 6), "warning"),
        ((3, 44, 6), "ok"),
        ((4, 0, 0), "ok"),
    ],
)
def test_releases_with_the_wal_reset_bug_are_warned_of(release, state):
    assert sqlite(release).state == state


def findings(ran):
    return {check["name"]: (check["state"], check["detail"]) for check in ran.json}


def test_a_healthy_home_passes(run, home):
    ran = run("--path", home, "doctor", "--json")
    assert ran.code == 0
    found = findings(ran)
    assert found["ledger"][0] == "ok"
    assert found["ledger"][1].startswith("writable; 1 episodes")
    assert found["embeddings"][0] == "ok"
    assert found["model"][0] == "warning"


def test_the_index_is_compared_with_the_ledger(run, home, ledger):
    assert findings(run("--path", home, "doctor", "--json"))["index"] == ("ok", "none yet; it is made when lessons are first looked for")
    run("--path", home, "reindex")
    assert findings(run("--path", home, "doctor", "--json"))["index"][1].startswith("holds all 1 vectors")


def test_a_place_that_cannot_be_written_fails(run, tmp_path):
    (tmp_path / "file").write_text("")
    ran = run("--path", tmp_path / "file" / "reflect", "doctor", "--json")
    assert ran.code == 1
    assert findings(ran)["ledger"][0] == "failed"


def test_an_unknown_model_fails(run, home, monkeypatch):
    monkeypatch.setenv("REFLECT_MODEL", "nobody:nothing")
    ran = run("--path", home, "doctor")
    assert ran.code == 1
    assert "nobody" in ran.out
