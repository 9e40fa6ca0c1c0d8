"""`reflect forget`, `revoke`, `backup` and `verify`: the record itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import Json, NamespaceOption, emit_json, open_learner, open_ledger, require_ledger, show, time_of
from langchain_reflect.errors import InvalidInput

if TYPE_CHECKING:
    from langchain_reflect.ledger.methods.care import Selector


def forget(
    context: typer.Context,
    episode: Annotated[str | None, typer.Option(help="An episode, with all that was made of it.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="All that a source ever said.", show_default=False)] = None,
    before: Annotated[str | None, typer.Option(help="Episodes that began before this date or time (UTC).", show_default=False)] = None,
    lesson: Annotated[str | None, typer.Option(help="A lesson with all its revisions.", show_default=False)] = None,
    namespace: NamespaceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, and show what would go.")] = False,
    json: Json = False,
) -> None:
    """Erase an episode, a source's outcomes, what is old, or a lesson, in one namespace; it stays erased when it comes in again."""
    require_ledger(context)
    if sum(given is not None for given in (episode, source, before, lesson)) != 1:
        raise InvalidInput("what is to be forgotten? Give exactly one of --episode, --source, --before and --lesson")
    selector: Selector = {}
    if episode is not None:
        selector["episode"] = episode
    if source is not None:
        selector["source"] = source
    if before is not None:
        selector["before"] = time_of(before)
    if lesson is not None:
        selector["lesson"] = lesson
    with open_learner(context, namespace=namespace) as learner:
        erased, where = learner.forget(**selector, dry_run=dry_run), "/".join(learner.ledger.namespace)
    if json:
        emit_json(erased)
        return
    show(f"In namespace {where!r}: {erased}")
    if erased.lessons:
        show(f"Lessons gone: {', '.join(erased.lessons)}")
    if erased.changed:
        show(f"Lessons to read again: {', '.join(erased.changed)}")
    if erased.outcomes or erased.episodes or erased.lessons:
        show("Copies may still be in: " + "; ".join(erased.out_of_reach))


def revoke(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="As in `reflect outcome --source`.")],
    reason: Annotated[str, typer.Option(help="Why, for the history of the lessons.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Let it count again.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Let nothing count that a source said or will say; lessons that rest on it alone are quarantined."""
    require_ledger(context)
    with open_learner(context, namespace=namespace) as learner:
        lessons = [] if undo else [lesson.id for lesson in learner.revoke_source(source, reason=reason)]
        judged = len(learner.ledger.trust_source(source) if undo else learner.ledger.revoke_source(source, reason=reason))
    if json:
        emit_json({"source": source, "revoked": not undo, "episodes": judged, "quarantined": lessons})
    elif undo:
        show(f"{source!r} counts again; it judged {judged} episodes. Quarantined lessons stay so: `reflect lessons restore ID`.")
    else:
        show(f"{source!r} no longer counts; it judged {judged} episodes. Quarantined: {', '.join(lessons) or 'no lesson'}.")


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Json = False,
) -> None:
    """Copy the ledger while others use it: a ledger file, or for PostgreSQL an archive for pg_restore."""
    with open_ledger(context) as ledger:
        made = ledger.backup(file, overwrite=force)
    if json:
        emit_json({"file": str(made), "bytes": made.stat().st_size})
    else:
        show(f"Wrote {made} ({made.stat().st_size} bytes).")


def verify(context: typer.Context, json: Json = False) -> None:
    """Check that the ledger agrees with itself: files, folds of lessons, outcomes, what is due, jobs. Exit code 1 if it does not."""
    with open_ledger(context) as ledger:
        found = ledger.verify()
    if json:
        emit_json({"problems": found})
    else:
        show("\n".join(found) or "All is well.")
    if found:
        raise typer.Exit(1)
