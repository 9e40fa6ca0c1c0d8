"""A namespace is a name and nothing else: nothing of another one is ever told or changed, and its ids answer like unknown ones.

Every public method of `Ledger` is named here. A new one fails `test_every_public_method_is_accounted_for` until it is looked at.
"""

import asyncio
import inspect
import shutil
import typing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import select

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import Ledger, tables
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import SERVABLE, Episode, Exposure, Lesson, ReflectionReport, Review, Revision, Rollout, RolloutGroup, Step

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [
    *(("*",), ("%",), ("_",), ("a",), ("A",), ("\u0430",), ("ab",), ("a_b",), ("a%",), ("a-b",), ("a.b",), ("a/b",), ("a:b",)),
    *(("a", "b"), ("a", "%"), ("a,b",), ('a","b',), ("\u00e1",), ("a\u0301",), ("..",), ("null",), ("0",), ("👩\u200d🚀",), ("default",)),
    *((" a",), ("'; DROP TABLE episodes; --",), ("x" * 256,), ("a",) * 16),
]
REFUSED = {
    "newline": ("a\n",),
    "NUL": ("a\0",),
    "paragraph": ("a\u2029",),
    "surrogate": ("\ud800",),
    "no part": (),
    "empty part": ("a", ""),
    "blank part": (" ",),
    "257 bytes": ("\u00e1" * 128 + "x",),
    "10 kB": ("x" * 10_000,),
    "17 parts": ("a",) * 17,
    "dict": {"$ne": "a"},
    "dict inside": ({"$ne": "a"},),
    "None inside": ("a", None),
    "number inside": (0,),
    "tuple inside": (("a",),),
    "list": ["a"],
    "text": "a",
    "bytes": b"a",
    "number": 0,
    "False": False,
    "driver's words": ("database is locked\n",),
}


@dataclass
class Ids:
    """What one namespace has, or ids that nobody has."""

    episode: UUID = field(default_factory=uuid4)
    run: UUID = field(default_factory=uuid4)
    lesson: str = field(default_factory=lambda: f"L-{uuid4().hex}")
    reflection: str = field(default_factory=lambda: f"R-{uuid4().hex}")
    review: str = field(default_factory=lambda: f"V-{uuid4().hex}")
    job: str = field(default_factory=lambda: f"J-{uuid4().hex}")
    task: str = "of nobody"

    def marks(self):
        return {str(v) for v in vars(self).values()}

    def hidden(self, text):
        """The text, with roles in place of ids."""
        for name, value in vars(self).items():
            text = text.replace(str(value), f"<{name}>")
        return text


def an_episode(ids, space, **fields):
    return Episode(id=ids.episode, namespace=space, task=ids.task, started_at=EARLY, **fields)


def a_lesson(ids, space, revision=1):
    lesson = Lesson(
        id=ids.lesson,
        namespace=space,
        when="a flight moves",
        do=f"ask {ids.lesson}",
        revision=revision,
        evidence=(ids.episode,),
        created_at=EARLY,
        updated_at=EARLY,
    )
    return Revision(lesson=lesson, kind="add" if revision == 1 else "revise", actor="human", at=EARLY)


def a_review(ids, space, **fields):
    return Review(id=ids.review, namespace=space, kind="edit", lessons=(ids.lesson,), actor=ids.reflection, at=EARLY, **fields)


def a_rollout(ids, space, outcomes=()):
    return Rollout(episode=an_episode(ids, space), outcomes=tuple(o.model_copy(update={"episode_id": ids.episode}) for o in outcomes))


def a_group(ids, space):
    return RolloutGroup(key="k", namespace=space, graph="agent", task="t", rollouts=(a_rollout(ids, space),))


