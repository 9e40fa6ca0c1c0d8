"""Methods that keep the record itself in order: forget, backup, verify."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Unpack
from uuid import UUID

from sqlalchemy import Connection
from typing_extensions import TypedDict

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import backups, erasure, outcomes, tombs, verification
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.types import Episode, Erased, Namespace

_ELSEWHERE: Final = (
    "backups and exports made before",
    "traces in LangSmith or another tracer, and logs of your own",
    "what a model's provider keeps of the calls",
    "checkpoints of the agent's threads",
)
_ON_A_SERVER: Final = ("the server's WAL archive, replicas and free space inside its pages until they are written over",)


class Selector(TypedDict, total=False):
    """What `forget` may be told; one of the first four."""

    episode: UUID | str | None
    source: str | None
    before: datetime | None
    lesson: str | None
    namespace: Namespace | None


class CareMethods(Methods):
    """Forget, back up, verify."""

    def forget(self, *, dry_run: bool = False, **selector: Unpack[Selector]) -> Erased:
        """Erase what one selector names, with all that was made of it, from the ledger and its files; it stays erased.

        An index that was filled from this ledger still has the vectors of erased lessons: `learner.forget` empties that too.

        Args:
            dry_run: Change nothing, and report what would go.
            **selector: `episode`: trajectory, outcomes, exposures, and lessons that rest on nothing else; `source`: all that a source ever
                said (episodes stay, and are due again if others judged them); `before`: all episodes that began before this time; or
                `lesson`: with all its revisions. `namespace`: in which, default the ledger's own.

        Raises:
            InvalidInput: None or several selectors are given, or the time has no zone.
            EpisodeNotFound: Nothing is known of the episode.
            LessonNotFound: The lesson is unknown.
        """
        space, chosen = self._space(selector.get("namespace")), _checked(selector)

        def work(connection: Connection) -> Erased:
            erased = erasure.forget(connection, space, **chosen)
            if dry_run:
                transaction = connection.get_transaction()
                assert transaction is not None, "work runs in a transaction"
                transaction.rollback()
            return erased

        erased = self._write(work)
        elsewhere = _ELSEWHERE if self._database.is_sqlite else (*_ELSEWHERE, *_ON_A_SERVER)
        left = () if dry_run else backups.scrub(self._database)
        return erased.model_copy(update={"dry_run": dry_run, "out_of_reach": (*left, *elsewhere)})

    def erased(self, episodes: Iterable[Episode]) -> set[UUID]:
        """Ids of those that were erased, and so stay out of the ledger."""
        digests = {tombs.of_episode(e.namespace, e.id): e.id for e in episodes}
        return {digests[d] for d in self._read(tombs.among, list(digests))}

    def backup(self, target: str | Path, *, overwrite: bool = False) -> Path:
        """A consistent copy of the ledger, while others go on writing: a ledger file, or for PostgreSQL an archive of `pg_dump`.

        Args:
            target: The file to write.
            overwrite: Whether it may exist.

        Returns:
            Its path.

        Raises:
            InvalidInput: The file exists.
            LedgerError: The copy could not be made; nothing is left of it.
        """
        return backups.backup(self._database, Path(target), overwrite=overwrite)

    def verify(self) -> list[str]:
        """What in the ledger contradicts itself, one line each; empty if all is well. Derived rows are derived anew and compared."""
        return self._read(verification.problems)


def _checked(selector: Selector) -> dict[str, Any]:
    """The selector, if it names one thing."""
    names = ("episode", "source", "before", "lesson")
    given: dict[str, Any] = {name: selector.get(name) for name in names}
    chosen = [name for name in names if given[name] is not None]
    if len(chosen) != 1 or set(selector) - {*names, "namespace"}:
        raise InvalidInput(f"forget needs exactly one of episode=, source=, before= and lesson=; got {', '.join(chosen) or 'none of them'}")
    if given["before"] is not None and (not isinstance(given["before"], datetime) or given["before"].tzinfo is None):
        raise InvalidInput(f"before={given['before']!r} has no time zone; expected a datetime such as datetime.now(UTC)")
    if given["episode"] is not None:
        given["episode"] = outcomes.episode_id_of(given["episode"])
    if given["source"] is not None:
        given["source"] = outcomes.name_of("source", given["source"])
    return given
