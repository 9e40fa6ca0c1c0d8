"""Looks at the evidence beside the agent, so seldom that it takes less than a twentieth of the time."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from langchain_reflect.daemon import Daemon, Rest

logger = logging.getLogger(__name__)
SHARE: Final = 0.05
"""Most of the time that looking may take."""
_EXIT_TIMEOUT: Final = 10.0


class BackgroundCredit(Daemon):
    """Looks at the evidence some time after it was asked to.

    After a look that took one second the next one begins nineteen seconds later at the earliest, however many outcomes come in. `flush`
    looks at once, if something came in since. What is not looked at when the process ends is looked at by the next one: nothing is lost,
    because credit is computed from the ledger.

    Args:
        look: Looks; its exceptions are logged.
        pause: Least seconds between a poke and the look, so that outcomes that come together are seen together.
    """

    def __init__(self, look: Callable[[], Any], *, pause: float = 1.0) -> None:
        super().__init__("reflect-credit", pause=pause, exit_timeout=_EXIT_TIMEOUT)
        self._look = look

    def look_if_affordable(self, *, apart: float = 1.0) -> None:
        """Look now, in this thread, unless another look was so lately that both would take more than their share of the time.

        Args:
            apart: Least seconds after the end of the last look.
        """
        self.work_here(apart=apart)

    def _work(self) -> Rest:
        began = time.monotonic()
        try:
            self._look()
        except Exception:
            logger.exception("the evidence about lessons could not be looked at; it is tried again after the next outcome")
        return Rest(pause=(time.monotonic() - began) * (1 / SHARE - 1))
