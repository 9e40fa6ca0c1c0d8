"""A pytest plugin that prints what was proven: `pytest -p langchain_reflect.testing.conformance.table ...`.

Tests name their statements: `test_023_to_028_stream` counts for 23 to 28, `test_116_...` for 116. The run fails if a statement has neither
a test that passed nor an explanation.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import pytest

from langchain_reflect.testing.conformance.statements import EXPLAINED, STATEMENTS

_NUMBERS: Final = re.compile(r"::test_(\d{3})(?:_to_(\d{3}))?_")
_counts: Final[dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(int))


def numbers_of(nodeid: str) -> Iterable[int]:
    """The statements that a test stands for."""
    found = _NUMBERS.search(nodeid)
    return range(int(found[1]), int(found[2] or found[1]) + 1) if found else ()


def verdict(number: int, counts: dict[str, int]) -> str:
    """What is known of a statement."""
    if counts.get("failed"):
        return "FAILED"
    if counts.get("passed"):
        return "ok"
    if number in EXPLAINED:
        return EXPLAINED[number]
    return "skipped" if counts.get("skipped") else "MISSING"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test for its statements; a failure while setting up or tearing down counts as well."""
    if report.when == "call" or report.outcome != "passed":
        for number in numbers_of(report.nodeid):
            _counts[number][report.outcome] += 1


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A statement without a proof fails the run."""
    if exitstatus == 0 and any(verdict(n, _counts[n]) in ("MISSING", "skipped") for n in STATEMENTS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    terminalreporter.section("drop-in conformance")
    for number, title in STATEMENTS.items():
        counts = _counts[number]
        ran = counts.get("passed", 0) + counts.get("failed", 0)
        terminalreporter.line(f"{number:4} {title[:90]:90} {ran:5}  {verdict(number, counts)}")
    proven = sum(verdict(n, _counts[n]) == "ok" for n in STATEMENTS)
    terminalreporter.line(f"{proven} of {len(STATEMENTS)} statements proven by tests, {len(EXPLAINED)} by other means")
