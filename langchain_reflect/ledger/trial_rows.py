"""What is known of episodes in which chance decided about lessons, read in columns: a million exposures in seconds.

Rows are not made into nouns. Which outcome counts is found as in `outcomes.py` and `types.decisive`: the newest report of each source and
key, nothing of retracted or revoked ones, then the most trusted source, then the newest. Where times tie, the slow way decides.

An episode is judged once an outcome with a reward counts, whatever its status is; until then it is pending, whether it still runs, was
interrupted or abandoned. Runs inside other runs are episodes of their own, and are judged by their own outcomes only.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Text, exists, func, select, type_coerce
from sqlalchemy import cast as sql_cast

from langchain_reflect.ledger import outcomes, tables
from langchain_reflect.ledger.lessons import version_of
from langchain_reflect.types import Namespace, decisive, source_rank

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

_PAGE: Final = 300
"""Rows at a time: fewer than the 700 new objects after which Python looks for garbage, or it would look through every page in vain."""
_JUDGE: Final = source_rank("judge")


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision of a lesson that was exposed, with what a trial needs to know of it."""

    lesson_id: str
    revision: int
    kind: str
    actor: str
    reason: str
    at: str
    """ISO time in UTC."""
    body: Mapping[str, Any]
    """The lesson after it, as JSON."""


@dataclass(frozen=True, slots=True)
class TrialRows:
    """Columns; texts that repeat are numbered, and the column has their numbers."""

    version: int
    """Of the lesson book, when this was read."""
    # Episodes
    id: Sequence[str]
    """32 hexadecimal digits."""
    space: "Ints"
    group: "Ints"
    unit: "Ints"
    policy: "Ints"
    agent: "Ints"
    """-1: not known."""
    arm: "Ints"
    dose: "Ints"
    started: "Floats"
    """Seconds since 1970."""
    reward: "Floats"
    """NaN: not judged."""
    at: "Floats"
    """When the judgement that counts was made; NaN: not judged."""
    trusted: "npt.NDArray[np.bool_]"
    """Whether the judgement that counts is not a judge model's."""
    told: "Floats"
    """When it was first judged by other than a judge model, whatever became of that since; NaN: never. `at` may be dated back, this not."""
    # What the numbers stand for
    spaces: Sequence[tuple[Namespace, str]]
    """Namespace and graph."""
    policies: Sequence[str]
    arms: Sequence[str]
    agents: Sequence[Mapping[str, str]]
    """Fingerprints."""
    # Exposures
    episode: "Ints"
    """Row of the episode."""
    wording: "Ints"
    shown: "npt.NDArray[np.bool_]"
    probability: "Floats"
    tokens: "Ints"
    wordings: Sequence[tuple[str, int]]
    """Lesson and revision."""
    revisions: Sequence[RevisionRow]
    """All revisions of the lessons that were exposed, by lesson, oldest first."""


def read(connection: Connection, namespace: Namespace | None, graph: str | None) -> TrialRows:
    """The columns, of one namespace or all, of one graph or all.

    Each table is read once, in the order in which it lies, and joined here: looking rows up by random ids costs several times as much.
    """
    within = _within(namespace, graph)
    drawn = _Drawn(connection, within)
    found = _Found(connection, drawn, within)
    reward, at, trusted, told = _judged(connection, found, namespace)
    return TrialRows(
        version=version_of(connection),
        id=found.ids,
        space=found.space,
        group=found.group,
        unit=drawn.unit[found.old],
        policy=drawn.policy[found.old],
        agent=found.agent,
        arm=drawn.arm[found.old],
        dose=drawn.dose[found.old],
        started=found.started,
        reward=reward,
        at=at,
        trusted=trusted,
        told=told,
        spaces=[(tuple(json.loads(space)), name) for space, name in found.spaces],
        policies=drawn.policies,
        arms=drawn.arms,
        agents=[json.loads(text) for text in found.agents],
        episode=found.new[drawn.episode[found.kept]],
        wording=drawn.wording[found.kept],
        shown=drawn.shown[found.kept],
        probability=drawn.probability[found.kept],
        tokens=drawn.tokens[found.kept],
        wordings=drawn.wordings,
        revisions=_revisions(connection, namespace),
    )


