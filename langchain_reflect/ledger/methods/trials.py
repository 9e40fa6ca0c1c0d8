"""Methods about what chance decided and what came of it."""

from langchain_reflect.ledger import trial_rows
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.ledger.trial_rows import TrialRows
from langchain_reflect.types import Namespace


class TrialMethods(Methods):
    """Read the evidence about lessons."""

    def trial_rows(self, *, namespace: Namespace | None = None, graph: str | None = None) -> TrialRows:
        """The episodes in which chance decided about lessons, with their rewards and exposures, in columns.

        Args:
            namespace: Default all.
            graph: Default all.
        """
        return self._read(trial_rows.read, None if namespace is None else self._space(namespace), graph)
