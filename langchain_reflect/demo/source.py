"""Which model plays in the demo: the one that was asked for, the small one on this machine, or a simulation that says that it is one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from rich.console import Console

from langchain_reflect.demo.local_model import CONCURRENCY, NAME, local_model
from langchain_reflect.demo.weights import find_weights
from langchain_reflect.errors import MissingExtra, ModelMissing
from langchain_reflect.reflection.models import resolve_model

SIMULATED: Final = "simulated"
_ANSWER_TOKENS: Final = 60
_ANSWER_TEMPERATURE: Final = 0.2
_HOSTED_CONCURRENCY: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoModel:
    """A chat model and how the demo's agent calls it."""

    chat: BaseChatModel
    label: str
    simulated: bool = False
    concurrency: int = _HOSTED_CONCURRENCY
    """Most runs at a time."""
    options: Callable[[int], Mapping[str, Any]] = lambda _: {}
    """Options of one call, by the run's seed."""


@contextmanager
def open_model(model: BaseChatModel | str | None, *, seed: int, console: Console) -> Iterator[DemoModel]:
    """The demo's model, for as long as the context is open.

    Args:
        model: An instance, `provider:model`, `simulated`, or None for the small model on this machine.
        seed: Of the sampling.
        console: Where a download is drawn, and where it is said if no language model can be had.

    Raises:
        InvalidInput: The name cannot be read.
        MissingExtra: The provider's package is not installed.
    """
    with ExitStack() as opened:
        if model is None:
            yield _small(opened, seed, console)
        elif model == SIMULATED:
            yield _simulated(seed)
        else:
            chat = resolve_model(model)
            yield DemoModel(chat=chat, label=model if isinstance(model, str) else _name(chat), simulated=_name(chat) == SIMULATED)


def _small(opened: ExitStack, seed: int, console: Console) -> DemoModel:
    try:
        chat = opened.enter_context(local_model(find_weights(console=console), seed=seed))
    except (ModelMissing, MissingExtra) as error:
        console.print(f"[yellow]No language model can be had, so a SIMULATED one plays its part:[/] {error}", highlight=False)
        return _simulated(seed)
    return DemoModel(chat=chat, label=NAME, concurrency=CONCURRENCY, options=_sampling)


def _sampling(run_seed: int) -> Mapping[str, Any]:
    return {"seed": run_seed, "max_tokens": _ANSWER_TOKENS, "temperature": _ANSWER_TEMPERATURE}


def _simulated(seed: int) -> DemoModel:
    from langchain_reflect.testing.simulated import SimulatedModel

    return DemoModel(chat=SimulatedModel(seed=seed), label=SIMULATED, simulated=True)


def _name(chat: BaseChatModel) -> str:
    return str(getattr(chat, "model", None) or getattr(chat, "model_name", None) or type(chat).__name__)
