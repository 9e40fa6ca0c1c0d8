import gzip
import json
from uuid import UUID

import pytest

from langchain_reflect import Episode, Ledger
from langchain_reflect.types import Fingerprint

EPISODE = "00000000-0000-7000-8000-000000000001"


def test_episodes_lists_by_default(run, home):
    (entry,) = run("--path", home, "episodes", "--json").json
    assert entry["id"] == EPISODE
    assert entry["reward"] is None
    assert run("--path", home, "episodes", "list", "--json").json == [entry]


def test_the_list_shows_rewards(run, home, ledger: Ledger):
    ledger.record_outcome(EPISODE, reward=0.25)
    assert "0.25" in run("--path", home, "episodes").out


def test_episodes_are_found_by_metadata(run, home):
    assert len(run("--path", home, "episodes", "--metadata", "ticket=T-1", "--json").json) == 1
    assert run("--path", home, "episodes", "--metadata", "ticket=T-2", "--json").json == []


def test_show_has_trajectory_and_outcomes(run, home, ledger: Ledger):
    ledger.record_outcome(EPISODE, reward=0.0, feedback="It is three.")
    found = run("--path", home, "episodes", "show", EPISODE, "--json").json
    assert found["episode"]["steps"][0]["output"]["content"] == "two"
    assert found["outcomes"][0]["feedback"] == "It is three."
    assert "It is three." in run("--path", home, "episodes", "show", EPISODE).out


def test_show_tells_which_version_of_the_agent_acted(run, home, ledger: Ledger):
    episode = ledger.episode(EPISODE)
    ledger.save_episode(episode.model_copy(update={"fingerprint": Fingerprint(model="tiny-1", prompt="0a1b", tools="2c3d")}))
    assert "prompt 0a1b, tools 2c3d" in run("--path", home, "episodes", "show", EPISODE).out


def test_an_unknown_episode_is_named(run, home):
    ran = run("--path", home, "episodes", "show", UUID(int=9))
    assert ran.code == 1
    assert str(UUID(int=9)) in ran.err


def test_an_outcome_is_recorded_by_id(run, home, ledger: Ledger):
    assert run("--path", home, "outcome", EPISODE, "--reward", 1, "--source", "zendesk", "--key", "e7").code == 0
    (outcome,) = ledger.outcomes(EPISODE)
    assert (outcome.reward, outcome.source, outcome.key) == (1.0, "zendesk", "e7")


def test_an_outcome_is_recorded_by_metadata(run, home, ledger: Ledger):
    ran = run("--path", home, "outcome", "--metadata", "ticket=T-1", "--feedback", "Customer confirmed.", "--json")
    assert ran.json["episode_id"] == EPISODE
    assert ledger.outcomes(EPISODE)[0].feedback == "Customer confirmed."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([EPISODE, "--reward", "2"], r"2.0"),
        ([EPISODE, "--reward", "nan"], "nan"),
        ([EPISODE], "reward"),
        (["--reward", "1"], "which episode"),
        (["--metadata", "ticket=T-9", "--reward", "1"], "no episode has the metadata"),
        (["not-an-id", "--reward", "1"], "'not-an-id'"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused(run, home, arguments, message):
    ran = run("--path", home, "outcome", *arguments)
    assert ran.code == 1
    assert message in ran.err


def test_metadata_that_fits_several_episodes_is_refused(run, home, ledger: Ledger):
    ledger.save_episode(Episode(id=UUID(int=2), task="again", metadata={"ticket": "T-1"}))
    ran = run("--path", home, "outcome", "--metadata", "ticket=T-1", "--reward", "1")
    assert ran.code == 1
    assert "give the id" in ran.err


def test_logs_are_imported(run, tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": str(answer)}], "reward": float(answer == 4)}
        for answer in (3, 4)
    ]
    file = tmp_path / "logs.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    assert run("--path", tmp_path / "reflect", "import", file).code == 0
    found = run("--path", tmp_path / "reflect", "episodes", "--json").json
    assert sorted(entry["reward"] for entry in found) == [0.0, 1.0]
    assert {entry["task"] for entry in found} == {"2+2?"}


def test_a_line_that_is_not_json_is_named(run, tmp_path):
    file = tmp_path / "logs.jsonl"
    file.write_text(json.dumps({"messages": [{"role": "user", "content": "2+2?"}]}) + "\nnot json\n")
    ran = run("--path", tmp_path / "reflect", "import", file)
    assert ran.code == 1
    assert "line 2" in ran.err


def test_a_file_that_is_not_there_is_named(run, tmp_path):
    ran = run("--path", tmp_path / "reflect", "import", tmp_path / "none.jsonl")
    assert ran.code == 1
    assert "none.jsonl" in ran.err
