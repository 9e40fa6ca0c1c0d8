"""Is a model's failure the fault of the moment? Then the group is tried again later; else it is parked. Pure.

Providers raise errors of their own, which agree in little: most carry the HTTP status and the response, some only a telling name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Final

_STATUSES: Final = frozenset({401, 402, 403, 408, 409, 425, 429})
"""Besides 5xx. A wrong key or an empty account is no fault of the group either."""
_NAMES: Final = (
    "timeout",
    "connection",
    "connect",
    "ratelimit",
    "overloaded",
    "unavailable",
    "transport",
    "throttl",
    "remoteprotocol",
    "gaierror",
)
_SERVER: Final = 500
_HTTP: Final = range(100, 600)
_DEPTH: Final = 5
_DAY: Final = 86_400.0
"""Longest wait that is believed."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A failure that may pass."""

    retry_after: float | None = None
    """Seconds that the provider asked to wait."""


def outage_of(error: object) -> Outage | None:
    """The outage that an exception, or what caused it, tells of; None if another try would fail the same way.

    Args:
        error: What a chat model raised.
    """
    for each in _causes(error):
        status = _status(each)
        if status is not None:
            return Outage(_retry_after(each)) if status in _STATUSES or status >= _SERVER else None
        if _is_telling(each):
            return Outage(_retry_after(each))
    return None


def _causes(error: object) -> list[BaseException]:
    """An exception and those it was raised from, outermost first: some clients wrap the one that has the status."""
    found: list[BaseException] = []
    while isinstance(error, BaseException) and error not in found and len(found) < _DEPTH:
        found.append(error)
        error = error.__cause__
    return found


def _is_telling(error: BaseException) -> bool:
    names = [kind.__name__.lower() for kind in type(error).__mro__]
    return isinstance(error, ConnectionError | TimeoutError) or any(part in name for name in names for part in _NAMES)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    holders = (error, response, _told(response, "ResponseMetadata"))
    values = (_told(holder, name) for holder in holders for name in ("status_code", "http_status", "status", "code", "HTTPStatusCode"))
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v in _HTTP), None)


def _retry_after(error: BaseException) -> float | None:
    """Seconds by the header `Retry-After` (RFC 9110, section 10.2.3: a number or a date), or its variant in milliseconds."""
    response = getattr(error, "response", None)
    headers = (
        getattr(response, "headers", None),
        _told(_told(response, "ResponseMetadata"), "HTTPHeaders"),
        getattr(error, "headers", None),
    )
    known = {str(name).lower(): str(value) for found in headers if isinstance(found, Mapping) for name, value in found.items()}
    milliseconds, given = _number(known.get("retry-after-ms")), known.get("retry-after")
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        return _within((parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _told(holder: object, name: str) -> Any:
    """A part of a response, which is an object of one client and a mapping of another (botocore)."""
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _number(text: str | None) -> float | None:
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return None if found is None or not isfinite(found) else _within(found)


def _within(seconds: float) -> float:
    return min(max(0.0, seconds), _DAY)
