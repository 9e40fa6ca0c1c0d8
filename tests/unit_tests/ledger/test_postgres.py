"""A PostgreSQL database as a ledger: it says on, hangs never for ever, and comes back after whatever the server goes through."""

import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import closing, suppress
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from langchain_reflect import Ledger
from langchain_reflect.errors import LedgerError, MissingExtra
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.testing.postgres import PostgresServer
from langchain_reflect.types import Episode, Lesson, ReflectionReport, Revision, RolloutGroup, Usage

EPISODE = UUID(int=7)


@pytest.fixture
def ledger(postgres_url):
    with Ledger(postgres_url) as opened:
        yield opened


@pytest.fixture
def admin(postgres):
    with psycopg.connect(f"host={postgres.folder} user=reflect dbname=postgres", autocommit=True) as connection:
        yield connection


def name_of(url):
    return url.split("@/")[1].split("?")[0]


@pytest.mark.parametrize(("durability", "synchronous"), [("full", "on"), ("fast", "off")])
def test_each_transaction_sets_its_own_limits_whatever_the_server_says(postgres_url, admin, durability, synchronous):
    admin.execute(f'ALTER DATABASE "{name_of(postgres_url)}" SET synchronous_commit = off')
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def settings(connection):
        return [connection.execute(text(f"SHOW {name}")).scalar() for name in names]

    with Ledger(postgres_url, durability=durability) as ledger:
        assert ledger._write(settings) == ledger._read(settings) == [synchronous, "1min", "20s", "1min"]
        outside = ledger._database.raw(lambda driver: [driver.execute(f"SHOW {name}").fetchone()[0] for name in names])
    assert outside == ["off", "0", "0", "0"], "a pooler's next client is not concerned"


def test_nothing_is_prepared_on_the_server(ledger):
    def count(connection):
        for _ in range(10):
            connection.execute(text("SELECT name FROM schema_migrations"))
        return connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar()

    assert ledger._read(count) == 0


def test_settings_that_endanger_what_is_kept_are_warned_of(ledger):
    warned = ledger.warnings()
    assert [line.split(" is off")[0] for line in warned] == ["fsync", "full_page_writes"]


def test_a_server_with_sound_settings_is_not_warned_of(own):
    with Ledger(own.create(f"t{uuid4().hex}")) as ledger:
        assert ledger.warnings() == []


@pytest.fixture(scope="module")
def own():
    """A server that may be killed."""
    with PostgresServer(fsync=True, settings={"synchronous_commit": "off"}) as server:
        yield server


def test_a_server_that_is_killed_under_writers_loses_no_acknowledged_outcome(own):
    acknowledged, failed, stop = [], [], threading.Event()
    with Ledger(own.create(f"t{uuid4().hex}")) as ledger:

        def write(number):
            while not stop.is_set():
                episode = uuid4()
                try:
                    ledger.record_outcome(episode, reward=0.5, source=f"s{number}")
                except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                    failed.append(error)
                    return
                acknowledged.append(episode)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        before_kills = []
        for _ in range(2):
            time.sleep(0.4)
            own.kill()
            before_kills.append(len(acknowledged))
            time.sleep(0.1)
            own.start()
        time.sleep(0.4)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert 0 < before_kills[0] < before_kills[1] < len(acknowledged), "they went on after each restart"
        kept = ledger._read(lambda c: c.execute(text("SELECT episode_id FROM outcomes")).scalars().all())
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept)) <= len(acknowledged) + len(threads)
        assert ledger.verify() == []


def test_a_server_that_is_down_is_waited_for_as_long_as_patience_allows(own):
    url = own.create(f"t{uuid4().hex}")
    with Ledger(url, patience=0.5) as ledger:
        own.kill()
        began = time.monotonic()
        try:
            with pytest.raises(LedgerError, match="is the server up and reachable"):
                ledger.record_outcome(EPISODE, reward=1)
            assert 0.4 < time.monotonic() - began < 5
        finally:
            own.start()
        ledger.record_outcome(EPISODE, reward=1)


def test_a_call_that_begins_while_the_server_is_down_ends_when_it_is_back(own):
    with Ledger(own.create(f"t{uuid4().hex}")) as ledger:
        ledger.record_outcome(EPISODE, reward=1)
        own.kill()
        done = []
        caller = threading.Thread(target=lambda: done.append(ledger.record_outcome(EPISODE, reward=0, source="test")))
        caller.start()
        time.sleep(0.2)
        assert done == []
        own.start()
        caller.join(30)
        assert [o.source for o in done] == ["test"]
        assert len(ledger.outcomes(EPISODE)) == 2


