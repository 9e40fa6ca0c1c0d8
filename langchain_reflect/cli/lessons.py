"""`reflect lessons`: read, write and review the lesson book."""

from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import (
    Json,
    ListByDefault,
    NamespaceOption,
    emit_json,
    facts,
    namespace_of,
    nothing_in,
    open_learner,
    open_ledger,
    printable,
    require_ledger,
    show,
    table,
    time_of,
)
from langchain_reflect.errors import InvalidInput, LessonNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from langchain_reflect.learner import Learner
    from langchain_reflect.ledger import Ledger
    from langchain_reflect.types import Lesson, LessonStatus, Review, Revision

app = typer.Typer(cls=ListByDefault, help="The lesson book: list (default), read, write, review, undo, export and import.")

By = Annotated[str, typer.Option(help="Who decides; kept with the revision.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the revision.")]
At = Annotated[str | None, typer.Option(help="As it was at this date or time (UTC).", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


@app.command("list")
def list_(
    context: typer.Context,
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses; repeatable.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also retired and superseded lessons.")] = False,
    at: At = None,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """List lessons."""
    statuses, space = _statuses(status, all_), namespace_of(namespace)
    with open_ledger(context) as ledger:
        found = (
            _then(ledger.journal(namespace=space, until=time_of(at)), statuses)
            if at
            else ledger.lessons(namespace=space, statuses=statuses)
        )
    if json:
        emit_json(found)
        return
    if not found:
        with open_ledger(context) as ledger:
            show(nothing_in(ledger, namespace))
        return
    several = len({x.namespace for x in found}) > 1
    names = ("id", *(("namespace",) if several else ()), "status", "evidence", "when", "do")
    spaces = [("/".join(x.namespace),) if several else () for x in found]
    show(table(names, [(x.id, *space, x.status, len(x.evidence), x.when, x.do) for x, space in zip(found, spaces, strict=True)]))


@app.command("show")
def show_(context: typer.Context, lesson_id: str, at: At = None, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Show one lesson with its examples and its evidence."""
    with open_ledger(context, namespace) as ledger:
        lesson = _known(ledger, lesson_id)
        past = ledger.revisions(lesson_id) if at else []
    if at:
        found = _then([r for r in past if r.at <= time_of(at)], None)
        if not found:
            raise InvalidInput(f"lesson {lesson_id!r} did not exist at {at!r}; it was added at {lesson.created_at.isoformat()}")
        lesson = found[0]
    if json:
        emit_json(lesson)
    else:
        _describe(lesson)


@app.command("history")
def history(context: typer.Context, lesson_id: str, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Show every revision of a lesson: who changed what, word by word, and why."""
    with open_ledger(context, namespace) as ledger:
        _known(ledger, lesson_id)
        revisions = ledger.revisions(lesson_id)
    if json:
        emit_json(revisions)
        return
    for before, after in zip([None, *revisions], revisions, strict=False):
        show(*_change(before, after))


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


@app.command("reviews")
def reviews(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were decided.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """List what waits for a person: changes that a model may not make by itself, and lessons that contradict each other."""
    with open_ledger(context) as ledger:
        found = ledger.reviews(namespace=namespace_of(namespace), state=None if all_ else "open")
        known = {lesson.id: lesson for lesson in ledger.lessons(ids={i for review in found for i in review.lessons})} if found else {}
    if json:
        emit_json(found)
    elif not found:
        show("Nothing waits for a person.")
    for review in [] if json else found:
        show(*_question(review, known))


@app.command("approve")
def approve(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Serve a lesson as proven, or let the change be made that a review (V-…) asks about."""
    _decide(context, "approve", lesson_id, by, reason, namespace)


@app.command("reject")
def reject(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Refuse a proposed lesson, or what a review (V-…) asks for."""
    _decide(context, "reject", lesson_id, by, reason, namespace)


@app.command("edit")
def edit(
    context: typer.Context,
    lesson_id: str,
    when: Annotated[str | None, typer.Option(help="The condition under which the advice holds.", show_default=False)] = None,
    do: Annotated[str | None, typer.Option(help="The advice.", show_default=False)] = None,
    when_not: Annotated[str | None, typer.Option(help="Where it does not hold.", show_default=False)] = None,
    why: Annotated[str | None, typer.Option(help="The reason for it.", show_default=False)] = None,
    title: Annotated[str | None, typer.Option(help="A short name.", show_default=False)] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Serve it as proven at once.")] = False,
    by: By = "human",
    reason: Reason = "",
    namespace: NamespaceOption = None,
) -> None:
    """Reword a lesson; what is not given stays. A served one goes on trial again, a proposed one stays proposed."""
    given = {"when": when, "do": do, "when_not": when_not, "why": why, "title": title}
    with _changing(context, namespace, lesson_id) as learner:
        _settled(learner.lessons.edit(lesson_id, **given, approve=approve, by=by, reason=reason, namespace=namespace_of(namespace)))


@app.command("retire")
def retire(context: typer.Context, lesson_id: str, by: By = "human", reason: Reason = "", namespace: NamespaceOption = None) -> None:
    """Stop serving a lesson; it can be restored."""
    _decide(context, "retire", lesson_id, by, reason, namespace)


@app.command("restore")
def restore(
    context: typer.Context,
    lesson_id: str,
    revision: Annotated[int | None, typer.Option(help="Bring back what this revision said.", show_default=False)] = None,
    by: By = "human",
    reason: Reason = "",
    namespace: NamespaceOption = None,
) -> None:
    """Serve a retired lesson again, or bring back an earlier revision."""
    with _changing(context, namespace, lesson_id) as learner:
        _settled(learner.lessons.restore(lesson_id, revision, by=by, reason=reason, namespace=namespace_of(namespace)))


@app.command("undo")
def undo(
    context: typer.Context,
    reflection_id: str,
    by: By = "human",
    reason: Reason = "",
    force: Annotated[bool, typer.Option("--force", help="Undo also what somebody changed afterwards.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Take back all that one reflection (R-…) or consolidation (C-…) did to lessons. Exit code 1 if some are left alone."""
    require_ledger(context)
    with _changing(context, namespace) as learner:
        undone = learner.lessons.undo(reflection_id, by=by, reason=reason, force=force, namespace=namespace_of(namespace))
    if json:
        emit_json(undone)
    else:
        show(str(undone))
    if undone.left:
        raise typer.Exit(1)


@app.command("journal")
def journal(
    context: typer.Context,
    jsonl: Annotated[Path | None, typer.Option(help="Write into this file instead.", show_default=False)] = None,
    force: Force = False,
    namespace: NamespaceOption = None,
) -> None:
    """Print every change of every lesson in the order in which they were made, one JSON object a line."""
    from langchain_reflect.lessons.history import pages
    from langchain_reflect.lessons.packs import write_lines

    with open_ledger(context) as ledger:
        lines = (revision.model_dump_json() for revision in pages(ledger.journal, namespace_of(namespace)))
        if jsonl is not None:
            show(f"{write_lines(jsonl, lines, overwrite=force)} revisions written to {jsonl}")
            return
        for line in lines:
            typer.echo(line)


@app.command("export")
def export(context: typer.Context, file: Path, force: Force = False, namespace: NamespaceOption = None) -> None:
    """Write the served and proposed lessons of a namespace into a file, one JSON object a line."""
    from langchain_reflect.lessons.packs import EXPORTED, write_lines

    with open_ledger(context, namespace) as ledger:
        found = ledger.lessons(namespace=ledger.namespace, statuses=EXPORTED)
        written = write_lines(file, (lesson.model_dump_json() for lesson in found), overwrite=force)
        show(f"{written} lessons written to {file}" if written else f"{nothing_in(ledger, namespace)} {file} is empty.")


@app.command("import")
def import_(
    context: typer.Context,
    file: Path,
    trust: Annotated[bool, typer.Option("--trust", help="Serve them, on trial; else they wait as proposed.")] = False,
    by: By = "import",
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Take in the lessons of a file, one JSON object a line: all or none. The same file again adds nothing."""
    from langchain_reflect.lessons.packs import read_pack

    for _ in read_pack(file):
        pass  # a file that is no pack must not make a ledger
    with open_learner(context) as learner:
        imported = learner.lessons.import_(file, by=by, trust=trust, namespace=namespace_of(namespace))
    if json:
        emit_json(imported)
    else:
        show(str(imported))


def _decide(context: typer.Context, verb: str, lesson_id: str, by: str, reason: str, namespace: str | None) -> None:
    with _changing(context, namespace, lesson_id) as learner:
        lesson = getattr(learner.lessons, verb)(lesson_id, by=by, reason=reason, namespace=namespace_of(namespace))
        done = {"approve": "approved", "reject": "rejected"}.get(verb, verb)
        _settled(lesson, f"{lesson_id} is {done}: " if lesson_id.startswith("V-") else "")


@contextmanager
def _changing(context: typer.Context, namespace: str | None, changed: str | None = None) -> "Iterator[Learner]":
    """The learner for one change: the index takes it in at the next recall, so that nobody waits for an embedder here.

    The lesson or the review (V-…) that is to be changed is looked for first: to say that there is none, no learner has to be made.
    """
    if changed is not None:
        with open_ledger(context, namespace) as ledger:
            _ = ledger.review(changed) if changed.startswith("V-") else _known(ledger, changed)
    with open_learner(context, namespace=namespace) as learner:
        learner.lessons.follows = False
        yield learner


def _known(ledger: "Ledger", lesson_id: str) -> "Lesson":
    """A lesson of the ledger's namespace; who asks at the command line may know in which other one it is."""
    try:
        return ledger.lesson(lesson_id)
    except LessonNotFound:
        elsewhere = next(iter(ledger.lessons(ids=[lesson_id])), None)
        if elsewhere is None:
            raise
        own, other = "/".join(ledger.namespace), "/".join(elsewhere.namespace)
        raise LessonNotFound(f"no lesson {lesson_id!r} in namespace {own!r}; it is in {other!r}: --namespace {quote(other)}") from None


def _settled(lesson: "Lesson", about: str = "") -> None:
    show(f"{about}{lesson.id} is {lesson.status} (revision {lesson.revision})")


def _then(revisions: "Sequence[Revision]", statuses: "list[LessonStatus] | None") -> "list[Lesson]":
    from langchain_reflect.lessons.history import fold

    return [lesson for lesson in fold(revisions).values() if statuses is None or lesson.status in statuses]


def _change(before: "Revision | None", after: "Revision") -> "list[RenderableType]":
    """One revision: a line about it, then what it changed, removed words as `[-…-]` and added ones as `{+…+}`."""
    from rich.text import Text

    from langchain_reflect.lessons.history import field_diffs

    lesson, gained = after.lesson, len(after.lesson.evidence) - (len(before.lesson.evidence) if before else 0)
    said = [f"revision {lesson.revision}", f"{after.at:%Y-%m-%d %H:%M}", after.kind, f"by {after.actor}", lesson.status]
    said += [f"evidence {gained:+d}"] * bool(gained) + [f"approved by {lesson.approved_by}"] * bool(lesson.approved_by)
    lines: list[RenderableType] = [Text(printable("  ".join(said) + (f"  ({after.reason})" if after.reason else "")), style="bold")]
    marks = {"same": ("", "", ""), "removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green")}
    for name, pieces in field_diffs(before.lesson if before else None, lesson).items():
        line = Text(f"  {name.replace('_', ' ')}: ", style="")
        for change, text in pieces:
            opening, closing, style = marks[change] if before else ("", "", "")
            line.append(f"{opening}{printable(text)}{closing}", style=style)
        lines.append(line)
    return lines


def _question(review: "Review", known: "dict[str, Lesson]") -> "list[RenderableType]":
    """A review for people: what is asked, about which lessons, and what would change."""
    from langchain_reflect.lessons.history import word_diff

    state = "" if review.state == "open" else f", {review.state} by {review.by}"
    rows: list[tuple[str, object]] = [(review.id, f"{review.kind}{state}, asked by {review.actor}: {review.reason or 'no reason given'}")]
    rows += [(i, f"{known[i].status}: {known[i].when} -> {known[i].do}" if i in known else "gone") for i in review.lessons]
    edit = review.edit
    if edit is not None and review.kind == "edit":
        rows.append(("change", " ".join(x for x in (edit.kind, f"to {edit.status}" if edit.status else "") if x)))
        head = known.get(edit.lesson_id or "")
        for name in ("title", "when", "when_not", "do", "why") if edit.text else ():
            new, old = getattr(edit.text, name), getattr(head, name) if head else ""
            rows += [(name.replace("_", " "), word_diff(old, new))] if new != old else []
    rows += [("note", review.answer)] if review.answer else []
    return [facts(rows), ""]


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
    named = ("id", "title", "status", "revision", "when", "when_not", "do", "why", "origin", "approved_by", "updated_at")
    values = [(name, getattr(lesson, name)) for name in named]
    rows: list[tuple[str, object]] = [(name.replace("_", " "), value) for name, value in values if value not in ("", None)]
    rows.insert(1, ("namespace", "/".join(lesson.namespace)))
    rows += [("example", f"{example.input} → {example.output}") for example in lesson.examples]
    rows += [("evidence", episode_id) for episode_id in lesson.evidence]
    show(facts(rows))
