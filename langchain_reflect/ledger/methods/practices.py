"""Methods about practices: what they need to go on after a crash."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import outcomes, practices
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.types import Namespace, Practice, PracticeRun, ReflectionReport


class PracticeMethods(Methods):
    """Keep practices. `practice` writes them; a name belongs to one namespace, by default the ledger's own."""

    def begin_practice(
        self, name: str, *, digest: str, fresh: bool = False, lease: timedelta | None = None, namespace: Namespace | None = None
    ) -> Practice:
        """Go on with the practice of this name, or begin it; whoever had begun it before cannot write to it any more.

        Args:
            name: Identifies it.
            digest: Of what is practised.
            fresh: Forget what is noted under this name; its episodes and lessons stay.
            lease: How long its episodes are left to it after its process was last heard of, see `renew_practice`; None: until it is
                finished, or released.
            namespace: Of the name.

        Raises:
            InvalidInput: The name stands for a practice with another digest, or is no name.
        """
        return self._write(practices.begin, self._space(namespace), outcomes.name_of("name", name), digest, fresh=fresh, lease=lease)

    def reserve(self, practice: Practice, *, treated: Collection[UUID] = (), controls: Collection[UUID] = ()) -> None:
        """Keep episodes that are about to begin for the practice's own reflection, and those of control arms from all of them."""

        def put(connection: Connection) -> None:
            practices.reserve(connection, practice.id, treated, lasting=False)
            practices.reserve(connection, practice.id, controls, lasting=True)

        self._write(put)

    def keep_practice_run(self, practice: Practice, run: PracticeRun, outcome: OutcomeFields | None = None, *, seconds: float) -> None:
        """Note a finished run, and what was said of its episode, in one transaction.

        Args:
            practice: As it was begun.
            run: The run.
            outcome: As for `record_outcome`; None: nothing was said.
            seconds: How long the practice has run.

        Raises:
            ClaimLost: Somebody else goes on with the practice.
            InvalidInput: The outcome cannot be meant.
        """
        judged = []
        if outcome is not None:
            if run.episode_id is None:
                raise InvalidInput(f"the run {run.key!r} has no episode that an outcome could be about")
            told = outcomes.redacted(outcomes.validated(run.episode_id, outcome), self._redact)
            judged = [(self._space(outcome.get("namespace")), told)]
        self._write(practices.keep, practice, [run], judged, seconds=seconds)

    def keep_practice_runs(self, practice: Practice, runs: Sequence[PracticeRun], *, seconds: float) -> None:
        """Note finished runs that leave no episode."""
        self._write(practices.keep, practice, runs, [], seconds=seconds)

    def note_practice(self, practice: Practice) -> None:
        """Write its body, state and time.

        Raises:
            ClaimLost: Somebody else goes on with it.
        """
        self._write(practices.note, practice)

    def renew_practice(self, practice: Practice) -> None:
        """Note that the process of a practice lives.

        Raises:
            ClaimLost: Somebody else goes on with it.
        """
        self._write(practices.renew, practice)

    def undo_practice_epoch(self, practice: Practice, epoch: int) -> None:
        """Forget the runs of an epoch, so that they are made again."""
        self._write(practices.undo_epoch, practice, epoch)

    def practice_runs(self, practice_id: str) -> list[PracticeRun]:
        """The finished runs of a practice."""
        return self._read(practices.runs_of, practice_id)

    def practice_reports(self, practice_id: str) -> list[ReflectionReport]:
        """Reports of the reflections that read one of its rollouts, oldest first."""
        return self._read(practices.reports_of, practice_id)

    def practices(self, name: str | None = None, *, namespace: Namespace | None = None) -> list[Practice]:
        """Practices of a namespace, the last changed first; with a name, that one."""
        return self._read(practices.find, self._space(namespace), name)

    def reclaim_practice(self, practice: Practice) -> int:
        """Take the jobs of its rollouts back from a process that died; returns how many."""
        return self._write(practices.reclaim, practice.id)

    def release_practice(self, name: str, *, namespace: Namespace | None = None) -> bool:
        """Let every reflection take the rollouts of a practice that nobody will go on with; returns whether there is one."""
        return self._write(practices.end, self._space(namespace), name)
