from contextlib import nullcontext

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_reflect import learner
from langchain_reflect.errors import IndexUnavailable
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import Lesson, Revision
from tests.unit_tests.cli.conftest import park


def test_recall_explains_itself(run, home):
    found = run("--path", home, "recall", "Count the letters e in the word cheese", "--json").json
    assert [(m["lesson"]["id"], m["kept"]) for m in found["matches"]] == [("L-1", True)]
    assert "write them with commas between" in found["block"]
    assert "write them with commas between" in run("--path", home, "recall", "Count the letters e in the word cheese").out


def test_recall_explains_every_part_of_a_score(run, home):
    asked = ("--path", home, "recall", "Count the letters e in the word cheese", "--explain")
    found = run(*asked, "--json").json
    assert [(c["lesson"]["id"], c["kept"], c["reason"]) for c in found["considered"]] == [("L-1", True, "shown")]
    assert (found["floor_source"], found["path"]) == ("calibrated", "memory")
    shown = run(*asked).out
    assert "Floor 0.280 (calibrated)" in shown
    assert "write them with commas between" in shown


@pytest.mark.parametrize("how", [(), ("--explain",)])
def test_recall_in_a_wrong_namespace_names_those_that_have_lessons(run, home, ledger, how):
    gone = Lesson(id="L-3", namespace=("old",), when="always", do="guess", status="retired")
    ledger.append_revisions([Revision(lesson=gone, kind="add", actor="human")])
    said = "No lessons to consider in namespace 'defualt'; there are some in default."
    assert run("--path", home, "recall", "Count the letters", "--namespace", "defualt", *how).out.splitlines()[0] == said
    run("--path", home, "lessons", "retire", "L-1", "--by", "dana")
    assert run("--path", home, "recall", "Count the letters", *how).out.splitlines()[0] == "No lessons to consider."


def test_recall_tells_on_a_terminal_what_it_loads(run, home, monkeypatch):
    waited = []
    monkeypatch.setattr("langchain_reflect.cli.loop.waiting", lambda text: waited.append(text) or nullcontext())
    run("--path", home, "recall", "Count the letters", "--json")
    run("--path", home, "recall", "Count the letters", "--explain")
    assert waited == ["loading the embeddings sentence-transformers/all-MiniLM-L6-v2, then searching"] * 2


def test_reindex_counts_what_it_indexed(run, home):
    counted = {"lessons": 1, "embedder": "sentence-transformers/all-MiniLM-L6-v2", "pruned": 0}
    assert run("--path", home, "reindex", "--json").json == counted


def test_reindex_lets_another_embedding_model_take_over(run, home, monkeypatch):
    run("--path", home, "reindex")
    monkeypatch.setattr("langchain.embeddings.init_embeddings", lambda _: DeterministicFakeEmbedding(size=8))
    ran = run("--path", home, "reindex", "--embeddings", "fake:eight", "--prune")
    assert ran.out.startswith("Indexed 1 lessons by fake:eight. Dropped 2 vectors of other models.\n")
    assert "REFLECT_EMBEDDINGS" in ran.out
    refused = run("--path", home, "recall", "Count the letters")
    assert (refused.code, "fake:eight" in refused.err) == (1, True)


def test_a_switch_is_done_although_a_running_agent_owns_the_index(run, home, monkeypatch):
    def refuse(*_):
        raise IndexUnavailable("the folder belongs to another process")

    monkeypatch.setattr("langchain.embeddings.init_embeddings", lambda _: DeterministicFakeEmbedding(size=8))
    monkeypatch.setattr("langchain_reflect.index.chroma.ChromaIndex.open", refuse)
    monkeypatch.setattr("langchain_reflect.index.chroma.ChromaIndex.reset", refuse)
    ran = run("--path", home, "reindex", "--embeddings", "fake:owned")
    assert (ran.code, "the switch is done" in ran.err) == (0, True)
    assert run("--path", home, "reindex", "--embeddings", "fake:owned", "--json").json["embedder"] == "fake:owned"


def test_a_provider_that_fails_is_one_line_that_says_how_to_go_on(run, home, monkeypatch):
    class Failing(DeterministicFakeEmbedding):
        def embed_documents(self, texts):
            raise ConnectionError("rate limit")

    monkeypatch.setattr("langchain.embeddings.init_embeddings", lambda _: Failing(size=8))
    ran = run("--path", home, "reindex", "--embeddings", "fake:failing")
    assert ran.code == 1
    assert ran.err.startswith("reflect: embedding stopped (ConnectionError: rate limit)")
    assert "again" in ran.err


def test_reflect_without_a_model_says_what_to_do(run, home, ledger):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    ran = run("--path", home, "reflect")
    assert ran.code == 1
    assert "model" in ran.err


def test_an_unknown_model_is_named(run, home):
    ran = run("--path", home, "reflect", "--model", "nobody:nothing")
    assert ran.code == 1
    assert "nobody" in ran.err


def test_the_loop_creates_no_ledger_in_a_wrong_place(run, tmp_path):
    for command in (["reflect"], ["recall", "x"], ["reindex"]):
        assert run("--path", tmp_path / "nowhere", *command).code == 1
    assert not (tmp_path / "nowhere").exists()


def test_parked_groups_are_retried_on_request(run, home, ledger, monkeypatch):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    park(ledger)
    monkeypatch.setattr(learner, "resolve_model", lambda _: ScriptedChatModel(answers=[{"lessons": []}]))
    assert run("--path", home, "reflect", "--model", "scripted:any", "--json").json["groups"] == 0
    assert run("--path", home, "reflect", "--model", "scripted:any", "--retry", "--json").json["groups"] == 1
    assert ledger.jobs(state="parked") == []


def test_a_parked_group_is_freed_by_hand(run, home, ledger):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    job = park(ledger)
    refused = run("--path", home, "retry", "J-unknown")
    assert (refused.code, "no waiting or parked job 'J-unknown'" in refused.err) == (1, True)
    assert run("--path", home, "retry", job.id).out == "Freed 1 groups.\n"
    assert [j.state for j in ledger.jobs()] == ["ready"]


def test_replay_says_what_comes_out_differently_and_writes_it_on_request(run, home, ledger, monkeypatch):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="Write the letters with commas between.")
    lesson = {"when": "letters are counted", "do": "Count on your fingers", "cites": ["R1"]}
    monkeypatch.setattr(learner, "resolve_model", lambda _: ScriptedChatModel(answers=[{"lessons": [lesson]}]))
    assert run("--path", home, "reflect", "--model", "scripted:any", "--json").json["groups"] == 1
    assert "1 reflections repeated" in run("--path", home, "replay").out
    assert "comes out as it is" in run("--path", home, "replay").out
    monkeypatch.setattr("langchain_reflect.reflection.drafting.refusal", lambda *_: "mended")
    ran = run("--path", home, "replay")
    assert (ran.code, "Count on your fingers" in ran.out) == (1, True)
    assert run("--path", home, "replay", "--write", "--reason", "a bug", "--json").code == 0
    assert [x.status for x in ledger.lessons() if x.do == "Count on your fingers"] == ["retired"]
    assert run("--path", home, "replay").code == 0
