"""`reflect worker` and `retry`: reflection in a process of its own."""

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_reflect.cli.common import (
    Json,
    Model,
    NamespaceOption,
    emit_json,
    namespace_of,
    open_learner,
    open_ledger,
    require_ledger,
    show,
)
from langchain_reflect.errors import InvalidInput

if TYPE_CHECKING:
    from langchain_reflect.types import ReflectionReport


def worker(
    context: typer.Context,
    model: Model = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Groups at a time.")] = 1,
    poll: Annotated[float, typer.Option(min=0.01, help="Seconds between looks for work.")] = 2.0,
    daily_calls: Annotated[
        int | None, typer.Option(min=1, help="Most model calls per namespace and day (UTC).", show_default=False)
    ] = None,
    daily_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens per namespace and day (UTC).", show_default=False)] = None,
    namespace: NamespaceOption = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is left to do.")] = False,
    json: Json = False,
) -> None:
    """Reflect on what becomes due, for ever. SIGTERM and Ctrl-C let it finish what it began; the second one does not wait."""
    from langchain_reflect.worker import Worker

    require_ledger(context)
    with open_learner(context, model=model) as learner:
        learner.reflection = replace(learner.reflection, daily_calls=daily_calls, daily_tokens=daily_tokens)
        made = Worker(learner, concurrency=concurrency, poll=poll, namespace=namespace_of(namespace), on_progress=_say)
        _on_signals(made.stop)
        typer.echo(f"reflect: working on {learner.ledger.url.render_as_string(hide_password=True)}", err=True)
        done = made.run(until_idle=until_idle)
    if json:
        emit_json({"groups": done.groups, "edits": done.edits, "outages": done.outages, "usage": done.usage.model_dump()})
    else:
        show(f"Worked off {done}")


def retry(
    context: typer.Context,
    job_ids: Annotated[list[str] | None, typer.Argument(help="Jobs that `reflect status` shows; default all.", show_default=False)] = None,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Free parked groups, and those that wait after a failure, so that they are taken up again."""
    with open_ledger(context, namespace) as ledger:
        count = ledger.free(namespace=namespace_of(namespace), job_ids=job_ids)
        if job_ids and not count:
            raise InvalidInput(
                f"no waiting or parked job {', '.join(job_ids)!r} in namespace {'/'.join(ledger.namespace)!r}; see `reflect status`"
            )
    if json:
        emit_json({"freed": count})
    else:
        show(f"Freed {count} groups.")


def _say(report: "ReflectionReport") -> None:
    typer.echo(f"reflect: {report.id} {report}", err=True)
    for line in report.errors:
        typer.echo(f"reflect: {line}", err=True)


def _on_signals(stop: Any) -> None:
    def handle(number: int, _frame: object) -> None:
        if handle_once:
            handle_once.clear()
            typer.echo("reflect: finishing what was begun; a second signal ends at once", err=True)
            stop()
        else:
            raise SystemExit(128 + number)

    handle_once = [True]
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), handle)
