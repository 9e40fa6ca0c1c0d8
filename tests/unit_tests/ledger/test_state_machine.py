"""The ledger agrees with a small model of it after any history, and any order of the same events gives the same state."""

import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from langchain_reflect.errors import EpisodeErased, EpisodeNotFound
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.ledger.outcomes import content_hash
from langchain_reflect.types import Episode, Outcome, ReflectionReport

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
RANKS = {"verifier": 0, "human": 1, "judge": 3}
TASK_KEYS = ("k", "k", None)
SAME = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))

NUMBERS = st.integers(0, len(TASK_KEYS) - 1)
REPORTS = st.fixed_dictionaries(
    {
        "source": st.sampled_from(sorted(RANKS)),
        "key": st.sampled_from(["", "k"]),
        "at": st.integers(0, 3),
        "reward": st.sampled_from([0.0, 0.5, 1.0, None]),  # None: a retraction
    }
)


class Model:
    """What the ledger ought to say, without any SQL. An episode n has the id `ids[n]`, and `runs[n]` of a run that may resume it."""

    def __init__(self):
        self.ids, self.runs = [uuid4() for _ in TASK_KEYS], [uuid4() for _ in TASK_KEYS]
        self.known, self.erased, self.seen, self.revoked = set(), set(), set(), set()
        self.alias = {}
        self.reports = defaultdict(set)  # by id: (source, key, hour, hash, reward)

    def save(self, n, *, resumed):
        episode, run = self.ids[n], self.runs[n]
        if episode in self.erased:
            return
        self.known.add(episode)
        if resumed and run not in self.alias:
            self.alias[run] = episode
            if early := self.reports.pop(run, None):
                self.reports[episode] |= early
                self.seen.discard(episode)

    def episode_of(self, run):
        return self.alias.get(run, run)

    def refuses(self, run):
        return bool({run, self.episode_of(run)} & self.erased)

    def report(self, run, *, source, key, at, reward):
        episode = self.episode_of(run)
        told = Outcome(episode_id=episode, reward=reward, source=source, key=key, retracted=reward is None)
        row = (source, key, at, content_hash(told), reward)
        if row not in self.reports[episode]:
            self.reports[episode].add(row)
            self.seen.discard(episode)

    def counting(self, run):
        """(source, key) -> (hour, reward)."""
        last = {}
        for source, key, at, content, reward in self.reports[self.episode_of(run)]:
            if source not in self.revoked:
                last[source, key] = max(last.get((source, key), (-1, "", None)), (at, content, reward))
        return {slot: (at, reward) for slot, (at, _, reward) in last.items() if reward is not None}

    def resolved(self, run):
        ranked = [(-RANKS[source], at, reward) for (source, _), (at, reward) in self.counting(run).items()]
        return max(ranked)[-1] if ranked else None

    def judged(self):
        return {i for i in self.known if self.counting(i)}

    def due(self):
        return self.judged() - self.seen

    def unreflected(self):
        keys = {TASK_KEYS[n] for n, i in enumerate(self.ids) if i in self.due()} - {None}
        return self.due() | {i for n, i in enumerate(self.ids) if TASK_KEYS[n] in keys} & self.judged()

    def reopen_judged_by(self, source):
        self.seen -= {i for i, rows in self.reports.items() if source in {row[0] for row in rows}}

    def forget(self, run):
        episode = self.episode_of(run)
        gone = {episode, *(r for r, e in self.alias.items() if e == episode)}
        self.erased |= gone
        self.known.discard(episode)
        self.seen.discard(episode)
        for i in gone:
            self.reports.pop(i, None)
            self.alias.pop(i, None)


