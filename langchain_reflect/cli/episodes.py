"""`reflect episodes`, `outcome` and `import`: what agents did, and how it was judged."""

import gzip
import json as jsonlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    pairs,
    short,
    show,
    table,
)
from langchain_reflect.errors import EpisodeNotFound, InvalidInput

if TYPE_CHECKING:
    from langchain_reflect.ledger import Ledger
    from langchain_reflect.types import Episode, Outcome

app = typer.Typer(cls=ListByDefault, help="What agents did: list (default) and show.")

Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="`key=value` of the run's metadata; repeatable.", show_default=False)
]


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    graph: Annotated[str | None, typer.Option(help="Only of this graph.", show_default=False)] = None,
    namespace: NamespaceOption = None,
    metadata: Metadata = None,
    json: Json = False,
) -> None:
    """List episodes, newest first, with their rewards."""
    with open_ledger(context) as ledger:
        found = ledger.episodes(namespace=namespace_of(namespace), graph=graph, metadata=pairs(metadata or []), limit=limit)
        judged = [(episode, ledger.outcomes(episode.id, namespace=episode.namespace)) for episode in found]
    if json:
        emit_json([_entry(episode, outcomes) for episode, outcomes in judged])
        return
    rows = [(e.id, "/".join(e.namespace), e.status, _reward(outcomes), short(e.task)) for e, outcomes in judged]
    show(table(("id", "namespace", "status", "reward", "task"), rows) if rows else "No episodes.")


@app.command("show")
def show_(context: typer.Context, episode_id: str, namespace: NamespaceOption = None, json: Json = False) -> None:
    """Show one episode: its trajectory, its outcomes, and the lessons it was shown."""
    with open_ledger(context, namespace) as ledger:
        episode, outcomes, exposures = ledger.episode(episode_id), ledger.outcomes(episode_id), ledger.exposures(episode_id=episode_id)
    if json:
        emit_json(
            {
                "episode": episode.model_dump(mode="json"),
                "outcomes": [o.model_dump(mode="json") for o in outcomes],
                "exposures": [x.model_dump(mode="json") for x in exposures],
            }
        )
        return
    named = ("id", "graph", "status", "arm", "started_at", "model", "task", "error", "metadata")
    known = [(name.replace("_", " "), getattr(episode, name)) for name in named if getattr(episode, name)]
    show(facts([*known, *_fingerprint(episode)]))
    steps = [(s.kind, s.name, short(_step(s.input)), short(s.error or _step(s.output))) for s in episode.steps]
    show(table(("step", "name", "input", "output"), steps, title="Trajectory"))
    if outcomes:
        show(table(("source", "reward", "feedback"), [(o.source, o.reward, o.feedback or "") for o in outcomes], title="Outcomes"))
    if exposures:
        rows = [(x.lesson_id, x.revision, "shown" if x.shown else "withheld", f"{x.score:.2f}") for x in exposures]
        show(table(("lesson", "revision", "", "similarity"), rows, title="Lessons"))


def outcome(
    context: typer.Context,
    episode_id: Annotated[str | None, typer.Argument(help="The run's id.", show_default=False)] = None,
    metadata: Metadata = None,
    reward: Annotated[float | None, typer.Option(help="0 is failure, 1 is success.", show_default=False)] = None,
    feedback: Annotated[str | None, typer.Option(help="What was good or wrong, in words.", show_default=False)] = None,
    source: Annotated[str, typer.Option(help="Who judged: verifier, test, human, user, rule, judge, or a system's name.")] = "user",
    key: Annotated[str, typer.Option(help="Tells several outcomes of one source apart.")] = "",
    retract: Annotated[bool, typer.Option("--retract", help="Take back what this source said under this key.")] = False,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Judge an episode, found by its id or by its run's metadata. The same report twice changes nothing."""
    with open_ledger(context, namespace) as ledger:
        if episode_id and metadata:
            raise InvalidInput("give the episode's id or --metadata, not both")
        wanted = episode_id or str(_find(ledger, pairs(metadata or [])).id)
        if retract:
            ledger.retract_outcome(wanted, source=source, key=key)
            show(f"Retracted what {source!r} said of episode {wanted}.")
            return
        kept = ledger.record_outcome(wanted, reward=reward, feedback=feedback, source=source, key=key)
        note = _if_unknown(ledger, wanted)
    if json:
        emit_json(kept)
    else:
        show(f"Recorded for episode {kept.episode_id}: reward {kept.reward}, source {kept.source}{note}")


def _if_unknown(ledger: "Ledger", episode_id: str) -> str:
    try:
        ledger.episode(episode_id)
    except EpisodeNotFound:
        return f" (no such episode in namespace {'/'.join(ledger.namespace)!r} yet; it counts when that comes)"
    return ""


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="JSON lines, also gzipped; `-` reads standard input.")],
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Import episodes from logs: one JSON object a line with `messages` and, if judged, `reward` and `feedback`."""
    with open_learner(context, namespace=namespace) as learner:
        count = learner.import_episodes(_rows(file))
    if json:
        emit_json({"episodes": count})
    else:
        show(f"Imported {count} episodes.")


def _find(ledger: "Ledger", metadata: dict[str, str]) -> "Episode":
    if not metadata:
        raise InvalidInput("which episode? Give its id or --metadata key=value")
    found = ledger.episodes(namespace=ledger.namespace, metadata=metadata, limit=2)
    if not found:
        raise EpisodeNotFound(f"no episode has the metadata {metadata!r}; `reflect episodes` lists what there is")
    if len(found) > 1:
        raise InvalidInput(
            f"several episodes have the metadata {metadata!r}, for example {', '.join(str(e.id) for e in found)}; give the id"
        )
    return found[0]


def _rows(file: str) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; what they must hold is the importer's business."""
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            try:
                yield jsonlib.loads(line)
            except ValueError as error:
                raise InvalidInput(f"line {number} of {file!r} is not JSON: {error}") from None


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        yield from sys.stdin
        return
    if not Path(file).is_file():
        raise InvalidInput(f"no file {file!r}; expected JSON lines (.jsonl or .jsonl.gz)")
    with gzip.open(file, "rt", encoding="utf-8") if file.endswith(".gz") else Path(file).open(encoding="utf-8") as lines:
        yield from lines


def _fingerprint(episode: "Episode") -> list[tuple[str, str]]:
    """Which version of the agent acted; the model has a line of its own."""
    parts = episode.fingerprint.model_dump(exclude={"model"}) if episode.fingerprint else {}
    told = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return [("fingerprint", told)] if told else []


def _step(value: Any) -> str:  # plain JSON of any form
    """What went into or came out of a step, without the form it is stored in."""
    if isinstance(value, list):
        return " ".join(_step(part) for part in value)
    if isinstance(value, dict) and "content" in value:
        calls = " ".join(f"{call.get('name')}({call.get('args')})" for call in value.get("tool_calls") or [])
        return f"{_step(value['content'])} {calls}".strip()
    return "" if value is None else str(value)


def _reward(outcomes: "list[Outcome]") -> str:
    from langchain_reflect.types import resolve

    reward = resolve(outcomes)
    return "" if reward is None else f"{reward:.2f}"


def _entry(episode: "Episode", outcomes: "list[Outcome]") -> dict[str, Any]:
    from langchain_reflect.types import resolve

    keep = {"id", "namespace", "graph", "task", "task_key", "status", "arm", "started_at", "ended_at", "shown", "metadata"}
    return {**episode.model_dump(mode="json", include=keep), "reward": resolve(outcomes), "outcomes": len(outcomes)}
