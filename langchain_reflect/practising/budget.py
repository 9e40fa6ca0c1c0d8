"""What a practice may spend, and what it costs in money. Pure."""

from dataclasses import dataclass

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import Usage

_MILLION = 1_000_000


class BudgetSpent(InterruptedError):
    """No further run may begin; a gate that is stopped by it leaves its group due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of a whole practice, with all processes that worked on it. Looked at before each run and each reflection.

    What has begun is finished, so a practice may end above its limits: by the runs that were under way, or by one reflection.

    Raises:
        InvalidInput: A limit is not positive.
    """

    calls: int | None = None
    """Model calls of agent, gate and reflection together; calls of a verifier are not counted."""
    tokens: int | None = None
    """Tokens in and out, as the provider reports them."""
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"Budget({name}={value!r}); expected more than 0, or None for no limit")

    def spent_by(self, usage: Usage, seconds: float) -> str | None:
        """Which limit is reached, in words; None: none.

        Args:
            usage: So far.
            seconds: So far.
        """
        used = {"calls": usage.calls, "tokens": usage.tokens_in + usage.tokens_out, "seconds": seconds}
        reached = [n for n, value in used.items() if (limit := getattr(self, n)) is not None and value >= limit]
        return f"budget: {used[reached[0]]:,.0f} of {getattr(self, reached[0]):,.0f} {reached[0]} are spent" if reached else None


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost; the agent and the reflecting model are counted alike."""

    tokens_in: float
    tokens_out: float
    currency: str = "USD"

    def of(self, usage: Usage) -> float:
        """What was spent.

        Args:
            usage: Tokens in and out.
        """
        return (usage.tokens_in * self.tokens_in + usage.tokens_out * self.tokens_out) / _MILLION
