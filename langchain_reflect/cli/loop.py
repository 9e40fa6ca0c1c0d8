"""`reflect reflect`, `recall`, `reindex` and `sweep`: the steps of the loop, by hand."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    Model,
    NamespaceOption,
    emit_json,
    nothing_in,
    open_learner,
    open_ledger,
    printable,
    progress,
    require_ledger,
    short,
    show,
    table,
    waiting,
)
from langchain_reflect.errors import IndexUnavailable, ReflectError

if TYPE_CHECKING:
    from langchain_reflect.learner import Learner
    from langchain_reflect.ledger import Ledger
    from langchain_reflect.recall.explaining import Explanation
    from langchain_reflect.reflection.replaying import Replay
    from langchain_reflect.types import AppliedEdit, Lesson


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
    explain: Annotated[bool, typer.Option("--explain", help="Also the parts of every score, the floor, and what answered.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Show which lessons an agent would get for a task, and why not the others."""
    require_ledger(context)
    with open_learner(context, namespace=namespace) as learner:
        if explain:
            with _loading(learner):
                explanation = learner.recall(task, k=k, explain=True)
            _explain(explanation, learner.ledger, json=json)
            return
        with _loading(learner):
            recalled = learner.recall(task, k=k)
        nothing = "" if recalled.matches else _nothing(learner.ledger)
        paused = [graph or "all graphs" for (space, graph), held in learner.ledger.paused().items() if space == learner.ledger.namespace]
    if json:
        emit_json(recalled)
        return
    names = ("lesson", "similarity", "words", "score", "", "when", "do")
    rows = [
        (m.lesson.id, f"{m.similarity:.2f}", f"{m.lexical:.1f}", f"{m.score:.2f}", m.reason, short(m.lesson.when, 40), short(m.lesson.do))
        for m in recalled.matches
    ]
    show(table(names, rows) if rows else nothing)
    typer.echo(printable(recalled.block) or f"Nothing would be shown: {recalled.note}")
    if paused:
        show(f"PAUSED: {', '.join(paused)}; runs there get nothing of this until `reflect resume`.")


def _loading(learner: "Learner") -> AbstractContextManager[None]:
    return waiting(f"loading the embeddings {learner.embedder.id}, then searching")


def _nothing(ledger: "Ledger") -> str:
    from langchain_reflect.types import SERVABLE

    return nothing_in(ledger, "/".join(ledger.namespace), nothing="No lessons to consider", statuses=SERVABLE)


def _explain(found: "Explanation", ledger: "Ledger", *, json: bool) -> None:
    if json:
        emit_json(found)
        return
    show(table(found.HEAD, found.rows()) if found.considered else _nothing(ledger), *found.lines())
    typer.echo(printable(found.block) or f"Nothing would be shown: {found.note}")


def reindex(
    context: typer.Context,
    embeddings: Annotated[
        str | None, typer.Option(help="Embedding model that takes over, as `provider:model`. [REFLECT_EMBEDDINGS]", show_default=False)
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Drop the vectors of embedding models that are not in use any more.")] = False,
    json: Json = False,
) -> None:
    """Rebuild the index from the ledger. Nothing is embedded again unless the embedding model changed; if killed, run it again to go on."""
    require_ledger(context)
    given = {"embeddings": embeddings} if embeddings else {}
    with open_learner(context, **given) as learner:
        with progress("embedding") as shown, _resumable():
            count = _reindexed(learner, shown, switching=bool(embeddings))
        pruned = learner.lessons.prune_vectors() if prune else 0
        used = learner.embedder.id
    if json:
        emit_json({"lessons": count, "embedder": used, "pruned": pruned})
        return
    show(f"Indexed {count} lessons by {used}." + (f" Dropped {pruned} vectors of other models." if prune else ""))
    if embeddings:
        show(f"Processes with another model get no lessons until they are started with embeddings={embeddings!r} (REFLECT_EMBEDDINGS).")


def _reindexed(learner: "Learner", shown: Callable[[int, int], None] | None, *, switching: bool) -> int:
    """Lessons in the index; a switch has worked even if the index belongs to a running agent, which fills it once it is restarted."""
    try:
        return learner.lessons.reindex(progress=shown)
    except IndexUnavailable as error:
        if not switching:
            raise
        typer.echo(f"reflect: the switch is done, but the index is not filled yet: {error}", err=True)
        return 0


@contextmanager
def _resumable() -> Iterator[None]:
    """One line for whatever a provider of embeddings raises."""
    try:
        yield
    except ReflectError:
        raise
    except Exception as error:
        typer.echo(
            f"reflect: embedding stopped ({type(error).__name__}: {error}). The former model stays in use; run it again to go on.", err=True
        )
        raise typer.Exit(1) from error


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


def replay(
    context: typer.Context,
    write: Annotated[bool, typer.Option("--write", help="Write what comes out differently, as further revisions.")] = False,
    leave_out: Annotated[bool, typer.Option("--leave-out", help="Write it although advice without a stored answer is left out.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with the revisions.")] = "",
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Build the lessons anew from what was recorded and what the model said; none is asked. Exit code 1 if they come out differently."""
    require_ledger(context)
    with open_learner(context, namespace=namespace) as learner:
        only = learner.settings.namespace if namespace else None
        made = learner.replay(namespace=only, write=write, reason=reason, leave_out=leave_out)
    if json:
        emit_json(made)
    else:
        for each in made:
            _show_replay(each, written=write)
        if not made:
            show("No lessons.")
    if any(each.differences for each in made) and not write:
        raise typer.Exit(1)


def _show_replay(made: "Replay", *, written: bool) -> None:
    counts = f"{made.reflections} reflections repeated, {made.revisions} other changes made again, {len(made.lessons)} lessons"
    show(f"{'/'.join(made.namespace)}: {counts}. {'The book comes out as it is.' if made.is_same else ''}".strip())
    rows = [(d.lesson_id, _said(d.before), _said(d.after)) for d in made.differences]
    if rows:
        show(table(("lesson", "was" if written else "is", "is now" if written else "would be"), rows))
    for line in (*(f"no stored answer about {said!r}" for said in made.unanswered), *made.lost):
        show(line)


def _said(lesson: "Lesson | None") -> str:
    return "" if lesson is None else f"{lesson.status}, {len(lesson.evidence)} episodes: {short(lesson.do, 60)}"


def _row(edit: "AppliedEdit") -> tuple[str, str, str, str]:
    text = edit.edit.text
    return edit.edit.kind, edit.lesson_id or "", "applied" if edit.applied else edit.reason, short(text.do if text else "")
