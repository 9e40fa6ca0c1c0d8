"""A SQLite file as a ledger: set up for durability, guarded, private, and never somebody else's file."""

import asyncio
import gc
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from sqlalchemy import text

from langchain_reflect import Ledger
from langchain_reflect.errors import InvalidInput, LedgerDamaged, LedgerError
from langchain_reflect.ledger import sqlite
from langchain_reflect.types import Episode

EPISODE = UUID(int=7)


def pragma(ledger, name):
    return ledger._write(lambda c: c.execute(text(f"PRAGMA {name}")).scalar())


def filled(path, number=300):
    """A ledger that was closed, with some pages in it."""

    def fill():
        with Ledger(path, durability="fast") as ledger:
            ledger.record_outcomes([(UUID(int=n), {"reward": 1, "feedback": f"{n} " + "was late " * 50}) for n in range(number)])

    fill()
    gc.collect()  # the lock of those who use the file goes with the engine
    return Path(path)


def all_bytes(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("fast", 1)])
def test_every_connection_is_set_up_for_its_durability(tmp_path, durability, synchronous):
    with Ledger(tmp_path, durability=durability) as ledger:
        at_once = threading.Barrier(4)
        seen = []

        def look(connection):
            at_once.wait(10)
            names = ("journal_mode", "synchronous", "secure_delete", "trusted_schema")
            seen.append(tuple(connection.execute(text(f"PRAGMA {name}")).scalar() for name in names))

        threads = [threading.Thread(target=ledger._read, args=(look,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [("wal", synchronous, 1, 0)] * 4


def test_a_write_holds_the_lock_from_its_beginning_and_a_read_does_not(tmp_path):
    def can_another_write(_connection):
        with closing(sqlite3.connect(tmp_path / "ledger.db", timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True

    with Ledger(tmp_path) as ledger:
        assert ledger._write(can_another_write) is False
        assert ledger._read(can_another_write) is True


OUTCOME = "INSERT INTO outcomes (namespace, episode_id, source, key, content, observed_at, recorded_at, reward, feedback) VALUES "
EXPOSURE = "INSERT INTO exposures (episode_id, lesson_id, revision, shown, probability, arm, rank, score, tokens) VALUES "
JOB_COLUMNS = "id, namespace, graph, key, reason, state, fence, failures, created_at, changed_at"
BAD_ROWS = {
    "text as reward": (OUTCOME + "('[\"d\"]', 'e', 's', '', 'c', 't', 't', ?, NULL)", "good", "cannot store TEXT value in REAL"),
    "reward above one": (OUTCOME + "('[\"d\"]', 'e', 's', '', 'c', 't', 't', ?, NULL)", 2, "reward_in_range"),
    "reward below zero": (OUTCOME + "('[\"d\"]', 'e', 's', '', 'c', 't', 't', ?, NULL)", -0.1, "reward_in_range"),
    "reward that is no number": (OUTCOME + "('[\"d\"]', 'e', 's', '', 'c', 't', 't', ?, NULL)", float("nan"), "says_something"),
    "outcome without namespace": (OUTCOME + "(?, 'e', 's', '', 'c', 't', 't', 1, NULL)", None, "NOT NULL"),
    "certainty above one": (EXPOSURE + "('e', 'L', 1, 1, ?, 'treated', 0, 0, 0)", 7, "probability_in_range"),
    "half shown": (EXPOSURE + "('e', 'L', 1, ?, 0.5, 'treated', 0, 0, 0)", 2, "shown_or_not"),
    "unknown job state": (
        f"INSERT INTO jobs ({JOB_COLUMNS}) VALUES ('J', 'n', 'g', 'k', 'r', ?, 0, 0, 't', 't')",
        "lost",
        "job_state_known",
    ),
    "revision nought": ("INSERT INTO lessons VALUES ('L', 'n', 'active', ?, 1, '{}')", 0, "revision_counts"),
    "text as trajectory": ("INSERT INTO trajectories VALUES ('e', ?)", "plain", "cannot store TEXT value in BLOB"),
    "fraction as revision": ("INSERT INTO lessons VALUES ('L', 'n', 'active', ?, 1, '{}')", 1.5, "cannot store REAL value in INTEGER"),
}


@pytest.mark.parametrize(("statement", "value", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_the_tables_themselves_refuse_a_bad_row(tmp_path, statement, value, message):
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, pytest.raises(sqlite3.IntegrityError, match=message):
        raw.execute(statement, (value,))


def test_a_value_that_a_table_refuses_is_invalid_input_and_changes_nothing(ledger):
    with pytest.raises(InvalidInput, match="reward_in_range"):
        ledger._write(lambda c: c.exec_driver_sql(OUTCOME + "('[\"d\"]', 'e', 's', '', 'c', 't', 't', 2, NULL)"))
    assert ledger.counts()["outcomes"] == 0


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_files_and_folder_are_private_whatever_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        with Ledger(tmp_path / "reflect") as ledger:
            ledger.record_outcome(EPISODE, reward=1)
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "reflect").iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.users"), 0o600)
    assert stat.S_IMODE((tmp_path / "reflect").stat().st_mode) == 0o700


def notes(path):
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE notes (text)")


def checkpoints(path):
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()


def collections(path):
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("PRAGMA journal_mode=WAL")
        for name in ("migrations", "collections", "segments", "embeddings", "embedding_metadata"):
            raw.execute(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, value TEXT)")
        raw.execute("INSERT INTO embeddings VALUES ('1', 'a')")


def marked_as_anothers(path):
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("PRAGMA application_id=1196444487")
        raw.execute("PRAGMA user_version=1")


@pytest.mark.parametrize("foreign", [notes, checkpoints, collections, marked_as_anothers])
def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path, foreign):
    path = tmp_path / "theirs.db"
    foreign(path)
    before = all_bytes(tmp_path)
    with pytest.raises(InvalidInput, match="another program"):
        Ledger(path)
    assert all_bytes(tmp_path) == before


def test_the_database_of_another_program_that_is_in_use_is_refused_too(tmp_path):
    with SqliteSaver.from_conn_string(str(tmp_path / "theirs.db")) as saver:
        saver.setup()
        with pytest.raises(InvalidInput, match=r"tables checkpoints, writes"):
            Ledger(tmp_path / "theirs.db")
        saver.setup()


def test_a_folder_where_the_file_should_be_is_refused(tmp_path):
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(InvalidInput, match="is a folder"):
        Ledger(tmp_path)


@pytest.mark.parametrize("name", ["with space.db", "a?mode=memory.db", "a#b.db", "100%25.db", "ünï.db", "con.db"])
def test_any_name_of_a_file_is_only_a_name(tmp_path, name):
    (tmp_path / "other").mkdir()
    for _ in range(2):
        with Ledger(tmp_path / "other" / name) as ledger:
            ledger.record_outcome(EPISODE, reward=1)
    assert sorted(p.name for p in (tmp_path / "other").iterdir()) == [name, f"{name}.users"]


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


def zero_all_but_the_first_page(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))


def zero_the_first_page(path):
    with path.open("r+b") as file:
        file.write(bytes(4096))


def write_text(path):
    path.write_text("reflect: " + "not a database\n" * 400)


@pytest.mark.parametrize("damage", [cut_in_half, zero_all_but_the_first_page, zero_the_first_page, write_text])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, damage):
    path = filled(tmp_path / "ledger.db")
    damage(path)
    left = path.read_bytes()
    with pytest.raises(LedgerDamaged, match=r"reflect backup.*\.recover"):
        Ledger(path).rollouts()
    assert path.read_bytes() == left


def test_a_damaged_page_is_told_when_it_is_read(tmp_path):
    path = filled(tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as raw:
        page = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'outcomes'").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with Ledger(path) as ledger:
        with pytest.raises(LedgerDamaged, match=r"\.recover"):
            ledger.outcomes(UUID(int=3))
        with pytest.raises(LedgerDamaged, match=r"\.recover"):
            ledger.record_outcome(UUID(int=3), reward=0)


DIES = """
import os, signal, sys
from langchain_reflect import Ledger
ledger = Ledger(sys.argv[1])
ledger.record_outcome("00000000-0000-0000-0000-000000000007", reward=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def checks(monkeypatch):
    """The files that were checked."""
    real, checked = sqlite.check_file, []
    monkeypatch.setattr(sqlite, "check_file", lambda path: (checked.append(path), real(path)))
    return checked


def test_a_file_is_checked_after_an_unclean_end_only(tmp_path, checks):
    path = filled(tmp_path / "ledger.db", 3)
    assert checks == []
    subprocess.run([sys.executable, "-c", DIES, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    with Ledger(path) as ledger:
        assert checks == [path]
        assert [o.reward for o in ledger.outcomes(EPISODE)] == [1.0]
        with Ledger(path) as second:
            assert second.counts()["outcomes"] == 4
    assert checks == [path], "whoever comes while others are there does not check"


def test_damage_after_an_unclean_end_is_found_before_the_file_is_used(tmp_path):
    path = filled(tmp_path / "ledger.db")
    subprocess.run([sys.executable, "-c", DIES, str(path)], check=False)
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as raw:
        page = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'vectors'").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(LedgerDamaged, match="damaged"):
        Ledger(path)


def test_a_network_file_system_gets_a_rollback_journal_and_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sqlite, "file_system_of", lambda path: "nfs4")
    with Ledger(tmp_path) as ledger:
        assert (pragma(ledger, "journal_mode"), pragma(ledger, "synchronous")) == ("delete", 3)
        ledger.record_outcome(EPISODE, reward=1)
        assert ledger.outcomes(EPISODE)[0].reward == 1
    assert "network file system" in caplog.text
    assert not (tmp_path / "ledger.db-wal").exists()


def test_a_ledger_may_move_to_a_network_file_system_and_back(tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        Ledger(tmp_path).close()
        elsewhere.setattr(sqlite, "file_system_of", lambda path: "cifs")
        with Ledger(tmp_path) as ledger:
            assert pragma(ledger, "journal_mode") == "delete"
            ledger.record_outcome(EPISODE, reward=1)
    with Ledger(tmp_path) as ledger:
        assert pragma(ledger, "journal_mode") == "wal"
        assert ledger.outcomes(EPISODE)[0].reward == 1


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="only Linux lists its mounts there")
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(tmp_path):
    assert sqlite.file_system_of(Path("/proc/self/stat")) == "proc"
    assert sqlite.file_system_of(tmp_path / "not" / "there" / "yet") not in {"", "proc"}


VERSIONS = {
    (3, 6, 23): False,
    (3, 7, 0): True,
    (3, 40, 1): True,
    (3, 44, 5): True,
    (3, 44, 6): False,
    (3, 44, 9): False,
    (3, 45, 0): True,
    (3, 50, 6): True,
    (3, 50, 7): False,
    (3, 51, 2): True,
    (3, 51, 3): False,
    (3, 52, 0): False,
    (4, 0, 0): False,
}


@pytest.mark.parametrize(("version", "has_it"), VERSIONS.items(), ids=str)
def test_the_reset_bug_is_known_by_version(version, has_it):
    assert sqlite.has_reset_bug(version) is has_it


def test_a_version_with_the_reset_bug_is_warned_of(ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "has_reset_bug", lambda: True)
    assert any(sqlite3.sqlite_version in line and "3.51.3" in line for line in ledger.warnings())
    monkeypatch.setattr(sqlite, "has_reset_bug", lambda: False)
    assert ledger.warnings() == []


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """From now on nothing below the test's folder can be written, so says the system."""
    real = os.access

    def make():
        monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(tmp_path)) and real(path, mode))

    return make


@pytest.mark.parametrize("name", ["ledger.db", "a?b#c%20.db"])
def test_a_ledger_in_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path, read_only, caplog, name):
    path = filled(tmp_path / name, 3)
    before = all_bytes(tmp_path)
    read_only()
    with Ledger(path) as ledger:
        assert ledger.counts()["outcomes"] == 3
        assert ledger.outcomes(UUID(int=1))[0].reward == 1
        with pytest.raises(LedgerError, match="cannot be written by this user"):
            ledger.record_outcome(EPISODE, reward=1)
    assert "read only" in caplog.text
    assert all_bytes(tmp_path) == before


def test_a_reader_without_the_right_to_write_sees_what_others_write(tmp_path, read_only):
    with Ledger(tmp_path) as writer:
        writer.record_outcome(EPISODE, reward=1, source="a")
        read_only()
        with Ledger(tmp_path) as reader:
            assert [o.source for o in reader.outcomes(EPISODE)] == ["a"]
            writer.record_outcome(EPISODE, reward=1, source="b")
            assert [o.source for o in reader.outcomes(EPISODE)] == ["a", "b"]
            with pytest.raises(LedgerError, match="cannot be written by this user"):
                reader.record_outcome(EPISODE, reward=0)


def test_a_new_ledger_in_a_folder_that_cannot_be_written_is_refused(tmp_path, read_only):
    read_only()
    with pytest.raises(LedgerError, match=r"not writable; choose another path= or set REFLECT_PATH"):
        Ledger(tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False)
    if not made or made.returncode:
        pytest.skip("no right to mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    acknowledged = []
    with Ledger(small_disk / "reflect") as ledger:

        def write_on():
            for number in range(1000):
                ledger.record_outcome(UUID(int=number), reward=0.5, feedback=f"{number} " + "word " * 3000)
                acknowledged.append(UUID(int=number))

        with pytest.raises(LedgerError, match="disk is full"):
            write_on()
        assert len(acknowledged) > 20
        assert ledger.counts()["outcomes"] == len(acknowledged)
        ballast.unlink()
        ledger.record_outcome(EPISODE, reward=1, source="after")
        assert all(ledger.outcomes(i) for i in acknowledged)
        assert ledger.verify() == []


QUOTA = """
import resource, sys
from uuid import UUID
from langchain_reflect import Ledger
from langchain_reflect.errors import LedgerError
ledger, acknowledged = Ledger(sys.argv[1]), 0
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, most))
try:
    for acknowledged in range(1000):
        ledger.record_outcome(UUID(int=acknowledged), feedback=f"{acknowledged} " + "word " * 3000)
except LedgerError as error:
    print(error)
print(acknowledged, ledger.counts()["outcomes"])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
ledger.record_outcome(UUID(int=5000), reward=1)
print(ledger.counts()["outcomes"], ledger.verify())
"""


def test_a_quota_that_is_used_up_loses_nothing_that_was_acknowledged(tmp_path):
    done = subprocess.run([sys.executable, "-c", QUOTA, str(tmp_path)], capture_output=True, text=True, check=True)
    said, counted, after = done.stdout.splitlines()
    assert "its disk is full or failing; acknowledged outcomes are safe" in said
    acknowledged, kept = map(int, counted.split())
    assert acknowledged == kept > 5
    assert after == f"{kept + 1} []"


def test_a_closed_ledger_opens_again_when_it_is_used(ledger):
    ledger.record_outcome(EPISODE, reward=1)
    ledger.close()
    ledger.close()
    assert ledger.outcomes(EPISODE)[0].reward == 1
    ledger.record_outcome(EPISODE, reward=0, source="test")
    assert ledger.counts()["outcomes"] == 2


def forked(work):
    """A child that does the work and nothing else; its exit code tells whether it could."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def test_a_forked_child_uses_connections_of_its_own(ledger):
    ledger.record_outcome(EPISODE, reward=1, source="parent")
    child = forked(lambda: ledger.record_outcome(EPISODE, reward=0, source="child"))
    ledger.record_outcome(EPISODE, reward=1, source="parent", key="2")
    assert os.waitpid(child, 0)[1] == 0
    assert {o.source for o in ledger.outcomes(EPISODE)} == {"parent", "child"}
    assert ledger.verify() == []


def test_children_that_are_forked_while_threads_write_can_write(ledger):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            ledger.record_outcome(uuid4(), reward=1)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    codes = []
    for number in range(10):
        child = forked(lambda source=f"child {number}": ledger.record_outcome(EPISODE, reward=0, source=source))
        codes.append(os.waitpid(child, 0)[1])
    stop.set()
    for writer in writers:
        writer.join()
    assert codes == [0] * 10
    assert len(ledger.outcomes(EPISODE)) == 10
    assert ledger.verify() == []


def test_sixty_four_threads_write_one_ledger(tmp_path):
    failed = []
    with Ledger(tmp_path) as ledger:

        def write(number):
            try:
                for key in range(4):
                    ledger.record_outcome(EPISODE, reward=1, source=f"s{number}", key=str(key))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failed.append(error)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(ledger.outcomes(EPISODE)) == 256


def test_another_program_that_holds_the_lock_is_waited_for_and_then_told_of(tmp_path):
    with Ledger(tmp_path, patience=0.3) as ledger, closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="not held open by a long transaction"):
            ledger.record_outcome(EPISODE, reward=1)
        assert ledger.outcomes(EPISODE) == []
        other.rollback()
        ledger.record_outcome(EPISODE, reward=1)


def test_one_ledger_serves_several_event_loops(ledger):
    for reward in (0.25, 0.75):
        asyncio.run(ledger.arecord_outcome(EPISODE, reward=reward, key=str(reward)))
    assert {o.reward for o in ledger.outcomes(EPISODE)} == {0.25, 0.75}


AT_THE_END = """
import atexit, sys
from langchain_reflect import Ledger
ledger = Ledger(sys.argv[1])
atexit.register(lambda: ledger.record_outcome("00000000-0000-0000-0000-000000000007", reward=1))
"""


def test_an_outcome_can_be_recorded_while_the_interpreter_ends(tmp_path):
    done = subprocess.run([sys.executable, "-c", AT_THE_END, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    with Ledger(tmp_path) as ledger:
        assert ledger.outcomes(EPISODE)[0].reward == 1


def test_work_that_raises_changes_nothing(ledger):
    def work(connection):
        connection.exec_driver_sql("INSERT INTO meta VALUES ('k', 'v')")
        raise KeyError("broken off")

    with pytest.raises(KeyError):
        ledger._write(work)
    assert ledger.meta("k") is None
    ledger.save_episode(Episode(id=EPISODE, task="x"))
