def test_the_audit_tells_the_health_of_the_book(run, home):
    found = run("--path", home, "audit", "--json").json
    assert (found["served"], found["statuses"]) == (1, {"active": 1, "retired": 1})
    assert found["unsupported"] == ["L-1"], "its episode is judged by nobody"
    assert list(found["never_shown"]) == ["L-1"]
    ran = run("--path", home, "audit")
    assert ran.code == 0
    assert "1 active, 1 retired" in ran.out
    assert "1 (L-1 for 0 days)" in ran.out


def test_the_audit_of_a_namespace_counts_only_its_own(run, home):
    assert run("--path", home, "audit", "--namespace", "acme", "--json").json["served"] == 0


def test_an_audit_makes_no_ledger(run, tmp_path):
    ran = run("--path", tmp_path / "none", "audit")
    assert (ran.code, "no ledger" in ran.err) == (1, True)
    assert not (tmp_path / "none").exists()
