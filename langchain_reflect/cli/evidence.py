"""`reflect credit` and `reflect report`: what the evidence about lessons does, and what it says."""

from pathlib import Path
from typing import Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    NamespaceOption,
    emit_json,
    namespace_of,
    open_learner,
    open_ledger,
    require_ledger,
    time_of,
)


def credit(context: typer.Context, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Promote lessons that proved themselves, retire those that do harm, and switch lessons off where they do harm as a whole."""
    require_ledger(context)
    with open_learner(context) as learner:
        done = learner.credit(namespace=namespace_of(namespace))
    if json:
        emit_json(done)
    else:
        typer.echo(str(done))


def report(
    context: typer.Context,
    html: Annotated[Path | None, typer.Option(help="Write one HTML file that needs nothing else.", show_default=False)] = None,
    png: Annotated[Path | None, typer.Option(help="Draw effects and intervals as a picture.", show_default=False)] = None,
    namespace: NamespaceOption = None,
    graph: Annotated[str | None, typer.Option(help="Only runs of this graph.", show_default=False)] = None,
    since: Annotated[str | None, typer.Option(help="Only runs that began at this date or time (UTC) or later.", show_default=False)] = None,
    lesson: Annotated[list[str] | None, typer.Option(help="Only this lesson; repeatable.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Show what lessons are worth: as a whole, and each of them, with how much is not known yet. Nothing is changed."""
    from langchain_reflect.reporting import report as made

    with open_ledger(context, namespace) as ledger:
        found = made(
            ledger,
            namespace=namespace_of(namespace),
            graph=graph,
            since=None if since is None else time_of(since),
            lessons=tuple(lesson or ()),
        )
    if html is not None:
        found.save_html(html)
    if png is not None:
        found.save_png(png)
    if json:
        emit_json(found)
    elif html is None and png is None:
        typer.echo(str(found))
    else:
        typer.echo("\n".join(f"Wrote {place}" for place in (html, png) if place is not None))
