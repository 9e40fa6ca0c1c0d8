"""`reflect status`: what the ledger holds and what waits."""

from collections import Counter
from typing import TYPE_CHECKING

import typer

from langchain_reflect.cli.common import Json, emit_json, facts, open_ledger, show

if TYPE_CHECKING:
    from pydantic import JsonValue

    from langchain_reflect.ledger import Ledger
    from langchain_reflect.types import Namespace


def status(context: typer.Context, json: Json = False) -> None:
    """Show what the ledger holds, what waits for reflection, and what the last reflections did."""
    with open_ledger(context) as ledger:
        found = summary(ledger)
    if json:
        emit_json(found)
        return
    show(facts([(name.replace("_", " "), _line(value)) for name, value in found.items()]))


def summary(ledger: "Ledger") -> dict[str, "JsonValue"]:
    """The ledger in numbers."""
    from langchain_reflect.types import now

    reports = ledger.reflections(limit=5)
    return {
        "ledger": ledger.url.render_as_string(hide_password=True),
        "rows": dict(ledger.counts()),
        "lessons": dict(Counter(lesson.status for lesson in ledger.lessons())),
        "paused": [f"{_place(*place)} since {held.since:%Y-%m-%d %H:%M:%S} UTC: {held.note}" for place, held in ledger.paused().items()],
        "awaiting_reflection": ledger.due(),
        "jobs": dict(ledger.job_counts()),
        "reflections": [f"{report.id} {report}" for report in reports],
        "parked": [f"{job.id} {job.key!r}: {job.problem}" for job in ledger.jobs(state="parked", limit=20)],
        "waiting": [
            f"{job.id} {job.key!r} until {job.not_before:%Y-%m-%d %H:%M:%S} UTC: {job.problem}"
            for job in ledger.jobs(state="ready", limit=20)
            if job.not_before is not None and job.not_before > now()
        ],
    }


def _place(namespace: "Namespace", graph: str) -> str:
    return f"{graph or 'all graphs'} in {'/'.join(namespace)}"


def _line(value: "JsonValue") -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "none"
    return str(value)
