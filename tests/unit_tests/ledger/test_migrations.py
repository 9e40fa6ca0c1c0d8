"""Every ledger that a release wrote opens in the next one, whoever opens it, and however often they are interrupted."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, text

from langchain_reflect import Ledger
from langchain_reflect.errors import LedgerTooNew
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.migrations import MIGRATIONS
from langchain_reflect.types import Usage

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.sql"))
SPACE = ("acme", "support")
START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


def restored(file, path):
    connection = sqlite3.connect(path)
    connection.executescript(file.read_text(encoding="utf-8"))
    connection.close()
    return path


def schema_of(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return [(kind, name, table, re.sub(r"\s+", " ", sql or "").strip()) for kind, name, table, sql in rows]


@pytest.fixture(params=FILES, ids=[f.stem for f in FILES])
def old(request, tmp_path):
    """The file of a ledger as an earlier release left it."""
    return restored(request.param, tmp_path / "old.db")


def test_the_newest_schema_has_a_golden_ledger():
    assert FILES[-1].stem == list(MIGRATIONS)[-1]
    assert {f.stem for f in FILES} <= set(MIGRATIONS)


def test_an_old_ledger_gets_exactly_the_schema_of_a_new_one(old, tmp_path):
    Ledger(old).close()
    Ledger(tmp_path / "new.db").close()
    assert schema_of(old) == schema_of(tmp_path / "new.db")
    tables_made = [sql for kind, _, _, sql in schema_of(old) if kind == "table"]
    assert len(tables_made) == len(tables.metadata.tables)
    assert all(sql.endswith("STRICT") for sql in tables_made)


def check_meaning(ledger):
    """What `scripts/golden_ledger.py` put into each golden ledger."""
    assert ledger.verify() == []
    assert [e.task for e in reversed(ledger.episodes())] == [f"Task {n} ü" for n in range(1, 5)]
    second = ledger.episode(UUID(int=2), namespace=SPACE)
    assert (second.task_key, second.shown, second.result, second.metadata) == ("same", ("L-000000000001",), {"n": 2}, {"ticket": "T-2"})
    assert second.steps[0].output == {"content": "answer 2", "tool_calls": []}
    assert second.steps[0].usage == Usage(calls=1, tokens_in=9)
    assert [e.id for e in ledger.episodes(metadata={"ticket": "T-3"})] == [UUID(int=3)]
    said = [(o.source, o.key, o.reward, o.feedback, o.observed_at) for o in ledger.outcomes(UUID(int=1), namespace=SPACE)]
    assert said == [("verifier", "", 0.25, None, START), ("zendesk", "e-1", None, "It was late.", START)]
    assert ledger.outcomes(UUID(int=1)) == [], "an outcome belongs to the namespace of its episode"
    assert [o.source for o in ledger.outcomes(UUID(int=99))] == ["early"], "an orphan belongs to the default namespace"
    shown = [(x.episode_id.int, x.shown, x.probability) for x in ledger.exposures(lesson_id="L-000000000001", namespace=SPACE)]
    assert shown == [(1, False, 0.75), (2, True, 0.75), (3, True, 0.75)]
    lesson = ledger.lesson("L-000000000001", namespace=SPACE)
    assert (lesson.revision, lesson.do, lesson.evidence) == (2, "check the fare class first", (UUID(int=1),))
    history = [(r.kind, r.actor, r.reason, r.at) for r in ledger.revisions(lesson.id, namespace=SPACE)]
    assert history == [("add", "R-1", "", START), ("revise", "dana", "sharper", START)]
    assert ledger.lessons_version() == 2
    assert [v.vectors.shape for v in ledger.vectors("e")] == [(2, 4)]
    assert [(r.id, r.usage.calls) for r in ledger.reflections(namespace=SPACE)] == [("R-1", 2)]
    assert ledger.reflection_replies("R-1", namespace=SPACE) == {"said": []}


def test_every_row_of_an_old_ledger_keeps_its_meaning(old):
    with Ledger(old) as ledger:
        check_meaning(ledger)


def test_what_no_reflection_has_seen_is_due_after_a_migration_and_the_rest_is_not(old):
    with Ledger(old) as ledger:
        due = {r.episode.id.int for r in ledger.rollouts(unreflected=True)} | {i.int for job in ledger.jobs() for i in job.episodes}
        assert ledger.due() == 2
        assert {3, 4} <= due, "the group that waited (or was parked), perhaps in a job, and the resumed run"
        ledger.record_outcome(UUID(int=1), reward=1, source="human", namespace=SPACE)
        assert ledger.due() == 3


def test_an_outcome_of_a_resumed_run_still_finds_its_episode(old):
    with Ledger(old, namespace=SPACE) as ledger:
        assert ledger.episode(UUID(int=44)).id == UUID(int=4)
        assert [o.reward for o in ledger.outcomes(UUID(int=44))] == [1.0]
        ledger.record_outcome(UUID(int=44), reward=0.5, source="test")
        assert {o.source for o in ledger.outcomes(UUID(int=4))} == {"user", "test"}


def test_an_orphan_of_an_old_ledger_joins_when_its_episode_comes(old):
    with Ledger(old) as ledger:
        ledger.save_episode(ledger.episode(UUID(int=1), namespace=SPACE).model_copy(update={"id": UUID(int=99), "namespace": ("default",)}))
        assert [r.reward for r in ledger.rollouts(episodes=[UUID(int=99)])] == [0.5]


def test_opening_an_old_ledger_a_second_time_changes_nothing(old):
    Ledger(old).close()
    connection = sqlite3.connect(old)
    once = list(connection.iterdump())
    connection.close()
    Ledger(old).close()
    connection = sqlite3.connect(old)
    assert list(connection.iterdump()) == once
    assert connection.execute("SELECT name FROM schema_migrations ORDER BY name").fetchall() == [(n,) for n in sorted(MIGRATIONS)]
    connection.close()


def _server_type(declared):
    for kind, theirs in (("CHAR(32)", "UUID"), ("FLOAT", "DOUBLE PRECISION"), ("REAL", "DOUBLE PRECISION"), ("BLOB", "BYTEA")):
        if declared == kind or (kind != "CHAR(32)" and declared.startswith(kind)):
            return theirs
    return declared


def to_server(path, url):
    """Write a ledger file into an empty PostgreSQL database, with the column types that the same release used there."""
    source, engine = sqlite3.connect(path), create_engine(url)
    with engine.begin() as target:
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            info = source.execute(f"PRAGMA table_info({table})").fetchall()
            columns = [f'"{name}" {_server_type(kind)}' + (" NOT NULL" if must else "") for _, name, kind, must, _, _ in info]
            keys = ", ".join(f'"{name}"' for _, name, _, _, _, key in sorted(info, key=lambda c: c[5]) if key)
            target.execute(text(f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({keys}))"))
            values = ", ".join(
                f"CAST(:{name} AS {_server_type(kind)})" if kind in {"JSON", "CHAR(32)"} else f":{name}" for _, name, kind, *_ in info
            )
            for row in source.execute(f"SELECT * FROM {table}").fetchall():
                target.execute(text(f"INSERT INTO {table} VALUES ({values})"), {c[1]: v for c, v in zip(info, row, strict=True)})
        for (made,) in source.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall():
            target.execute(text(made))
    engine.dispose()
    source.close()


def test_an_old_ledger_on_a_server_keeps_its_meaning_too(tmp_path, postgres):
    url = postgres.create(f"t{uuid4().hex}")
    to_server(restored(GOLDEN / "0002_resumed_runs.sql", tmp_path / "old.db"), url)
    with Ledger(url) as ledger:
        check_meaning(ledger)
        assert ledger.due() == 2
        assert ledger.episode(UUID(int=44), namespace=SPACE).id == UUID(int=4)


TOGETHER = """
import os, sys
from langchain_reflect import Ledger
gate, start = os.pipe()
children = []
for number in range(16):
    child = os.fork()
    if child == 0:
        os.close(start)
        os.read(gate, 1)
        try:
            with Ledger(sys.argv[1]) as ledger:
                ledger.set_meta(f"k{number}", "v")
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(start)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "empty.db")
    return request.getfixturevalue("postgres").create(f"t{uuid4().hex}")


