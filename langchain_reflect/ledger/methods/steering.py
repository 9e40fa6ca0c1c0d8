"""Methods about what steers recall: the kill switch and the doses."""

from collections.abc import Mapping

from pydantic import JsonValue
from sqlalchemy import Connection

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import steering
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.ledger.outcomes import name_of
from langchain_reflect.types import Namespace, Steered, Steering, SteeringKind, now

_KEPT = 4_096


class SteeringMethods(Methods):
    """Switch recall off and on, and say how many lessons runs try."""

    def steer(
        self,
        kind: SteeringKind,
        namespace: Namespace | None = None,
        graph: str = "",
        *,
        by: str,
        reason: str = "",
        body: Mapping[int, float] | None = None,
        after: int | None = None,
    ) -> Steered:
        """Add to the log; every process acts on it at its next run.

        Args:
            kind: `paused`, `resumed` or `doses`.
            namespace: Default the ledger's own.
            graph: Only this one; empty: all graphs of the namespace.
            by: Who decided.
            reason: Why.
            body: Of `doses`: how often a run is to have so many lessons, in any proportion.
            after: Number of the newest entry about the namespace that the decision knew of; if another came since that holds for the
                graph, that one stands.

        Returns:
            The entry, or the one that came in between.

        Raises:
            InvalidInput: `by` is empty, or the doses cannot be drawn from.
        """
        if kind not in ("paused", "resumed", "doses"):
            raise InvalidInput(f"kind={kind!r} is unknown: expected 'paused', 'resumed' or 'doses'.")
        told: dict[str, JsonValue] = {str(dose): share for dose, share in (body or {}).items()}
        if (kind == "doses") != (steering.doses_in(told) is not None):
            raise InvalidInput(f"body={body!r} does not fit {kind!r}: needs shares for 'doses', such as {{1: 0.5, 2: 0.5}}, else None.")
        if not by.strip():
            raise InvalidInput(f"by={by!r} is empty: expected who decided, such as a person's name.")
        entry = Steered(
            number=0,
            namespace=self._space(namespace),
            graph=graph,
            kind=kind,
            by=name_of("by", by),
            reason=self._redact(reason),
            body=told,
            at=now(),
        )
        return self._write(steering.append, entry, after)

    def steering(self, namespace: Namespace, graph: str) -> Steering:
        """What holds for a graph. Asked at each run: as long as nobody steers anything, it costs the look at one number."""
        return self._read(self._steering, self._space(namespace), graph)

    def _steering(self, connection: Connection, namespace: Namespace, graph: str) -> Steering:
        number = steering.newest(connection)
        if not number:
            return _UNSTEERED
        known = self._steered.get((namespace, graph))
        if known is None or known[0] != number:
            if len(self._steered) >= _KEPT:
                self._steered.clear()
            known = self._steered[namespace, graph] = (number, steering.of_graph(connection, namespace, graph))
        return known[1]

    def steering_log(self, *, namespace: Namespace | None = None, graph: str | None = None, limit: int | None = None) -> list[Steered]:
        """Who steered what and why, newest first.

        Args:
            namespace: Default all.
            graph: Only entries about it, empty: about all graphs at once; None: any.
            limit: Most entries.
        """
        return self._read(steering.find, namespace=namespace, graph=graph, limit=limit)

    def paused(self) -> dict[tuple[Namespace, str], Steering]:
        """Graphs that get no lessons now, with the reason; a graph `""` stands for all of its namespace that are not named otherwise."""
        log = self._read(steering.find)
        return {place: held for place, held in steering.folds(log[::-1]).items() if held.paused}


_UNSTEERED = Steering()
