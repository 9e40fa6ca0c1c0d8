from langchain_reflect.demo import flow


def test_the_demo_is_told_what_was_asked(run, tmp_path, monkeypatch):
    told = {}
    monkeypatch.setattr(flow, "run_demo", lambda **options: told.update(options))
    assert run("demo", "--quick", "--model", "openai:gpt-5.5", "--path", tmp_path, "--seed", 3).code == 0
    assert told == {"path": tmp_path, "model": "openai:gpt-5.5", "quick": True, "fresh": False, "seed": 3}


def test_a_model_that_cannot_be_had_is_named(run, tmp_path):
    ran = run("demo", "--model", "nobody:nothing", "--path", tmp_path)
    assert ran.code == 1
    assert "nobody:nothing" in ran.err