class History(RuleBasedStateMachine):
    """Whatever may happen to three episodes, on a ledger that crashes."""

    def __init__(self, new_url):
        super().__init__()
        self.url = new_url()
        self.opened, self.model, self.calls, self.read = [], Model(), [], {}
        self.crash()

    @property
    def ledger(self):
        return self.opened[-1]

    def id_of(self, n, *, by_run):
        return (self.model.runs if by_run else self.model.ids)[n]

    @initialize(reports=st.tuples(REPORTS, REPORTS))
    def begin(self, reports):
        for n, report in enumerate(reports):
            self.save(n, status="running", resumed=False)
            self.deliver(n, by_run=False, report=report)

    @rule(n=NUMBERS, status=st.sampled_from(["running", "ok"]), resumed=st.booleans())
    def save(self, n, status, resumed):
        run_ids = (self.model.runs[n],) if resumed else ()
        self.ledger.save_episode(
            Episode(id=self.model.ids[n], task=f"t{n}", task_key=TASK_KEYS[n], status=status, run_ids=run_ids, started_at=EARLY)
        )
        self.model.save(n, resumed=resumed)

    @rule(n=NUMBERS, by_run=st.booleans(), report=REPORTS)
    def deliver(self, n, by_run, report):
        self.calls.append((n, by_run, report))
        run = self.id_of(n, by_run=by_run)
        refused = self.model.refuses(run)
        try:
            tell(self.ledger, run, **report)
        except EpisodeErased:
            assert refused
        else:
            assert not refused
            self.model.report(run, **report)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def deliver_again(self, data):
        self.deliver(*data.draw(st.sampled_from(self.calls)))

    @rule(source=st.sampled_from(sorted(RANKS)))
    def revoke(self, source):
        assert set(self.ledger.revoke_source(source)) <= self.model.known
        self.model.revoked.add(source)
        self.model.reopen_judged_by(source)

    @precondition(lambda self: self.model.revoked)
    @rule(data=st.data())
    def trust(self, data):
        source = data.draw(st.sampled_from(sorted(self.model.revoked)))
        self.ledger.trust_source(source)
        self.model.revoked.discard(source)
        self.model.reopen_judged_by(source)

    @rule()
    def reflect(self):
        self.begin_a_reflection()
        self.end_a_reflection()

    @rule()
    def begin_a_reflection(self):
        self.read = {r.episode.id: (r, self.model.counting(r.episode.id)) for r in self.ledger.rollouts()}

    @precondition(lambda self: self.read)
    @rule()
    def end_a_reflection(self):
        report = ReflectionReport(id=f"R-{uuid4().hex}")
        closing = Closing(report=report, namespace=self.ledger.namespace, seen=[rollout for rollout, _ in self.read.values()])
        self.ledger.append_revisions([], closing=closing)
        self.model.seen |= {i for i, (_, was) in self.read.items() if i in self.model.known and self.model.counting(i) == was}

    @precondition(lambda self: len(self.calls) > 3)
    @rule(n=NUMBERS, by_run=st.booleans())
    def forget(self, n, by_run):
        run = self.id_of(n, by_run=by_run)
        is_there = self.model.episode_of(run) in self.model.known or bool(self.model.reports.get(self.model.episode_of(run)))
        is_there = is_there or self.model.refuses(run)  # forgotten already, which may be told twice
        try:
            self.ledger.forget(episode=run)
        except EpisodeNotFound:
            assert not is_there
        else:
            assert is_there
            self.model.forget(run)

    @rule(n=NUMBERS, report=REPORTS, erases=st.booleans())
    def another_namespace_uses_the_same_ids(self, n, report, erases):
        theirs, run = ("theirs",), self.model.ids[n]
        tell(self.ledger, run, **report, namespace=theirs)
        self.ledger.revoke_source(report["source"], namespace=theirs)
        if erases and len(self.calls) > 3 and self.ledger.outcomes(run, namespace=theirs):
            self.ledger.forget(episode=run, namespace=theirs)
        self.ledger.trust_source(report["source"], namespace=theirs)

    @rule()
    def crash(self):
        self.opened.append(Ledger(self.url, durability="fast"))

    @invariant()
    def the_ledger_says_what_the_model_says(self):
        model, rollouts = self.model, self.ledger.rollouts()
        for run in (*model.ids, *model.runs):
            kept = {(o.source, o.key): ((o.observed_at - EARLY) // timedelta(hours=1), o.reward) for o in self.ledger.outcomes(run)}
            assert kept == model.counting(run)
        assert {r.episode.id: r.reward for r in rollouts} == {i: model.resolved(i) for i in model.judged()}
        assert self.ledger.due() == len(model.due())
        assert {r.episode.id for r in self.ledger.rollouts(unreflected=True, trajectories=False)} == model.unreflected()

    def teardown(self):
        try:
            assert self.ledger.verify() == []
        finally:
            for ledger in self.opened:
                ledger.close()


def tell(ledger, run, *, source, key, at, reward, **where):
    named = {"source": source, "key": key, "observed_at": EARLY + timedelta(hours=at), **where}
    try:
        if reward is None:
            ledger.retract_outcome(run, **named)
        else:
            ledger.record_outcome(run, reward=reward, **named)
    except EpisodeErased:
        if not where:
            raise


def test_any_history_of_a_file_is_that_of_the_model(tmp_path):
    Ledger(tmp_path / "empty.db", durability="fast").close()
    numbers = count()

    def new_url():
        return f"sqlite:///{shutil.copy(tmp_path / 'empty.db', tmp_path / f'{next(numbers)}.db')}"

    run_state_machine_as_test(lambda: History(new_url), settings=settings(SAME, max_examples=25, stateful_step_count=20))


def test_any_history_of_a_server_is_that_of_the_model(postgres):
    def new_url():
        return postgres.create(f"t{uuid4().hex}", template="reflect_template")

    run_state_machine_as_test(lambda: History(new_url), settings=settings(SAME, max_examples=5, stateful_step_count=20))


EVENTS = st.lists(
    st.one_of(
        st.tuples(NUMBERS, st.booleans(), REPORTS),
        st.tuples(NUMBERS, st.booleans(), st.none()),  # an episode arrives, perhaps with the run that resumed it
    ),
    min_size=2,
    max_size=12,
)


def fold(ledger, namespace, events):
    """The state after these events, and after all episodes have arrived at last."""
    ids, runs = ([uuid4() for _ in TASK_KEYS] for _ in range(2))
    for n, flag, report in (*events, *((n, True, None) for n in range(len(TASK_KEYS)))):
        if report is None:
            run_ids = (runs[n],) if flag else ()
            ledger.save_episode(Episode(id=ids[n], namespace=namespace, task="t", task_key=TASK_KEYS[n], run_ids=run_ids))
        else:
            tell(ledger, (runs if flag else ids)[n], **report, namespace=namespace)
    due = {r.episode.id for r in ledger.rollouts(namespace=namespace, unreflected=True)}
    rewards = {r.episode.id: r.reward for r in ledger.rollouts(namespace=namespace)}
    said = [[(o.source, o.key, o.observed_at, o.reward) for o in ledger.outcomes(i, namespace=namespace)] for i in ids]
    return [(said[n], rewards.get(i), i in due) for n, i in enumerate(ids)]


def test_any_order_of_the_same_events_gives_the_same_state(either):
    names = (f"n{n}" for n in count())

    @settings(SAME, max_examples=12 if either.url.get_backend_name() == "sqlite" else 5)
    @given(events=EVENTS, data=st.data())
    def check(events, data):
        orders = (events, data.draw(st.permutations(events)), [*events, *events[::-1]])
        states = [fold(either, (next(names),), order) for order in orders]
        assert states[0] == states[1], "another order"
        assert states[0] == states[2], "everything twice"

    check()
    assert either.verify() == []
