"""`reflect pause` and `reflect resume`, and where a pause is seen."""


def test_a_pause_is_loud_until_it_is_resumed(run, home, ledger):
    assert (
        "graph 'counter' of namespace 'default' gets no lessons"
        in run("--path", home, "pause", "--graph", "counter", "--reason", "it hurts").out
    )
    assert ledger.steering(("default",), "counter").paused
    assert "paused: it hurts (by human)" in run("--path", home, "status").out
    (finding,) = [check for check in run("--path", home, "doctor", "--json").json if check["name"] == "ledger"]
    assert finding["state"] == "warning"
    assert "gets no lessons, paused: it hurts" in finding["detail"]
    assert "gets lessons again" in run("--path", home, "resume", "--graph", "counter", "--by", "dana", "--reason", "fixed").out
    assert run("--path", home, "status", "--json").json["paused"] == []
    assert ledger.steering(("default",), "counter").by == "dana"


def test_what_stays_paused_is_named(run, home):
    run("--path", home, "pause")
    out = run("--path", home, "resume", "--graph", "counter").out
    assert "Still paused: all graphs that are not named otherwise" in out
    done = run("--path", home, "resume", "--json").json
    assert (done["kind"], done["graph"]) == ("resumed", "")


def test_nobody_can_pause_in_the_name_of_evidence(run, home, ledger):
    refused = run("--path", home, "pause", "--by", "credit")
    assert refused.code == 1
    assert "stands for what follows from evidence" in refused.err
    assert ledger.steering_log() == []


def test_a_pause_in_another_namespace_leaves_this_one_alone(run, home, ledger):
    run("--path", home, "pause", "--namespace", "acme/support")
    assert set(ledger.paused()) == {(("acme", "support"), "")}


def test_a_graph_that_is_not_paused_cannot_be_resumed(run, home, ledger):
    run("--path", home, "pause", "--graph", "counter")
    refused = run("--path", home, "resume", "--graph", "cuonter")
    assert refused.code == 1
    assert "paused there: 'counter'" in refused.err
    assert ledger.steering(("default",), "counter").paused
