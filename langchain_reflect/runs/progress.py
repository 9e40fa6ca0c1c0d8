"""How far many runs have come, for whoever waits at a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


@contextmanager
def progress_of(total: int, label: str, *, show: bool) -> Iterator[Callable[[], None]]:
    """A bar on standard error while runs are made; nothing where that is no terminal.

    Args:
        total: Number of runs.
        label: What is being done.
        show: False: no bar at all.

    Yields:
        To be called after each run.
    """
    if not (show and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield partial(progress.advance, progress.add_task(label, total=total))