def test_a_read_only_database_is_read_and_says_where_to_write(postgres_url, admin):
    with Ledger(postgres_url) as ledger:
        ledger.record_outcome(EPISODE, reward=1)
    admin.execute(f'ALTER DATABASE "{name_of(postgres_url)}" SET default_transaction_read_only = on')
    with Ledger(postgres_url) as ledger:
        assert ledger.outcomes(EPISODE)[0].reward == 1
        with pytest.raises(LedgerError, match=r"read only \(a standby\?\); give the URL of the primary"):
            ledger.record_outcome(EPISODE, reward=0)


def refused_at_once(url, message):
    began = time.monotonic()
    with pytest.raises(LedgerError, match=message):
        Ledger(url, patience=20)
    assert time.monotonic() - began < 5, "waiting does not help"


def test_a_database_that_is_missing_is_named_at_once(postgres):
    refused_at_once(postgres.url("not_there"), r'"not_there" does not exist.*CREATE DATABASE first')


def test_a_role_that_is_missing_is_named_at_once(postgres_url):
    refused_at_once(postgres_url.replace("//reflect@", "//nobody_such@"), r'"nobody_such" does not exist.*CREATE ROLE')


@pytest.fixture
def poor(admin):
    """A role without any right."""
    name = f"poor{uuid4().hex[:8]}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    admin.execute(f"DROP ROLE {name}")


def test_a_role_without_rights_is_told_what_to_grant_and_the_grant_is_enough(postgres, postgres_url, poor):
    theirs = postgres_url.replace("//reflect@", f"//{poor}@")
    refused_at_once(theirs, "GRANT")
    dsn = f"host={postgres.folder} user=reflect dbname={name_of(postgres_url)}"
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"GRANT USAGE ON SCHEMA public TO {poor}")
        owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {poor}")
        with Ledger(theirs) as ledger:
            ledger.save_episode(Episode(id=EPISODE, task="x"))
            ledger.record_outcome(EPISODE, reward=1)
            ledger.forget(episode=EPISODE)
            assert ledger.counts()["episodes"] == 0
        owner.execute(f"DROP OWNED BY {poor}")


def test_a_role_that_may_make_no_tables_is_told_so(postgres, poor):
    url = postgres.create(f"t{uuid4().hex}").replace("//reflect@", f"//{poor}@")
    refused_at_once(url, r"(?s)permission denied for schema public.*GRANT.*CREATE ON SCHEMA")


class Proxy:
    """Between a ledger and its server; it can keep the answer to a commit to itself and hang up."""

    def __init__(self, server):
        self.folder = tempfile.mkdtemp(prefix="proxy-")
        self.cuts = 0
        self._target = str(server.folder / ".s.PGSQL.5432")
        self._to_cut = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, number=1):
        self._to_cut = number

    def close(self):
        self._listener.close()
        shutil.rmtree(self.folder)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with closing(client), closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError):
            server.connect(self._target)
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                is_cut = self._to_cut > 0 and b"COMMIT" in data
                if is_cut:
                    self._to_cut -= 1
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)  # first, or the answer might be faster
                server.sendall(data)
                if is_cut:
                    time.sleep(0.05)  # the server commits
                    return

    def _answer(self, server, client):
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(postgres):
    opened = Proxy(postgres)
    yield opened
    opened.close()


@pytest.fixture
def behind(proxy, postgres, postgres_url):
    """A ledger whose answers may get lost."""
    with Ledger(postgres_url.replace(str(postgres.folder), proxy.folder)) as ledger:
        ledger.counts()
        yield ledger


def reports(ledger):
    return ledger._read(lambda c: c.execute(text("SELECT count(*) FROM outcomes")).scalar())


def test_an_outcome_whose_acknowledgement_is_lost_is_kept_once(behind, proxy):
    proxy.cut_next(3)
    assert behind.record_outcome(EPISODE, reward=0.5, feedback="late").reward == 0.5
    assert (proxy.cuts, reports(behind)) == (3, 1)
    proxy.cut_next()
    behind.retract_outcome(EPISODE)
    assert (proxy.cuts, reports(behind)) == (4, 2)
    assert behind.outcomes(EPISODE) == []


def test_a_batch_whose_acknowledgement_is_lost_is_kept_once(behind, proxy):
    proxy.cut_next()
    behind.record_outcomes([(UUID(int=n), {"reward": 1, "key": "a"}) for n in range(20)])
    assert (proxy.cuts, reports(behind)) == (1, 20)


