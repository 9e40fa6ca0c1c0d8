"""What all nouns stand on: namespaces, time, cost."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from langchain_reflect.errors import InvalidInput, shown

_NAMESPACE_PARTS: Final = 16


_NAMESPACE_BYTES: Final = 256


def check_namespace(value: object) -> tuple[str, ...]:
    """The value, if it is a namespace: 1 to 16 texts of 1 to 256 bytes without control characters.

    A part is a name and nothing else: `*`, `%` and `_` mean themselves, and names that look alike but differ are different.

    Raises:
        InvalidInput: It is none.
    """
    expected = "expected a tuple of 1 to 16 texts such as ('acme', 'support')"
    if not isinstance(value, tuple) or not 1 <= len(value) <= _NAMESPACE_PARTS:
        raise InvalidInput(f"namespace {shown(value, 200)} cannot be used; {expected}")
    for part in value:
        if not isinstance(part, str) or not part.strip():
            raise InvalidInput(f"namespace {shown(value, 200)} has the part {shown(part)}; {expected}, none of them empty")
        if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in part):
            raise InvalidInput(f"namespace part {part!r:.80} has control characters; {expected}")
        if len(part.encode()) > _NAMESPACE_BYTES:
            raise InvalidInput(f"namespace part {part!r:.80} has {len(part.encode())} bytes; expected at most {_NAMESPACE_BYTES}")
    return value


Namespace = Annotated[tuple[str, ...], AfterValidator(check_namespace)]
"""Whose lessons these are, outermost first, for example `("acme", "support")`. Compared by equality only, never by prefix."""


def now() -> datetime:
    """The current time, timezone-aware UTC."""
    return datetime.now(UTC)


class Noun(BaseModel):
    """Base of the stored nouns: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(Noun):
    """What model calls cost."""

    calls: int = 0
    """Number of model calls."""
    tokens_in: int = 0
    """Prompt tokens, as the provider reported them (0 where it reported none)."""
    tokens_out: int = 0
    """Completion tokens, likewise."""

    def __add__(self, other: "Usage") -> "Usage":
        """Sum of both, field by field."""
        return Usage(
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
        )