def _within(namespace: Namespace | None, graph: str | None) -> list[ColumnElement[bool]]:
    table = tables.episodes.c
    wanted: list[ColumnElement[bool]] = [] if namespace is None else [table.namespace == namespace]
    return wanted if graph is None else [*wanted, table.graph == graph]


def _pages(connection: Connection, query: Any) -> Iterator[Sequence[Any]]:
    """Rows with plain texts and numbers, of which nothing has to be made."""
    if connection.dialect.name == "postgresql":
        yield from connection.execution_options(yield_per=_PAGE).execute(query).partitions()
        return
    with connection.execute(query) as result:
        cursor = result.cursor  # the driver's own rows, because another layer around them costs as much as reading them
        assert cursor is not None, "a query has rows"
        while page := cursor.fetchmany(_PAGE):
            yield page


def _id(connection: Connection, column: Any) -> Any:
    """An id as 32 hexadecimal digits, in either database."""
    return func.replace(sql_cast(column, Text), "-", "") if connection.dialect.name == "postgresql" else type_coerce(column, Text)


def _numbered(things: Iterable[Any], known: dict[Any, int]) -> list[int]:
    """The number of each thing; new ones get the next."""
    things = list(things)
    numbers = list(map(known.get, things))
    if None not in numbers:
        return numbers  # type: ignore[return-value]  # as has just been seen
    number = known.setdefault
    return [number(thing, len(known)) for thing in things]


class _Drawn:
    """What chance decided: columns of exposures, and what they say of their episodes."""

    def __init__(self, connection: Connection, within: Sequence[ColumnElement[bool]]) -> None:
        import numpy as np  # here, because a process that only records outcomes needs no columns

        x, e = tables.exposures.c, tables.episodes.c
        said = (x.lesson_id, x.revision, x.shown, x.probability, x.tokens, x.unit, x.policy, x.arm, x.dose)
        query = select(_id(connection, x.episode_id), *said).where(x.unit != "")
        if within:
            query = query.join(tables.episodes, e.id == x.episode_id).where(*within)
        self.rows: dict[str, int] = {}
        wordings, units, policies, arms = dict[Any, int](), dict[Any, int](), dict[Any, int](), dict[Any, int]()
        pages: list[list[Any]] = [[np.zeros(0, kind) for kind in _KINDS]]
        for page in _pages(connection, query):
            ids, lessons, revisions, shown, probability, tokens, unit, policy, arm, dose = zip(*page, strict=True)
            told = (_numbered(ids, self.rows), _numbered(zip(lessons, revisions, strict=True), wordings), shown, probability, tokens)
            drawn = (_numbered(unit, units), _numbered(policy, policies), _numbered(arm, arms), dose)
            pages.append([np.array(values, kind) for values, kind in zip((*told, *drawn), _KINDS, strict=True)])
        columns = [np.concatenate(parts) for parts in zip(*pages, strict=True)]
        self.episode, self.wording, self.shown, self.probability, self.tokens = columns[:5]
        self.unit, self.policy, self.arm, self.dose = _agreed(self.episode, columns[5:], len(self.rows))
        self.wordings, self.policies, self.arms = list(wordings), list(policies), list(arms)


_KINDS: Final = ("i8", "i8", "?", "f8", "i8", "i8", "i8", "i8", "i8")


def _agreed(episode: "Ints", columns: Sequence["Ints"], count: int) -> list["Ints"]:
    """For each episode what its exposures say alike; of those that do not agree, the least."""
    import numpy as np  # as in `_Drawn`

    agreed = []
    for column in columns:
        one = np.zeros(count, np.int64)
        one[episode] = column
        wrong = one[episode] != column
        if wrong.any():
            np.minimum.at(one, episode[wrong], column[wrong])
        agreed.append(one)
    return agreed


