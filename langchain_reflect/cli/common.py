"""What the commands share: opening the parts, reading options, and printing for people or as JSON."""

import json
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from langchain_reflect.errors import InvalidInput, LedgerError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from langchain_reflect.learner import Learner
    from langchain_reflect.ledger import Ledger
    from langchain_reflect.settings import ReflectSettings
    from langchain_reflect.types import LessonStatus

_PIPED: Final = 160
"""Columns where nobody looks at a terminal."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[str | None, typer.Option(help="Chat model that reflects, as `provider:model`. [REFLECT_MODEL]", show_default=False)]
NamespaceOption = Annotated[str | None, typer.Option(help="Namespace, parts separated by `/`.", show_default=False)]


class ListByDefault(TyperGroup):
    """A group whose `list` command runs when no command is named, so that `reflect episodes --json` lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer moved its Context class between releases
        """Put `list` in front of arguments that begin with an option."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def settings(context: typer.Context, **overrides: object) -> "ReflectSettings":
    """Settings from the environment, with `--path` and what a command was told.

    Raises:
        InvalidInput: A setting has no valid value.
    """
    from langchain_reflect.settings import settings_from

    return settings_from(None, {"path": context.find_root().obj, **overrides})


@contextmanager
def open_ledger(context: typer.Context, namespace: str | None = None) -> Iterator["Ledger"]:
    """The ledger alone: no model, no embeddings, no Chroma.

    Args:
        context: Has `--path`.
        namespace: Where ids are looked for, parts separated by `/`; default that of the settings.

    Raises:
        LedgerError: There is none yet; looking for one must not create it.
    """
    from langchain_reflect.ledger import Ledger

    known = settings(context)
    if known.ledger_url is None and not ledger_file(known.path).exists():
        raise LedgerError(f"no ledger in {str(known.path)!r}; name its folder with `reflect --path FOLDER ...` or REFLECT_PATH")
    space = namespace_of(namespace) or (("default",) if any("{" in part for part in known.namespace) else known.namespace)
    with Ledger(known.ledger_url or known.path, namespace=space, durability=known.durability) as ledger:
        yield ledger


def require_ledger(context: typer.Context) -> None:
    """Before a learner is opened: a wrong `--path` must not make a new, empty ledger.

    Raises:
        LedgerError: There is none yet.
    """
    with open_ledger(context):
        return


def ledger_file(path: Path) -> Path:
    """Where an embedded ledger lies, given `--path`."""
    return path if path.suffix == ".db" else path / "ledger.db"


@contextmanager
def open_learner(context: typer.Context, **overrides: object) -> Iterator["Learner"]:
    """All the parts, without reflection in the background: a command does what it was asked and ends."""
    from langchain_reflect.learner import Learner

    with Learner.from_settings(settings(context, reflect="manual", **overrides)) as learner:
        yield learner


def namespace_of(text: str | None) -> tuple[str, ...] | None:
    """`acme/support` as a namespace; None if none was given."""
    return tuple(part for part in text.split("/") if part) if text else None


def nothing_in(
    ledger: "Ledger", namespace: str | None, *, nothing: str = "No lessons", statuses: "Collection[LessonStatus] | None" = None
) -> str:
    """What to say where no lesson was found: a namespace may have been mistyped.

    Args:
        ledger: That was asked.
        namespace: As it was typed; None: all were looked at.
        nothing: What there is not.
        statuses: Of lessons that would have been found; None: any.
    """
    holding = sorted({lesson.namespace for lesson in ledger.lessons(statuses=statuses)})
    if namespace is None or not holding or namespace_of(namespace) in holding:
        return f"{nothing}."
    return f"{nothing} in namespace {namespace!r}; there are some in {', '.join(map('/'.join, holding[:10]))}."


def time_of(text: str) -> datetime:
    """A date or time that was typed in; UTC where it names no zone.

    Raises:
        InvalidInput: It is none.
    """
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no date or time; expected 2026-11-26 or 2026-11-26T12:00:00+00:00") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`key=value` options as a mapping.

    Raises:
        InvalidInput: One has no `=`.
    """
    split = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, sign, _) in zip(texts, split, strict=True) if not sign]:
        raise InvalidInput(f"{wrong[0]!r} is not of the form key=value")
    return {key: value for key, _, value in split}


def emit_json(value: object) -> None:
    """Print models, plain data, or a list of either as JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    typer.echo(text.encode("utf-8", "replace").decode())  # an argument may have had bytes that are no text


def _plain(value: Any) -> Any:  # called by json for what it does not know: our models
    return value.model_dump(mode="json")


def show(*parts: "RenderableType") -> None:
    """Print for people; no text is read as markup, whoever wrote it."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=columns())
    for part in parts:
        console.print(part)


def columns() -> int:
    """How wide a line for people may be."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else _PIPED


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """A line on stderr as long as the block takes; none where nobody watches.

    Args:
        for_what: Stands in the line.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(for_what)):
        yield


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr, moved by calls with how much of how much is done; None where nobody watches.

    Args:
        doing: Stands in front of the bar.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> "RenderableType":
    """Rows as a table; cells are text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in {"id", "lesson"})  # to be copied in one piece
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def facts(rows: Sequence[tuple[str, object]]) -> "RenderableType":
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2))
    for name, value in rows:
        made.add_row(Text(name, style="dim"), Text(printable(value)))
    return made


def short(text: str, width: int = 60) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def printable(value: object) -> str:
    """Text without control characters: what agents wrote must not steer a person's terminal."""
    return "".join(c for c in str(value) if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf"})