def test_sixteen_processes_open_an_empty_ledger_at_once(empty_url):
    done = subprocess.run([sys.executable, "-c", TOGETHER, empty_url], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    with Ledger(empty_url) as ledger:
        assert all(ledger.meta(f"k{n}") == "v" for n in range(16))
        applied = ledger._read(lambda c: c.execute(text("SELECT name FROM schema_migrations")).scalars().all())
    assert sorted(applied) == sorted(MIGRATIONS)


def test_sixteen_processes_migrate_an_old_ledger_once(tmp_path):
    path = restored(GOLDEN / "0002_resumed_runs.sql", tmp_path / "old.db")
    done = subprocess.run([sys.executable, "-c", TOGETHER, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    with Ledger(path) as ledger:
        check_meaning(ledger)


def write_from_the_future(ledger):
    row = {"name": "9999_from_the_future", "applied_at": datetime(2030, 1, 1, tzinfo=UTC)}
    ledger._write(lambda c: c.execute(tables.migrations.insert().values(row)))


def test_a_newer_schema_is_refused_by_name_and_its_bytes_stay(tmp_path):
    with Ledger(tmp_path) as ledger:
        write_from_the_future(ledger)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(LedgerTooNew, match=r"'9999_from_the_future'.*upgrade langchain-reflect"):
        Ledger(tmp_path)
    assert (tmp_path / "ledger.db").read_bytes() == before["ledger.db"]


def test_a_newer_schema_on_a_server_is_refused_before_anything_is_written(postgres_url):
    with Ledger(postgres_url) as ledger:
        write_from_the_future(ledger)
    with pytest.raises(LedgerTooNew, match="9999_from_the_future"):
        Ledger(postgres_url)
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM schema_migrations")).scalar() == len(MIGRATIONS) + 1
    engine.dispose()


KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from langchain_reflect import Ledger
for number, url in zip(map(int, sys.argv[1].split(",")), sys.argv[2:]):
    child = os.fork()
    if child == 0:
        left = [number]
        @event.listens_for(Engine, "after_cursor_execute")
        def count(connection, cursor, statement, *rest):
            left[0] -= statement.lstrip().startswith(("CREATE", "ALTER", "INSERT", "DROP", "DELETE"))
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        Ledger(url)
        os._exit(0)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
"""
KILLED_AT = (1, 3, 10, 20, 30, 40, 60, 75)


def killed_in_the_middle(urls):
    arguments = [sys.executable, "-c", KILLED, ",".join(map(str, KILLED_AT[: len(urls)])), *urls]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True).stdout.split()


def test_a_process_that_is_killed_while_it_migrates_leaves_a_ledger_that_opens(tmp_path):
    paths = [restored(GOLDEN / "0002_resumed_runs.sql", tmp_path / f"{n}.db") for n in KILLED_AT]
    assert killed_in_the_middle([str(p) for p in paths]) == ["9"] * len(paths)
    for path in paths:
        with Ledger(path) as ledger:
            check_meaning(ledger)


def test_a_process_that_is_killed_while_it_makes_the_tables_leaves_a_ledger_that_opens(tmp_path, postgres):
    pairs = [(str(tmp_path / f"{n}.db"), postgres.create(f"t{uuid4().hex}")) for n in range(3)]
    urls = [url for pair in pairs for url in pair]
    assert killed_in_the_middle(urls) == ["9"] * len(urls)
    for url in urls:
        with Ledger(url) as ledger:
            ledger.record_outcome(UUID(int=7), reward=1)
            assert ledger.counts()["outcomes"] == 1


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = restored(GOLDEN / "0002_resumed_runs.sql", tmp_path / "old.db")
    before = schema_of(path)

    rebuild = MIGRATIONS["0003_strict_tables_and_jobs"]

    def broken(connection):
        rebuild(connection)
        raise RuntimeError("broken off")

    with monkeypatch.context() as patched:
        patched.setitem(MIGRATIONS, "0003_strict_tables_and_jobs", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            Ledger(path)
    assert schema_of(path) == before
    with Ledger(path) as ledger:
        check_meaning(ledger)


def test_a_newer_copy_is_refused_with_its_bytes_as_they_were(tmp_path):
    with Ledger(tmp_path / "a") as ledger:
        ledger.record_outcome(uuid4(), reward=1.0)
        copy = ledger.backup(tmp_path / "copy.db")
    with closing(sqlite3.connect(copy)) as raw, raw:
        raw.execute("INSERT INTO schema_migrations VALUES ('9999_later', '2030-01-01T00:00:00.000000+00:00')")
    before = copy.read_bytes()
    with pytest.raises(LedgerTooNew, match="9999_later"):
        Ledger(copy)
    assert copy.read_bytes() == before