class _Found:
    """Columns of the episodes that exposures belong to."""

    def __init__(self, connection: Connection, drawn: _Drawn, within: Sequence[ColumnElement[bool]]) -> None:
        import numpy as np  # as in `_Drawn`

        spaces, groups, agents = dict[Any, int](), dict[Any, int](), dict[Any, int]()
        self.ids: list[str] = []
        self.names: list[str] = []
        """Namespace of each, as text."""
        pages: list[list[Any]] = [[np.zeros(0, np.int64) for _ in range(4)]]
        started: list[str] = []
        for page in _pages(connection, _episode_query(connection, within)) if drawn.rows else ():
            mine = [row for row in page if row[0] in drawn.rows]
            if not mine:
                continue
            ids, names, graphs, keys, tasks, lengths, begun, told = zip(*mine, strict=True)
            place = _numbered(zip(names, graphs, strict=True), spaces)
            same = (
                (where, *((key,) if key is not None else (task, n)))
                for where, key, task, n in zip(place, keys, tasks, lengths, strict=True)
            )
            columns = (
                [drawn.rows[i] for i in ids],
                place,
                _numbered(same, groups),
                [agents.setdefault(t, len(agents)) if t else -1 for t in told],
            )
            pages.append([np.array(column, np.int64) for column in columns])
            self.ids += ids
            self.names += names
            started += begun
        self.old, self.space, self.group, self.agent = (np.concatenate(parts) for parts in zip(*pages, strict=True))
        self.started = _seconds(started)
        self.spaces, self.agents = list(spaces), list(agents)
        self.new = np.full(len(drawn.rows), -1)
        self.new[self.old] = np.arange(len(self.old))
        self.kept = self.new[drawn.episode] >= 0


def _episode_query(connection: Connection, within: Sequence[ColumnElement[bool]]) -> Any:
    e = tables.episodes.c
    length = func.length(e.task)
    ends = func.substr(e.task, 1, 200).concat(func.substr(e.task, length - 200))  # whole tasks may have megabytes
    told = [type_coerce(c, Text) for c in (e.namespace, e.graph, e.task_key)]
    rest = [type_coerce(c, Text) for c in (e.started_at, e.fingerprint)]
    return select(_id(connection, e.id), *told, ends, length, *rest).where(*within)


def _judged(connection: Connection, found: _Found, namespace: Namespace | None) -> tuple[Any, Any, Any, Any]:
    """Reward, time and trust of the outcome that counts, and when there was first one that could decide something, for each episode."""
    import numpy as np  # as in `_Drawn`

    count = len(found.ids)
    reports = _Reports(connection, found, namespace)
    row, place, ties = reports.decisive()
    reward, at, trusted = np.full(count, np.nan), np.full(count, np.nan), np.ones(count, np.bool_)
    reward[row], at[row], trusted[row] = reports.reward[place], reports.time[place] / 1e6, reports.rank[place] != _JUDGE
    for tie, outcome in _slowly(connection, {UUID(found.ids[tie]): tie for tie in ties}):
        reward[tie], at[tie] = outcome.reward, outcome.observed_at.timestamp()
        trusted[tie] = source_rank(outcome.source) != _JUDGE
    return reward, at, trusted, reports.told


