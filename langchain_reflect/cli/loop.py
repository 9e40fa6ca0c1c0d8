"""`reflect reflect`, `recall`, `reindex` and `sweep`: the steps of the loop, by hand."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    Model,
    NamespaceOption,
    emit_json,
    open_learner,
    open_ledger,
    printable,
    require_ledger,
    short,
    show,
    table,
)

if TYPE_CHECKING:
    from langchain_reflect.types import AppliedEdit


def reflect(
    context: typer.Context,
    model: Model = None,
    namespace: NamespaceOption = None,
    retry: Annotated[bool, typer.Option("--retry", help="Take up parked groups again.")] = False,
    json: Json = False,
) -> None:
    """Run the reflection that is due: judged episodes become lessons. Exit code 1 if a group had to be parked."""
    require_ledger(context)
    with open_learner(context, model=model, namespace=namespace) as learner:
        only = learner.settings.namespace if namespace else None
        report = learner.reflect(namespace=only, retry=retry)
    if json:
        emit_json(report)
    else:
        show(str(report))
        if report.edits:
            show(table(("edit", "lesson", "", "do"), [_row(edit) for edit in report.edits]))
    for line in report.errors:
        typer.echo(f"reflect: {line}", err=True)
    if report.errors:
        raise typer.Exit(1)


def recall(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What would be asked of the agent.")],
    k: Annotated[int | None, typer.Option(min=1, help="Most lessons.", show_default=False)] = None,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Show which lessons an agent would get for a task, and why not the others."""
    require_ledger(context)
    with open_learner(context, namespace=namespace) as learner:
        recalled = learner.recall(task, k=k)
    if json:
        emit_json(recalled)
        return
    rows = [(m.lesson.id, f"{m.similarity:.2f}", m.reason, short(m.lesson.when, 40), short(m.lesson.do)) for m in recalled.matches]
    show(table(("lesson", "similarity", "", "when", "do"), rows) if rows else "No lessons to consider.")
    typer.echo(printable(recalled.block) or f"Nothing would be shown: {recalled.note}")


def reindex(context: typer.Context, json: Json = False) -> None:
    """Rebuild the index from the ledger. Nothing is embedded again unless the embedding model changed."""
    require_ledger(context)
    with open_learner(context) as learner:
        count = learner.lessons.reindex()
    if json:
        emit_json({"lessons": count})
    else:
        show(f"Indexed {count} lessons.")


def sweep(
    context: typer.Context,
    older_than: Annotated[float, typer.Option(min=0.0, help="Hours that a run may take.")] = 1.0,
    trajectories_older_than: Annotated[
        float | None, typer.Option(min=0.0, help="Also drop steps and results older than so many days.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Mark runs that began long ago and never ended as abandoned, because their process was killed. One that does end corrects that."""
    with open_ledger(context) as ledger:
        count = ledger.sweep(timedelta(hours=older_than))
        trimmed = 0 if trajectories_older_than is None else ledger.trim(timedelta(days=trajectories_older_than))
    if json:
        emit_json({"abandoned": count, "trimmed": trimmed})
    else:
        show(f"Abandoned {count} episodes, dropped {trimmed} trajectories.")


def _row(edit: "AppliedEdit") -> tuple[str, str, str, str]:
    text = edit.edit.text
    return edit.edit.kind, edit.lesson_id or "", "applied" if edit.applied else edit.reason, short(text.do if text else "")