def test_a_reflection_whose_acknowledgement_is_lost_has_its_effect_once(behind, proxy):
    proxy.cut_next()
    behind.save_episode(Episode(id=EPISODE, task="x"))
    behind.record_outcome(EPISODE, reward=0)
    rollouts = tuple(behind.rollouts())
    proxy.cut_next()
    behind.plan([RolloutGroup(key="k", namespace=("default",), graph="agent", task="x", rollouts=rollouts)])
    (job,) = behind.claim("w")
    report = ReflectionReport(id="R-1", groups=1, usage=Usage(calls=2, tokens_in=3))
    ending = Ending(Claim(job.id, job.fence), "done", rollouts)
    lesson = Lesson(id="L-1", when="w", do="d", evidence=(EPISODE,))
    proxy.cut_next(2)
    revision = Revision(lesson=lesson, kind="add", actor="R-1")
    behind.append_revisions([revision], closing=Closing(report=report, namespace=("default",), endings=[ending]))
    assert proxy.cuts == 4
    assert [len(behind.revisions("L-1")), len(behind.reflections()), behind.due()] == [1, 1, 0]
    assert behind._read(lambda c: tuple(c.execute(text("SELECT calls, tokens FROM spending")).one())) == (2, 3)
    assert behind.job_counts() == {"done": 1}
    assert behind.verify() == []


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57P03", "53300", "08006"])
def test_an_error_that_passes_is_tried_again(ledger, state):
    tried = []

    def work(connection):
        tried.append(connection.execute(text("INSERT INTO meta VALUES ('k', 'v')")).rowcount)
        if len(tried) < 3:
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")

    ledger._write(work)
    assert tried == [1, 1, 1]
    assert ledger.meta("k") == "v"


def test_an_error_that_does_not_pass_is_told_at_once(ledger):
    tried = []

    def work(connection):
        tried.append(1)
        connection.exec_driver_sql("SELECT * FROM nowhere")

    with pytest.raises(LedgerError, match="its tables are missing"):
        ledger._write(work)
    assert tried == [1]


def test_a_real_deadlock_ends_with_both_done(ledger):
    met = threading.Barrier(2)

    def crossing(first, second):
        tried = []

        def work(connection):
            tried.append(1)
            update = text("INSERT INTO meta VALUES (:k, '1') ON CONFLICT (key) DO UPDATE SET value = meta.value || '1'")
            connection.execute(update, {"k": first})
            if len(tried) == 1:
                met.wait(10)
            connection.execute(update, {"k": second})

        return lambda: ledger._write(work)

    threads = [threading.Thread(target=crossing(*pair)) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (ledger.meta("a"), ledger.meta("b")) == ("11", "11")


def test_connections_that_an_administrator_ends_are_replaced(ledger, admin, postgres_url):
    ledger.record_outcome(EPISODE, reward=1)
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name_of(postgres_url),))
    assert ledger.outcomes(EPISODE)[0].reward == 1
    tried = []

    def work(connection):
        tried.append(1)
        if len(tried) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        connection.execute(text("INSERT INTO meta VALUES ('k', 'v')"))

    ledger._write(work)
    assert (len(tried), ledger.meta("k")) == (2, "v")


def test_a_forked_child_uses_connections_of_its_own(ledger):
    ledger.record_outcome(EPISODE, reward=1, source="parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ledger.record_outcome(EPISODE, reward=0, source="child")
            code = 0
        finally:
            os._exit(code)
    ledger.record_outcome(EPISODE, reward=1, source="parent", key="2")
    assert os.waitpid(child, 0)[1] == 0
    assert [o.source for o in ledger.outcomes(EPISODE)].count("parent") == 2
    assert len(ledger.outcomes(EPISODE)) == 3


def test_sixty_four_threads_write_one_ledger(ledger):
    failed = []

    def write(number):
        try:
            ledger.record_outcome(EPISODE, reward=1, source=f"s{number}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(ledger.outcomes(EPISODE)) == 64


def test_a_password_is_in_no_error(tmp_path):
    url = f"postgresql+psycopg://dana:hunter2@/x?host={tmp_path}"
    with pytest.raises(LedgerError) as told:
        Ledger(url, patience=0.1)
    assert "hunter2" not in str(told.value)
    assert "dana" in str(told.value)


def test_a_driver_that_is_not_installed_is_named_with_the_command():
    with pytest.raises(MissingExtra, match=r"pip install 'langchain-reflect\[postgres\]'"):
        Ledger("postgresql+psycopg2://dana@/x")


def test_numbers_and_texts_come_back_from_a_server_as_they_were(ledger):
    ledger.record_outcome(EPISODE, reward=1 / 3, feedback="nul \0 and half \ud83d a pair", detail={"n": 1e-300, "t": "\u2028"})
    (outcome,) = ledger.outcomes(EPISODE)
    assert outcome.reward == 1 / 3
    assert outcome.detail == {"n": 1e-300, "t": "\u2028"}
    assert outcome.feedback.startswith("nul \N{REPLACEMENT CHARACTER} and half ")
