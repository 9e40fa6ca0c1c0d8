"""Puts the commands together and turns errors into one line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from langchain_reflect.cli import audit, care, consolidate, demo, doctor, episodes, evidence, lessons, loop, status, steering, worker
from langchain_reflect.errors import ReflectError

app = typer.Typer(
    name="reflect",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Lets LangChain and LangGraph agents learn explicit lessons from the outcomes of their runs.",
)

app.command("demo")(demo.demo)
app.command("status")(status.status)
app.add_typer(episodes.app, name="episodes")
app.command("outcome")(episodes.outcome)
app.command("import")(episodes.import_)
app.command("reflect")(loop.reflect)
app.command("recall")(loop.recall)
app.command("audit")(audit.audit)
app.command("consolidate")(consolidate.consolidate)
app.command("reindex")(loop.reindex)
app.command("replay")(loop.replay)
app.command("worker")(worker.worker)
app.command("retry")(worker.retry)
app.command("sweep")(loop.sweep)
app.command("credit")(evidence.credit)
app.command("report")(evidence.report)
app.command("pause")(steering.pause)
app.command("resume")(steering.resume)
app.command("forget")(care.forget)
app.command("revoke")(care.revoke)
app.command("backup")(care.backup)
app.command("verify")(care.verify)
app.add_typer(lessons.app, name="lessons")
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"langchain-reflect {version('langchain-reflect')}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Option(help="Folder of ledger and index. [REFLECT_PATH, else ./.reflect]", show_default=False)
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Options of every command; they stand before the command's name."""
    _ = version
    context.obj = path


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit code 1."""
    try:
        app()
    except ReflectError as error:
        typer.echo(f"reflect: {error}", err=True)
        sys.exit(1)
