"""Reflection beside the agent: what is due is worked off whenever an outcome has come in."""

import logging
from collections.abc import Callable
from typing import Final

from langchain_reflect.daemon import Daemon, Rest
from langchain_reflect.types import ReflectionReport

_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 300.0
_SHORTEST_WAIT: Final = 1.0

logger = logging.getLogger(__name__)


class BackgroundReflection(Daemon):
    """Runs a reflection soon after it was asked for.

    What is not done when the process ends stays due in the ledger. Where the model or the ledger was out of reach, it is tried again by
    itself after a while that grows.

    Args:
        reflect: Works off what is due and returns its report; its exceptions are logged.
        next_look: After a run, seconds until a group may be taken that cannot be taken now; None: there is none.
        pause: Seconds to wait after a poke, so that outcomes that come together are worked off together.
        exit_timeout: Most seconds that the end of the process waits.
    """

    def __init__(
        self,
        reflect: Callable[[], ReflectionReport],
        *,
        next_look: Callable[[], float | None] = lambda: None,
        pause: float = 0.2,
        exit_timeout: float = 30.0,
    ) -> None:
        late = "reflection was not done in time; the outcomes stay due, and the next process takes them"
        super().__init__("reflect-background", pause=pause, exit_timeout=exit_timeout, late=late)
        self._reflect = reflect
        self._next_look = next_look
        self._failures = 0

    def _work(self) -> Rest:
        quiet = 0.0
        try:
            report = self._reflect()
            quiet = self._backoff(report.retry_after) if report.outages else 0.0
            look = self._next_look()
        except Exception:
            logger.exception("reflection in the background failed; the outcomes stay due, and it is tried again later")
            look = quiet = self._backoff(None)
        self._failures = self._failures + 1 if quiet else 0
        return Rest(quiet=quiet, again=None if look is None else max(look, _SHORTEST_WAIT))

    def _backoff(self, retry_after: float | None) -> float:
        return max(retry_after or 0.0, min(_FIRST_WAIT * float(2**self._failures), _LONGEST_WAIT))