class _Reports:
    """Columns of what was said of the episodes, without what revoked sources said."""

    def __init__(self, connection: Connection, found: _Found, namespace: Namespace | None) -> None:
        import numpy as np  # as in `_Drawn`

        o, sources, keys = tables.outcomes.c, dict[Any, int](), dict[Any, int]()
        columns = (
            type_coerce(o.namespace, Text),
            o.source,
            o.key,
            type_coerce(o.observed_at, Text),
            o.reward,
            o.retracted,
            type_coerce(o.recorded_at, Text),
        )
        where = [] if namespace is None else [o.namespace == namespace]
        rows = dict(zip(found.ids, range(len(found.ids)), strict=True))
        pages: list[list[Any]] = [[np.zeros(0, kind) for kind in ("i8", "i8", "i8", "i8", "f8", "?", "i8")]]
        for page in _pages(connection, select(_id(connection, o.episode_id), *columns).where(*where)) if rows else ():
            ids, spaces, by, key, times, rewards, retracted, recorded = zip(*page, strict=True)
            row = np.array([rows.get(i, -1) for i in ids])
            mine = row >= 0
            mine[mine] = [spaces[n] == found.names[row[n]] for n in np.flatnonzero(mine).tolist()]
            source = np.array(_numbered(zip(spaces, by, strict=True), sources), np.int64)
            said = (_microseconds(times), np.array(rewards, "f8"), np.array(retracted, "?"), _microseconds(recorded))
            pages.append([column[mine] for column in (row, source, np.array(_numbered(key, keys)), *said)])
        whole = (np.concatenate(parts) for parts in zip(*pages, strict=True))
        self.row, self.source, self.key, self.time, self.reward, self.retracted, heard = whole
        self.rank = np.array([source_rank(source) for _, source in sources], np.int64)[self.source]
        decides = ~np.isnan(self.reward) & (self.rank != _JUDGE)
        self.told = np.full(len(found.ids), np.nan)
        np.fmin.at(self.told, self.row[decides], heard[decides] / 1e6)
        r = tables.revoked_sources.c
        revoked = set(map(tuple, connection.execute(select(type_coerce(r.namespace, Text), r.source))))
        self._keep(~np.array([pair in revoked for pair in sources], np.bool_)[self.source])

    def _keep(self, kept: Any) -> None:
        for name in ("row", "source", "key", "time", "reward", "retracted", "rank"):
            setattr(self, name, getattr(self, name)[kept])

    def decisive(self) -> tuple["Ints", "Ints", Sequence[int]]:
        """Rows of episodes, the place of the report that counts for each, and the rows for which times alone do not tell."""
        import numpy as np  # as in `_Drawn`

        newest, in_slot = _last((self.row, self.source, self.key), (self.time,))
        said = newest[~self.retracted[newest] & ~np.isnan(self.reward[newest])]
        best, among = _last((self.row[said],), (-self.rank[said], self.time[said]))
        ties = np.union1d(self.row[in_slot], self.row[said][among])
        best = said[best]
        best = best[~np.isin(self.row[best], ties)]
        return self.row[best], best, ties.tolist()


def _last(groups: Sequence["Ints"], order: Sequence["Ints"]) -> tuple["Ints", "Ints"]:
    """Place of the last of each group, and places of those that tie with the last.

    Args:
        groups: Columns that tell groups apart.
        order: What sorts within a group, the weightiest first.
    """
    import numpy as np  # as in `_Drawn`

    columns = [*groups, *order]
    places = np.lexsort(columns[::-1])
    if not len(places):
        return places, places
    ends = np.append(_differs(groups, places), np.True_)
    alike = np.append(~_differs(columns, places), np.False_)
    last = np.flatnonzero(ends)
    tied = last[(last > 0) & alike[last - 1]]
    return places[last], places[tied]


def _differs(columns: Sequence["Ints"], places: "Ints") -> Any:
    """Whether each but the last differs from the next in some column."""
    import numpy as np  # as in `_Drawn`

    return np.logical_or.reduce([column[places][1:] != column[places][:-1] for column in columns])


def _slowly(connection: Connection, rows: Mapping[UUID, int]) -> Iterator[tuple[int, Any]]:
    for episode_id, given in outcomes.by_episode(connection, list(rows)).items():
        if (best := decisive(given)) is not None:
            yield rows[episode_id], best


def _revisions(connection: Connection, namespace: Namespace | None) -> list[RevisionRow]:
    table, known = tables.revisions.c, tables.lessons.c
    mine = exists().where(known.id == table.lesson_id, *([] if namespace is None else [known.namespace == namespace]))
    seen = exists().where(tables.exposures.c.lesson_id == table.lesson_id, tables.exposures.c.unit != "")
    said = (table.lesson_id, table.revision, table.kind, table.actor, table.reason, type_coerce(table.at, Text), table.body)
    query = select(*said).where(mine, seen).order_by(table.lesson_id, table.revision)
    return [RevisionRow(*row) for row in connection.execute(query)]


def _seconds(times: Sequence[str]) -> "Floats":
    """Since 1970."""
    seconds: Floats = _microseconds(times) / 1e6
    return seconds


def _microseconds(times: Sequence[str]) -> "Ints":
    import numpy as np  # as in `_Drawn`

    return np.array([text[:26] for text in times], "datetime64[us]").astype(np.int64)
