"""A copy is whole, private and of one moment, however many write meanwhile; a copy that fails leaves nothing."""

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from langchain_reflect import Ledger
from langchain_reflect.errors import InvalidInput, LedgerDamaged, LedgerError
from langchain_reflect.types import Episode, Lesson, Revision

EPISODE = UUID(int=7)


def fill(ledger, number=20):
    ledger.save_episodes([(Episode(id=UUID(int=n), task=f"task {n}", task_key="k"), ()) for n in range(number)])
    ledger.record_outcomes([(UUID(int=n), {"reward": 1, "feedback": "good"}) for n in range(number)])
    lesson = Lesson(id="L-1", when="w", do="d", evidence=(UUID(int=1),))
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="dana")])


class Writers:
    """Four threads that record outcomes while this is entered."""

    def __init__(self, ledger):
        self.acknowledged = []
        self._ledger = ledger
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(4)]

    def _write(self):
        while not self._stop.is_set():
            episode = uuid4()
            self._ledger.record_outcome(episode, reward=1)
            self.acknowledged.append(episode)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        while len(self.acknowledged) < 20:
            self._stop.wait(0.01)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def programs(postgres, monkeypatch):
    """PostgreSQL's own programs come first in PATH."""
    monkeypatch.setenv("PATH", f"{postgres._bin}{os.pathsep}{os.environ['PATH']}")


def restored(target, postgres, tmp_path):
    """The ledger that a copy makes: the file itself, or a new database."""
    if target.read_bytes().startswith(b"SQLite format 3"):
        copy = tmp_path / "elsewhere" / "ledger.db"
        copy.parent.mkdir()
        shutil.copy(target, copy)
        return Ledger(copy)
    url = postgres.create(f"t{uuid4().hex}")
    name = url.split("@/")[1].split("?")[0]
    tool = [str(postgres._bin / "pg_restore"), f"--dbname=host={postgres.folder} user=reflect dbname={name}", str(target)]
    subprocess.run(tool, check=True, capture_output=True)
    return Ledger(url)


def test_a_copy_made_under_writers_is_a_whole_ledger_of_one_moment(either, tmp_path, postgres, programs):
    fill(either)
    with Writers(either) as writers:
        before = list(writers.acknowledged)
        target = either.backup(tmp_path / "copies" / "copy.db")
    assert target == tmp_path / "copies" / "copy.db"
    with restored(target, postgres, tmp_path) as copy:
        assert copy.verify() == []
        assert copy.counts()["episodes"] == 20
        assert copy.lesson("L-1") == either.lesson("L-1")
        assert all(copy.outcomes(i) for i in before)
        assert copy.counts()["outcomes"] <= either.counts()["outcomes"]
        copy.record_outcome(EPISODE, reward=0, source="test")
        assert copy.due() == either.due()
    assert [p.name for p in target.parent.iterdir()] == ["copy.db"]


def test_a_copy_is_private_even_while_it_is_made(ledger, tmp_path, monkeypatch):
    fill(ledger)
    modes = []

    def look(handle):
        modes.extend(stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob(".copy.db.*"))

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        target = ledger.backup(tmp_path / "copy.db")
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_copy_of_a_copy_is_the_same(ledger, tmp_path):
    fill(ledger)
    with Ledger(ledger.backup(tmp_path / "a" / "copy.db")) as copy:
        assert list(lines_of(copy.backup(tmp_path / "b" / "copy.db"))) == list(lines_of(Path(ledger.url.database)))


def lines_of(path):
    with closing(sqlite3.connect(path)) as raw:
        yield from raw.iterdump()
        yield raw.execute("PRAGMA application_id").fetchone()


def test_a_file_that_exists_is_not_overwritten_unless_that_is_asked_for(ledger, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(InvalidInput, match=r"exists; choose another, or overwrite it with --force"):
        ledger.backup(target)
    assert target.read_text() == "precious"
    ledger.record_outcome(EPISODE, reward=1)
    ledger.backup(target, overwrite=True)
    with Ledger(target) as copy:
        assert copy.outcomes(EPISODE)[0].reward == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_ledger_cannot_be_copied_onto_itself(ledger, tmp_path, overwrite):
    ledger.record_outcome(EPISODE, reward=1)
    (tmp_path / "link.db").symlink_to(ledger.url.database)
    for target in (ledger.url.database, tmp_path / "link.db"):
        with pytest.raises(InvalidInput, match="the ledger itself"):
            ledger.backup(target, overwrite=overwrite)
    assert ledger.outcomes(EPISODE)[0].reward == 1


def test_a_folder_is_no_target(ledger, tmp_path):
    (tmp_path / "copies").mkdir()
    with pytest.raises(InvalidInput, match="a folder"):
        ledger.backup(tmp_path / "copies", overwrite=True)


def test_a_place_that_cannot_be_written_is_named(ledger, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"copy\.db' cannot be written"):
        ledger.backup(tmp_path / "file" / "copy.db")


def test_nothing_is_left_of_a_copy_that_fails(ledger, tmp_path, monkeypatch):
    fill(ledger)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerError, match="No space left on device"):
        ledger.backup(tmp_path / "copies" / "copy.db")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_damaged_ledger_makes_no_copy(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        fill(ledger, 300)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        page = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'outcomes'").fetchone()[0]
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with Ledger(tmp_path / "ledger.db") as ledger, pytest.raises(LedgerError, match="malformed"):
        ledger.backup(tmp_path / "copies" / "copy.db")
    assert list((tmp_path / "copies").iterdir()) == []
    assert issubclass(LedgerDamaged, LedgerError)


def test_an_older_pg_dump_than_the_server_is_told_and_leaves_nothing(postgres_url, tmp_path, monkeypatch):
    old = tmp_path / "bin" / "pg_dump"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    with Ledger(postgres_url) as ledger, pytest.raises(LedgerError, match=r"pg_dump failed: .*server version mismatch"):
        ledger.backup(tmp_path / "copies" / "copy.dump")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_missing_pg_dump_is_told_with_what_to_run(postgres_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with Ledger(postgres_url) as ledger, pytest.raises(LedgerError, match="pg_dump is not installed here; on the server: pg_dump"):
        ledger.backup(tmp_path / "copies" / "copy.dump")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_password_reaches_pg_dump_but_no_other_user(postgres_url, tmp_path, monkeypatch):
    spy = tmp_path / "bin" / "pg_dump"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}{os.pathsep}{os.environ['PATH']}")
    with Ledger(postgres_url.replace("//reflect@", "//reflect:hunter2@")) as ledger:
        ledger.backup(tmp_path / "copy.dump")
    assert (tmp_path / "password").read_text() == "hunter2\n"
    assert "hunter2" not in (tmp_path / "arguments").read_text()
    assert "--format=custom" in (tmp_path / "arguments").read_text()
