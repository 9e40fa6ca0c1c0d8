"""`reflect lessons`: read, write and review the lesson book."""

from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    ListByDefault,
    NamespaceOption,
    emit_json,
    facts,
    namespace_of,
    open_learner,
    open_ledger,
    show,
    table,
)
from langchain_reflect.errors import InvalidInput

if TYPE_CHECKING:
    from langchain_reflect.types import Lesson, LessonStatus

app = typer.Typer(cls=ListByDefault, help="The lesson book: list (default), show, history, add, approve, reject, retire, restore.")

By = Annotated[str, typer.Option(help="Who decides; kept with the revision.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the revision.")]


@app.command("list")
def list_(
    context: typer.Context,
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses; repeatable.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also retired and superseded lessons.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """List lessons."""
    with open_ledger(context) as ledger:
        found = ledger.lessons(namespace=namespace_of(namespace), statuses=_statuses(status, all_))
    if json:
        emit_json(found)
        return
    rows = [(x.id, "/".join(x.namespace), x.status, x.revision, len(x.evidence), x.when, x.do) for x in found]
    show(table(("id", "namespace", "status", "revision", "evidence", "when", "do"), rows) if rows else "No lessons.")


@app.command("show")
def show_(context: typer.Context, lesson_id: str, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Show one lesson with its examples and its evidence."""
    with open_ledger(context, namespace) as ledger:
        lesson = ledger.lesson(lesson_id)
    if json:
        emit_json(lesson)
    else:
        _describe(lesson)


@app.command("history")
def history(context: typer.Context, lesson_id: str, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Show every revision of a lesson."""
    with open_ledger(context, namespace) as ledger:
        ledger.lesson(lesson_id)
        revisions = ledger.revisions(lesson_id)
    if json:
        emit_json(revisions)
        return
    rows = [(r.lesson.revision, f"{r.at:%Y-%m-%d %H:%M}", r.kind, r.lesson.status, r.actor, r.reason, r.lesson.do) for r in revisions]
    show(table(("revision", "at", "change", "status", "by", "reason", "do"), rows))


@app.command("add")
def add(
    context: typer.Context,
    when: Annotated[str, typer.Option(help="The condition under which the advice holds.")],
    do: Annotated[str, typer.Option(help="The advice.")],
    when_not: Annotated[str, typer.Option(help="Where it does not hold.")] = "",
    why: Annotated[str, typer.Option(help="The reason for it.")] = "",
    title: Annotated[str, typer.Option(help="A short name.")] = "",
    status: Annotated[str, typer.Option(help="`candidate`: on trial, `active`: trusted.")] = "candidate",
    namespace: NamespaceOption = None,
    by: By = "human",
    json: Json = False,
) -> None:
    """Write a lesson by hand."""
    wanted = _status(status)
    with open_learner(context) as learner:
        into = namespace_of(namespace)
        lesson = learner.lessons.add(when=when, do=do, when_not=when_not, why=why, title=title, status=wanted, namespace=into, by=by)
    if json:
        emit_json(lesson)
    else:
        _describe(lesson)


@app.command("approve")
def approve(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Let a proposed or candidate lesson be served as active."""
    _decide(context, "approve", lesson_id, by, reason, namespace)


@app.command("reject")
def reject(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Refuse a proposed lesson."""
    _decide(context, "reject", lesson_id, by, reason, namespace)


@app.command("retire")
def retire(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Stop serving a lesson; it can be restored."""
    _decide(context, "retire", lesson_id, by, reason, namespace)


@app.command("restore")
def restore(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Serve a retired lesson again."""
    _decide(context, "restore", lesson_id, by, reason, namespace)


def _decide(context: typer.Context, verb: str, lesson_id: str, by: str, reason: str, namespace: str | None) -> None:
    with open_ledger(context, namespace) as ledger:
        ledger.lesson(lesson_id)
    with open_learner(context, namespace=namespace) as learner:
        lesson = getattr(learner.lessons, verb)(lesson_id, by=by, reason=reason)
    show(f"{lesson.id} is {lesson.status} (revision {lesson.revision})")


def _statuses(given: list[str] | None, all_: bool) -> "list[LessonStatus] | None":
    if given:
        return [_status(text) for text in given]
    return None if all_ else ["proposed", "candidate", "active", "quarantined"]


def _status(text: str) -> "LessonStatus":
    from typing import cast, get_args

    from langchain_reflect.types import LessonStatus

    known = get_args(LessonStatus)
    if text not in known:
        raise InvalidInput(f"status {text!r} is unknown; expected one of {', '.join(known)}")
    return cast("LessonStatus", text)


def _describe(lesson: "Lesson") -> None:
    named = ("id", "title", "status", "revision", "when", "when_not", "do", "why", "origin", "updated_at")
    rows: list[tuple[str, object]] = [(name.replace("_", " "), getattr(lesson, name)) for name in named if getattr(lesson, name) != ""]
    rows.insert(1, ("namespace", "/".join(lesson.namespace)))
    rows += [("example", f"{example.input} → {example.output}") for example in lesson.examples]
    rows += [("evidence", episode_id) for episode_id in lesson.evidence]
    show(facts(rows))
