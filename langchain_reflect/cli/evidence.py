"""`reflect credit` and `reflect report`: what the evidence about lessons does, and what it says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    NamespaceOption,
    columns,
    emit_json,
    namespace_of,
    open_learner,
    open_ledger,
    require_ledger,
    time_of,
)
from langchain_reflect.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from langchain_reflect.reporting import Report


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
    from langchain_reflect.reporting.text import text_of

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
    undrawn = None if png is None else _undrawn(found, png)
    if json:
        emit_json(found)
    elif html is None and png is None:
        typer.echo(text_of(found, width=columns()))
    else:
        for place in (html, png if undrawn is None else None):
            if place is not None:
                typer.echo(f"Wrote {place}")
    if undrawn is not None:
        typer.echo(f"reflect: {png} is not written: {undrawn}", err=True)
        raise typer.Exit(1)


def _undrawn(found: "Report", png: Path) -> str | None:
    """Why there is no picture, so that all else that was asked for is there nevertheless; None: it is drawn."""
    try:
        found.save_png(png)
    except InvalidInput:
        return "nothing can be drawn yet, since no effect has an interval; `reflect report` says what is missing"
    except MissingExtra as error:
        return str(error)
    return None
