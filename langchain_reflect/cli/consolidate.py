"""`reflect consolidate`: several lessons become one that is more general."""

from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import Json, Model, NamespaceOption, emit_json, open_learner, require_ledger, short, show, table

if TYPE_CHECKING:
    from langchain_reflect.types import AppliedEdit, ReflectionReport


def consolidate(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the model, show what it proposes, and change no lesson.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again about lessons of which nothing came before.")] = False,
    model: Model = None,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Make one general lesson of several near ones, where nothing of them is lost, and retire the least valuable lessons above the cap.

    What was refused is not asked again until one of the lessons changes. Exit code 1 if an answer could not be used.
    """
    require_ledger(context)
    with open_learner(context, model=model, namespace=namespace) as learner:
        only = learner.settings.namespace if namespace else None
        report = learner.consolidate(namespace=only, dry_run=dry_run, retry=retry)
    if json:
        emit_json(report)
    else:
        show(_summary(report, dry_run=dry_run))
        if report.edits:
            show(table(("edit", "lesson", "of", "", "do"), [_row(edit) for edit in report.edits]))
    for line in report.errors:
        typer.echo(f"reflect: {line}", err=True)
    if report.errors:
        raise typer.Exit(1)


def _summary(report: "ReflectionReport", *, dry_run: bool) -> str:
    made = sum(e.applied and e.edit.kind == "add" for e in report.edits)
    gone = sum(e.applied and e.edit.kind == "retire" for e in report.edits)
    waiting = sum(e.review_id is not None for e in report.edits)
    cost = f"{report.usage.calls} calls, {report.usage.tokens_in}+{report.usage.tokens_out} tokens"
    done = "nothing was changed" if dry_run else f"{made} general lessons, {waiting} wait for a person, {gone} lessons retired"
    return f"{report.groups} clusters, {report.drafts} proposals: {done}; {cost}"


def _row(edit: "AppliedEdit") -> tuple[str, str, str, str, str]:
    text, kind = edit.edit.text, "distil" if edit.edit.kind == "add" else edit.edit.kind
    said = "applied" if edit.applied else f"waits: {edit.review_id}" if edit.review_id else edit.reason
    return kind, edit.lesson_id or "", " ".join(edit.edit.merged), said, short(text.do if text else "")
