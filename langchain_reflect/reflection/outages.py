"""Is a model's failure the fault of the moment? Then the group is tried again later; else it is parked. Pure.

Providers raise errors of their own, which agree in little: most carry the HTTP status and the response, some only a telling name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

_STATUSES: Final = frozenset({401, 402, 403, 408, 409, 425, 429})
"""Besides 5xx. A wrong key or an empty account is no fault of the group either."""
_NAMES: Final = ("timeout", "connection", "connect", "ratelimit", "overloaded", "unavailable", "transport", "throttl", "remoteprotocol")
_SERVER: Final = 500


@dataclass(frozen=True, slots=True)
class Outage:
    """A failure that may pass."""

    retry_after: float | None = None
    """Seconds that the provider asked to wait."""


def outage_of(error: object) -> Outage | None:
    """The outage that an exception tells of; None if another try would fail the same way.

    Args:
        error: What a chat model raised.
    """
    status = _status(error)
    if status is not None:
        return Outage(_retry_after(error)) if status in _STATUSES or status >= _SERVER else None
    if isinstance(error, ConnectionError | TimeoutError):
        return Outage(_retry_after(error))
    names = [kind.__name__.lower() for kind in type(error).__mro__]
    return Outage(_retry_after(error)) if any(part in name for name in names for part in _NAMES) else None


def _status(error: object) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "http_status", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _retry_after(error: object) -> float | None:
    """Seconds by the header `Retry-After` (RFC 9110, section 10.2.3: a number or a date), or its variant in milliseconds."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    known = {str(name).lower(): str(value) for name, value in headers.items()}
    milliseconds, given = _number(known.get("retry-after-ms")), known.get("retry-after")
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
