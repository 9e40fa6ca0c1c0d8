"""`reflect demo`: an agent learns from its outcomes while you watch."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer tasks: 140 s of CPU time, so 70 s at best on two cores.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the lessons of earlier demos first.")] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Any chat model as `provider:model`, or `simulated`; default: a small model that runs here.", show_default=False),
    ] = None,
    path: Annotated[Path, typer.Option(help="Folder of the demo's ledger, index and picture.")] = Path("./reflect-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the tasks.")] = 7,
) -> None:
    """Watch an agent fail, learn lessons from its outcomes, and do better on tasks it has not seen."""
    from langchain_reflect.demo.flow import run_demo

    run_demo(path=path, model=model, quick=quick, fresh=fresh, seed=seed)
