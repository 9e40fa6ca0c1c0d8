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


@pytest.mark.parametrize("header", ["inf", "nan", "1e300", "99999999", "-inf"])
def test_a_wait_without_end_is_not_believed(header):
    found = outage_of(ProviderError(429, {"Retry-After": header}))
    assert found is not None
    assert found.retry_after is None or 0 <= found.retry_after <= 86_400


def test_an_error_that_wraps_anothers_is_known_by_its_cause():
    def wrapped(cause):
        error = RuntimeError("Error calling model")
        error.__cause__ = cause
        return error

    assert outage_of(wrapped(ProviderError(429, {"Retry-After": "7"}))) == Outage(7.0)
    assert outage_of(wrapped(wrapped(ConnectionResetError()))) == Outage(None)
    assert outage_of(wrapped(ProviderError(400))) is None
    assert outage_of(wrapped(ValueError("x"))) is None


def test_errors_that_cause_each_other_end():
    one, other = RuntimeError("a"), RuntimeError("b")
    one.__cause__, other.__cause__ = other, one
    assert outage_of(one) is None


def test_a_response_may_be_a_mapping():
    error = RuntimeError("An error occurred (ThrottlingException)")
    error.response = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "3"}}}
    assert outage_of(error) == Outage(3.0)


def test_a_code_that_is_no_http_status_tells_nothing():
    error = RuntimeError("x")
    error.code = 32_000
    assert outage_of(error) is None
