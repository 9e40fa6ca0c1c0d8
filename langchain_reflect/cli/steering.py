"""`reflect pause` and `reflect resume`: the kill switch."""

from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import Json, NamespaceOption, emit_json, open_ledger, show
from langchain_reflect.errors import InvalidInput

if TYPE_CHECKING:
    from langchain_reflect.ledger import Ledger

Graph = Annotated[str, typer.Option(help="Only this graph; default all of the namespace.", show_default=False)]
By = Annotated[str, typer.Option(help="Who decides.")]
Reason = Annotated[str, typer.Option(help="Why; runs say it until lessons are shown again.", show_default=False)]


def pause(
    context: typer.Context, graph: Graph = "", by: By = "human", reason: Reason = "", namespace: NamespaceOption = None, json: Json = False
) -> None:
    """Show no lessons from the next run on, in every process; runs are still recorded."""
    _steer(context, "paused", graph, by, reason, namespace, json=json)


def resume(
    context: typer.Context, graph: Graph = "", by: By = "human", reason: Reason = "", namespace: NamespaceOption = None, json: Json = False
) -> None:
    """Show lessons again, also where evidence had switched them off; what was measured before no longer counts for that switch."""
    _steer(context, "resumed", graph, by, reason, namespace, json=json)


def _steer(context: typer.Context, kind: str, graph: str, by: str, reason: str, namespace: str | None, *, json: bool) -> None:
    from langchain_reflect.lessons.authors import check_person

    with open_ledger(context, namespace) as ledger:
        if kind == "resumed":
            _check_paused(ledger, graph)
        done = ledger.steer("paused" if kind == "paused" else "resumed", graph=graph, by=check_person(by), reason=reason)
        left = [name for (space, name), held in ledger.paused().items() if space == done.namespace and held.paused]
    if json:
        emit_json(done)
        return
    which, get = (f"graph {graph!r}", "gets") if graph else ("all graphs", "get")
    where = f"{which} of namespace {'/'.join(done.namespace)!r}"
    show(f"Paused: {where} {get} no lessons." if kind == "paused" else f"Resumed: {where} {get} lessons again.")
    if kind == "resumed" and left:
        show("Still paused: " + ", ".join(repr(name) if name else "all graphs that are not named otherwise" for name in left))


def _check_paused(ledger: "Ledger", graph: str) -> None:
    """A name that is not paused is a misspelt one, and the graph that was meant would stay paused."""
    held = {name for (space, name), each in ledger.paused().items() if space == ledger.namespace and each.paused}
    if graph and not held & {graph, ""}:
        paused = ", ".join(sorted(map(repr, held))) or "nothing"
        raise InvalidInput(f"graph {graph!r} is not paused in namespace {'/'.join(ledger.namespace)!r}; paused there: {paused}")
