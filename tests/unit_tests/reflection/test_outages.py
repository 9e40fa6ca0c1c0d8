"""Which failures of a model may pass, and how long its provider asks to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from langchain_reflect.reflection.outages import Outage, outage_of


class ProviderError(Exception):
    def __init__(self, status, headers=None):
        super().__init__(f"status {status}")
        self.status_code = status
        self.response = httpx.Response(status, headers=headers or {})


class RateLimitError(Exception):
    pass


@pytest.mark.parametrize("status", [401, 402, 403, 408, 409, 425, 429, 500, 502, 503, 529])
def test_a_status_of_the_moment_is_an_outage(status):
    assert outage_of(ProviderError(status)) == Outage(None)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_status_about_the_question_is_none(status):
    assert outage_of(ProviderError(status)) is None


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), httpx.ConnectTimeout("x"), httpx.ReadError("x"), RateLimitError()]
)
def test_errors_without_a_status_are_known_by_their_kind(error):
    assert outage_of(error) == Outage(None)


@pytest.mark.parametrize("error", [RuntimeError("down"), ValueError("x"), "an answer", None])
def test_anything_else_is_no_outage(error):
    assert outage_of(error) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7.0), ({"retry-after-ms": "250"}, 0.25), ({"Retry-After": "soon"}, None), ({"Retry-After": "-3"}, 0.0)],
)
def test_retry_after_is_read(headers, seconds):
    assert outage_of(ProviderError(429, headers)) == Outage(seconds)


def test_retry_after_may_be_a_date():
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    found = outage_of(ProviderError(503, {"Retry-After": at}))
    assert found is not None
    assert 80 < (found.retry_after or 0) <= 90