def furnish(ledger, space):
    """Give a namespace one of everything: a judged episode that was reflected on, a parked job, a lesson with its vectors."""
    ids = Ids(task=f"task of {uuid4().hex}")
    step = Step(kind="tool", name="search")
    exposure = Exposure(episode_id=ids.episode, lesson_id=ids.lesson, revision=1, shown=True, probability=0.5, unit="u")
    ledger.save_episode(an_episode(ids, space, thread_id="1", metadata={"ticket": "T-1"}, run_ids=(ids.run,), steps=(step,)), [exposure])
    ledger.record_outcome(ids.episode, reward=0, source="shared", key="e1", observed_at=EARLY, namespace=space)
    assert ledger.plan([a_group(ids, space)]) == 1
    (job,) = ledger.claim("worker", namespace=space)
    rollouts = ledger.rollouts(namespace=space)
    ending = Ending(Claim(job.id, job.fence), "parked", problem="nonsense")
    closing = Closing(ReflectionReport(id=ids.reflection), namespace=space, endings=[ending], seen=rollouts, replies=[ids.task])
    revision = a_lesson(ids, space)
    ledger.append_revisions([revision], asked=[a_review(ids, space)], closing=closing)
    ledger.put_vectors("E", {revision.lesson.key_text(): np.ones(2, np.float32)})
    ledger.steer("paused", space, "agent", by="dana", reason=ids.task)
    ledger.begin_practice(ids.task, digest="d", namespace=space)
    return replace(ids, job=job.id)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def furnished(request, tmp_path_factory):
    """How to get a new copy of a ledger in which each namespace has one of everything, and the ids by namespace."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("namespaces")
        url, copy = f"sqlite:///{folder / 'all.db'}", lambda: f"sqlite:///{shutil.copy(folder / 'all.db', folder / f'{uuid4().hex}.db')}"
    else:
        server, name = request.getfixturevalue("postgres"), f"t{uuid4().hex}"
        url, copy = server.create(name, template="reflect_template"), lambda: server.create(f"t{uuid4().hex}", template=name)
    with Ledger(url, durability="fast") as ledger:
        ids = {space: furnish(ledger, space) for space in NAMES}
    return copy, ids


@pytest.fixture
def world(furnished):
    copy, ids = furnished
    with Ledger(copy(), durability="fast", patience=5) as ledger:
        yield ledger, ids


def dump(ledger):
    """All rows of all tables."""
    kinds = [t for t in tables.metadata.sorted_tables if t.name not in {"meta", "schema_migrations"}]
    return ledger._read(lambda c: {(t.name, *map(str, row)) for t in kinds for row in c.execute(select(t))})


# By id: what is asked or told of an id, in a namespace. Each must treat a foreign id as one that nobody has.


def seen_of(ledger, ids):
    """The outcomes of an id in whatever namespace it is of."""
    return [o for space in NAMES for o in ledger.outcomes(ids.episode, namespace=space)]


BY_ID = {
    "episode": [
        lambda ledger, space, x: ledger.episode(x.episode, namespace=space),
        lambda ledger, space, x: ledger.episode(str(x.run), namespace=space),
    ],
    "outcomes": [
        lambda ledger, space, x: ledger.outcomes(x.episode, namespace=space),
        lambda ledger, space, x: ledger.outcomes(x.run, namespace=space),
    ],
    "exposures": [
        lambda ledger, space, x: ledger.exposures(episode_id=x.episode, namespace=space),
        lambda ledger, space, x: ledger.exposures(lesson_id=x.lesson, namespace=space),
    ],
    "record_outcome": [
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, strict=True, namespace=space),
        lambda ledger, space, x: ledger.record_outcome(x.run, reward=1, observed_at=EARLY, namespace=space),
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, source="shared", key="e1", observed_at=EARLY, namespace=space),
        lambda ledger, space, x: ledger.outcomes(x.episode, namespace=space),
        lambda ledger, space, x: ledger.rollouts(episodes=[x.episode], namespace=space),
    ],
    "arecord_outcome": [
        lambda ledger, space, x: asyncio.run(ledger.arecord_outcome(x.episode, reward=1, observed_at=EARLY, namespace=space)),
    ],
    "record_outcomes": [
        lambda ledger, space, x: ledger.record_outcomes([(x.episode, {"feedback": "bad", "observed_at": EARLY, "namespace": space})]),
    ],
    "retract_outcome": [
        lambda ledger, space, x: ledger.retract_outcome(x.episode, source="shared", key="e1", namespace=space),
        lambda ledger, space, x: ledger.retract_outcome(x.run, source="shared", key="e1", namespace=space),
    ],
    "lesson": [lambda ledger, space, x: ledger.lesson(x.lesson, namespace=space)],
    "lessons": [lambda ledger, space, x: ledger.lessons(ids=[x.lesson], namespace=space)],
    "revisions": [lambda ledger, space, x: ledger.revisions(x.lesson, namespace=space)],
    "vectors": [lambda ledger, space, x: ledger.vectors("E", ids=[x.lesson], namespace=space)],
    "journal": [
        lambda ledger, space, x: ledger.journal(actor=x.reflection, namespace=space),
        lambda ledger, space, x: [r.lesson.id for r in ledger.journal(namespace=space) if r.lesson.id == x.lesson],
        lambda ledger, space, x: ledger.journal(after=a_lesson(x, ("default",)), namespace=space) != [],
    ],
    "reviews": [
        lambda ledger, space, x: ledger.reviews(ids=[x.review], state=None, namespace=space),
        lambda ledger, space, x: ledger.reviews(lesson_id=x.lesson, namespace=space),
    ],
    "review": [lambda ledger, space, x: ledger.review(x.review, namespace=space)],
    "decide": [
        lambda ledger, space, x: ledger.decide(a_review(x, space, state="approved", by="dana")),
        lambda ledger, space, x: ledger.decide(a_review(x, space, state="rejected", by="dana"), [a_lesson(x, space, revision=2)]),
    ],
    "is_erased": [lambda ledger, space, x: ledger.is_erased(x.lesson, namespace=space)],
    "knows_reflection": [lambda ledger, space, x: ledger.knows_reflection(x.reflection, namespace=space)],
    "reflection_replies": [lambda ledger, space, x: ledger.reflection_replies(x.reflection, namespace=space)],
    "rollouts": [lambda ledger, space, x: ledger.rollouts(episodes=[x.episode], namespace=space)],
    "claim": [lambda ledger, space, x: ledger.claim("me", episodes=[x.episode], namespace=space)],
    "free": [
        lambda ledger, space, x: ledger.free(job_ids=[x.job], namespace=space),
        lambda ledger, space, x: ledger.free(episodes=[x.episode], namespace=space),
    ],
    "plan": [lambda ledger, space, x: ledger.plan([a_group(x, space)])],
    "forget": [
        lambda ledger, space, x: ledger.forget(episode=x.episode, namespace=space),
        lambda ledger, space, x: ledger.forget(episode=x.run, namespace=space),
        lambda ledger, space, x: ledger.forget(lesson=x.lesson, namespace=space),
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, source="mine", observed_at=EARLY, namespace=space),
        lambda ledger, space, x: ledger.forget(source="mine", namespace=space),
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, observed_at=EARLY, namespace=space),
        lambda ledger, space, x: ledger.forget(episode=x.episode, namespace=space),
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, namespace=space),
    ],
    "erased": [
        lambda ledger, space, x: ledger.erased([an_episode(x, space)]),
    ],
    "append_revisions": [
        lambda ledger, space, x: ledger.append_revisions([a_lesson(x, space, revision=2)]),
        lambda ledger, space, x: ledger.append_revisions([], decided=[a_review(x, space, state="approved", by="dana")]),
        lambda ledger, space, x: ledger.append_revisions(
            [], closing=Closing(ReflectionReport(id=f"R-{uuid4().hex}"), namespace=space, seen=[a_rollout(x, space, seen_of(ledger, x))])
        ),
    ],
    "revoke_source": [
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, source="mine", observed_at=EARLY, namespace=space),
        lambda ledger, space, _: ledger.revoke_source("mine", namespace=space),
    ],
    "trust_source": [
        lambda ledger, space, x: ledger.record_outcome(x.episode, reward=1, source="mine", observed_at=EARLY, namespace=space),
        lambda ledger, space, _: ledger.trust_source("mine", namespace=space),
    ],
}

# By namespace: what a namespace has. Each must find all of its own, which these ids name, and nothing else.

BY_NAMESPACE = {
    "episodes": [
        (lambda ledger, space: [e.id for e in ledger.episodes(namespace=space)], lambda mine: [mine.episode]),
        (lambda ledger, space: [e.id for e in ledger.episodes(namespace=space, thread_id="1")], lambda mine: [mine.episode]),
        (lambda ledger, space: [e.id for e in ledger.episodes(namespace=space, metadata={"ticket": "T-1"})], lambda mine: [mine.episode]),
    ],
    "rollouts": [
        (lambda ledger, space: [r.episode.id for r in ledger.rollouts(namespace=space, below=0.5)], lambda mine: [mine.episode]),
        (lambda ledger, space: ledger.rollouts(namespace=space, unreflected=True), lambda _: []),
    ],
    "exposures": [(lambda ledger, space: [e.lesson_id for e in ledger.exposures(namespace=space)], lambda mine: [mine.lesson])],
    "lessons": [(lambda ledger, space: [x.id for x in ledger.lessons(namespace=space)], lambda mine: [mine.lesson])],
    "journal": [
        (lambda ledger, space: [r.lesson.id for r in ledger.journal(namespace=space)], lambda mine: [mine.lesson]),
        (lambda ledger, space: len(ledger.journal(namespace=space, until=datetime.now(UTC))), lambda _: 1),
        (lambda ledger, space: ledger.journal(namespace=space, after=ledger.journal(namespace=space)[-1]), lambda _: []),
    ],
    "reviews": [(lambda ledger, space: [r.id for r in ledger.reviews(namespace=space)], lambda mine: [mine.review])],
    "lesson_facts": [
        (lambda ledger, space: dict(ledger.lesson_facts(namespace=space).shown), lambda mine: {mine.lesson: 1}),
        (lambda ledger, space: dict(ledger.lesson_facts(namespace=space).judged), lambda mine: {mine.lesson: 1}),
        (lambda ledger, space: ledger.lesson_facts(namespace=space).orphans, lambda _: 0),
    ],
    "lesson_texts": [(lambda ledger, space: [x for x, _ in ledger.lesson_texts(namespace=space, statuses=SERVABLE)], lambda m: [m.lesson])],
    "lesson_vectors": [
        (lambda ledger, space: [x for x, _ in ledger.lesson_vectors("E", namespace=space, statuses=SERVABLE)], lambda mine: [mine.lesson]),
    ],
    "lessons_changed_since": [(lambda ledger, space: ledger.lessons_changed_since(0, namespace=space)[1], lambda mine: [mine.lesson])],
    "trial_rows": [(lambda ledger, space: list(ledger.trial_rows(namespace=space).spaces) == [(space, "agent")], lambda _: True)],
    "steering": [(lambda ledger, space: ledger.steering(space, "agent").reason, lambda mine: mine.task)],
    "steering_log": [(lambda ledger, space: [x.reason for x in ledger.steering_log(namespace=space)], lambda mine: [mine.task])],
    "steer": [
        (lambda ledger, space: ledger.steer("resumed", space, "agent", by="dana").graph, lambda _: "agent"),
        (lambda ledger, space: ledger.steering(space, "agent").paused, lambda _: False),
    ],
    "practices": [(lambda ledger, space: [p.name for p in ledger.practices(namespace=space)], lambda mine: [mine.task])],
    "begin_practice": [
        (
            lambda ledger, space: ledger.begin_practice(ledger.practices(namespace=space)[0].name, digest="d", namespace=space).name,
            lambda mine: mine.task,
        ),
    ],
    "release_practice": [
        (
            lambda ledger, space: ledger.release_practice(ledger.practices(namespace=space)[0].name, namespace=space),
            lambda _: True,
        ),
    ],
    "lesson_count": [(lambda ledger, space: ledger.lesson_count(namespace=space, statuses=SERVABLE), lambda _: 1)],
    "unembedded": [
        (lambda ledger, space: ledger.unembedded("another", namespace=space, statuses=SERVABLE), lambda mine: [mine.lesson]),
        (lambda ledger, space: ledger.unembedded("E", namespace=space, statuses=SERVABLE), lambda _: []),
    ],
    "vectors": [(lambda ledger, space: [v.lesson_id for v in ledger.vectors("E", namespace=space)], lambda mine: [mine.lesson])],
    "jobs": [(lambda ledger, space: [j.id for j in ledger.jobs(namespace=space)], lambda mine: [mine.job])],
    "reflection_records": [
        (lambda ledger, space: [r[0] for r in ledger.reflection_records(namespace=space)], lambda mine: [mine.reflection]),
    ],
    "seen_tasks": [(lambda ledger, space: ledger.seen_tasks(space, "agent", limit=9), lambda mine: [(mine.episode, mine.task)])],
    "is_spent": [(lambda ledger, space: ledger.is_spent(space, daily_calls=1, daily_tokens=1), lambda _: False)],
    "reflections": [(lambda ledger, space: [r.id for r in ledger.reflections(namespace=space)], lambda mine: [mine.reflection])],
    "free": [(lambda ledger, space: ledger.free(namespace=space), lambda _: 1)],
    "claim": [
        (lambda ledger, space: ledger.claim("me", limit=9, namespace=space), lambda _: []),
        (lambda ledger, space: ledger.free(namespace=space), lambda _: 1),
        (lambda ledger, space: [j.id for j in ledger.claim("me", limit=9, namespace=space)], lambda mine: [mine.job]),
    ],
    "revoke_source": [(lambda ledger, space: ledger.revoke_source("shared", namespace=space), lambda mine: [mine.episode])],
    "trust_source": [(lambda ledger, space: ledger.trust_source("shared", namespace=space), lambda mine: [mine.episode])],
    "forget": [
        (lambda ledger, space: ledger.forget(source="shared", namespace=space, dry_run=True).outcomes, lambda _: 1),
        (lambda ledger, space: ledger.forget(before=datetime.now(UTC), namespace=space, dry_run=True).lessons, lambda m: (m.lesson,)),
    ],
}

WRITES_AN_ID = {"save_episode", "save_episodes"}
OF_ALL = {
    *(
        "next_claim",
        "orphans",
        "counts",
        "namespaces",
        "warnings",
        "close",
        "meta",
        "set_meta",
        "backup",
        "verify",
    ),  # the file, not what is in it
    *("sweep", "trim", "due", "job_counts"),  # the operator's, over all namespaces
    "lessons_version",  # of an index, which is over all namespaces and checks each hit
    *("adopt_vectors", "drop_vectors"),  # of an embedder, which is one for all
    *("missing_texts", "put_vectors", "text_vectors"),  # by text, which the caller has
    *("renew", "give_back", "drop"),  # a claim is a right that `claim` handed out
    *("reserve", "keep_practice_run", "keep_practice_runs", "note_practice", "renew_practice", "undo_practice_epoch"),  # and so is a
    *("reclaim_practice", "practice_runs", "practice_reports"),  # practice, by `begin_practice`
    "paused",  # the operator's, over all namespaces
}


def takes_a_namespace(method):
    signature = inspect.signature(method)
    hints = typing.get_type_hints(method, include_extras=True, localns={"Vector": object})
    packed = [typing.get_args(hints[p.name]) for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    return "namespace" in signature.parameters or any("namespace" in of.__annotations__ for args in packed for of in args)


PUBLIC = {name: method for name, method in inspect.getmembers(Ledger, inspect.isfunction) if not name.startswith("_")}
TAKES = {name for name, method in PUBLIC.items() if takes_a_namespace(method)}


def test_every_public_method_is_accounted_for():
    assert set(PUBLIC) == {*BY_ID, *BY_NAMESPACE, *WRITES_AN_ID, *OF_ALL}
    assert {*BY_ID, *BY_NAMESPACE} >= TAKES
    assert not TAKES & OF_ALL
    assert {"record_outcome", "forget", "claim", "lesson"} <= TAKES


def answer(call, ledger, space, ids):
    """What comes back, or is raised, with roles in place of ids."""
    try:
        found = repr(call(ledger, space, ids))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        found = f"{type(error).__name__}: {error}"
    return ids.hidden(found)


@pytest.mark.parametrize("method", sorted(BY_ID))
def test_a_foreign_id_answers_like_one_that_nobody_has_and_stays_as_it_was(world, method):
    ledger, ids = world
    before = dump(ledger)
    for mine, theirs in zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True):
        foreign, unknown = ([answer(call, ledger, mine, x) for call in BY_ID[method]] for x in (ids[theirs], Ids()))
        assert foreign == unknown, mine
    assert {row[0] for row in before - dump(ledger)} == set()
    assert ledger.verify() == []


@pytest.mark.parametrize("method", sorted(BY_NAMESPACE))
def test_a_namespace_finds_its_own_and_changes_nothing_else(world, method):
    ledger, ids = world
    for mine in NAMES:
        before = dump(ledger) if mine in NAMES[::5] else set()
        for call, wanted in BY_NAMESPACE[method]:
            assert call(ledger, mine) == wanted(ids[mine]), mine
        if before:
            changed = before - dump(ledger)
            assert all(ids[mine].marks() & set(row) for row in changed), mine
    assert ledger.verify() == []


def test_a_namespace_that_nobody_has_is_empty(world):
    ledger, _ = world
    for near in (("a", "c"), ("A", "b"), ("b",), ("__",), ("a\u200b",), ("DEFAULT",), ("x" * 255,), ("a",) * 15):
        assert ledger.episodes(namespace=near) == ledger.lessons(namespace=near) == ledger.jobs(namespace=near) == []
        assert ledger.rollouts(namespace=near) == ledger.reflections(namespace=near) == ledger.vectors("E", namespace=near) == []
    assert ledger.namespaces() == sorted(NAMES)


def test_the_id_of_a_foreign_episode_or_lesson_cannot_be_taken_over(world):
    ledger, ids = world
    before = dump(ledger)
    for mine, theirs in zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True):
        x = ids[theirs]
        exposure = Exposure(episode_id=x.episode, lesson_id="L-mine", revision=1, shown=True, probability=1)
        with pytest.raises(InvalidInput, match="give each run an id of its own"):
            ledger.save_episode(an_episode(x, mine), [exposure])
        with pytest.raises(InvalidInput, match="give each run an id of its own"):
            ledger.save_episodes([(Episode(id=uuid4(), namespace=mine, task="t"), ()), (an_episode(x, mine), ())])
        with pytest.raises(InvalidInput, match="give each lesson an id of its own"):
            ledger.append_revisions([a_lesson(x, mine)])
    assert dump(ledger) == before


def test_what_an_episode_says_of_foreign_ids_stays_its_own(world):
    ledger, ids = world
    before, mine = dump(ledger), NAMES[0]
    for theirs in NAMES[1:]:
        x = ids[theirs]
        exposure = Exposure(episode_id=x.episode, lesson_id="L-mine", revision=1, shown=True, probability=1)
        ledger.save_episode(Episode(id=uuid4(), namespace=mine, task="t", thread_id="1", run_ids=(x.episode, x.run)), [exposure])
        assert ledger.episode(x.run, namespace=theirs).id == x.episode
        assert ledger.episode(x.episode, namespace=theirs).id == x.episode
        assert [e.lesson_id for e in ledger.exposures(namespace=theirs)] == [x.lesson]
    assert before <= dump(ledger)
    assert ledger.verify() == []


def test_a_group_of_foreign_episodes_is_no_job(either):
    theirs, mine = Ids(), Ids()
    for ids, space in ((theirs, ("theirs",)), (mine, ("mine",))):
        either.save_episode(an_episode(ids, space))
        either.record_outcome(ids.episode, reward=0, namespace=space)
    assert either.plan([a_group(theirs, ("theirs",))]) == 1
    kept = either.jobs()
    assert either.plan([a_group(theirs, ("mine",))]) == 0
    mixed = RolloutGroup(
        key="k",
        namespace=("mine",),
        graph="agent",
        task="t",
        rollouts=(a_rollout(theirs, ("theirs",)), a_rollout(mine, ("mine",))),
    )
    assert either.plan([mixed]) == 1
    assert either.jobs(namespace=("theirs",)) == kept
    assert [job.episodes for job in either.jobs(namespace=("mine",))] == [(mine.episode,)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def empty(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = server.create(f"t{uuid4().hex}", template="reflect_template") if server else f"sqlite:///{folder / 'x.db'}"
    with Ledger(url, durability="fast", patience=60) as ledger:
        yield ledger


@pytest.mark.parametrize("space", REFUSED.values(), ids=REFUSED)
def test_what_is_no_namespace_is_refused_by_every_method(empty, space):
    for method in sorted(TAKES):
        by_id = [lambda call=call: call(empty, space, Ids()) for call in BY_ID.get(method, [])]
        by_namespace = [lambda call=call: call(empty, space) for call, _ in BY_NAMESPACE.get(method, [])]
        for call in (*by_id, *by_namespace):
            with pytest.raises(InvalidInput, match="namespace") as raised:
                call()
            assert len(str(raised.value)) < 600, method
    with pytest.raises(InvalidInput, match="namespace"):
        Ledger(empty.url.render_as_string(hide_password=False), namespace=space)
    assert set(empty.counts().values()) == {0}


@pytest.mark.parametrize("space", [v for k, v in REFUSED.items() if k != "list"], ids=[k for k in REFUSED if k != "list"])
def test_what_is_no_namespace_is_in_no_noun(space):
    for make in (
        lambda: an_episode(Ids(), space),
        lambda: Lesson(id="L-1", when="w", do="d", namespace=space),
        lambda: RolloutGroup(key="k", namespace=space, graph="agent", task="t", rollouts=()),
        lambda: a_review(Ids(), space),
    ):
        with pytest.raises(ValueError, match="namespace"):
            make()
