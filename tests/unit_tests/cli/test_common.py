import json

import pytest

from langchain_reflect import ReflectError
from langchain_reflect.cli.common import emit_json, namespace_of, pairs, printable, short, waiting


def test_pairs_are_split_at_the_first_equals_sign():
    assert pairs(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}


def test_a_pair_without_equals_sign_is_refused():
    with pytest.raises(ReflectError, match="'ticket' is not of the form key=value"):
        pairs(["ticket"])


def test_a_namespace_is_split_at_slashes():
    assert namespace_of("acme/support") == ("acme", "support")
    assert namespace_of(None) is None


def test_short_keeps_one_line():
    assert short("a\n b", 10) == "a b"
    assert short("x" * 20, 10) == "x" * 9 + "…"


def test_what_is_printed_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\u202ec\nd") == "a[2Jbc\nd"


def test_waiting_is_told_on_stderr_where_somebody_watches_and_not_elsewhere(capsys, monkeypatch):
    with waiting("loading the embeddings [x]"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with waiting("loading the embeddings [x]"):
        pass
    told = capsys.readouterr()
    assert told.out == ""
    assert "loading the embeddings [x]" in told.err


def test_an_argument_with_bytes_that_are_no_text_makes_valid_json(capsys):
    emit_json({"task": "move \udcff flight"})
    assert json.loads(capsys.readouterr().out) == {"task": "move ? flight"}
