"""Settings from the environment: `REFLECT_*` variables become validated values; nothing is built here."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from typing_extensions import TypedDict

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import Namespace
from langchain_reflect.types.block import BlockTemplate

_MOST: Final = 20


class ReflectSettings(BaseSettings):
    """What a `Learner` is made of. An argument wins over the environment, the environment over the default."""

    model_config = SettingsConfigDict(env_prefix="REFLECT_", frozen=True, extra="forbid")

    path: Path = Path("./.reflect")
    """Folder of the embedded default: `ledger.db` and `chroma/`."""
    ledger_url: str | None = None
    """SQLAlchemy URL of the ledger; None: SQLite in `path`."""
    chroma: str | None = None
    """URL of a Chroma server; None: embedded in `path`."""
    model: str | None = None
    """Chat model that reflects, as `provider:model`; None: no reflection until one is given."""
    embeddings: str | None = None
    """Embeddings as `provider:model`; None: all-MiniLM-L6-v2 in process."""
    namespace: Annotated[Namespace, NoDecode] = ("default",)
    """Whose lessons; in the environment parts are separated by `/`. Placeholders `{user_id}` are filled from `config["configurable"]`."""
    k: int | Literal["auto"] = 2
    """Most lessons in one prompt; `auto` compares 1, 2 and 3, and comes to what helps most."""
    max_tokens: int = Field(default=300, ge=0)
    """Most tokens of the prompt block."""
    floor: float | None = Field(default=None, ge=-1.0, le=1.0)
    """Cosine below which no lesson is shown; None: calibrated for the embedder; 0.0: never abstain."""
    holdout: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of episodes that get no lessons, so that uplift can be measured."""
    placebo: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of episodes that get neutral text in place of lessons: tells the effect of a block from that of what it says."""
    withhold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability of withholding an eligible lesson; None: 0.25 while candidate, 0.05 while active."""
    unit: Literal["thread", "episode", "user"] = "thread"
    """What chance is drawn for: a conversation as a whole, each run, or a user in all conversations."""
    deadline: float = Field(default=0.3, gt=0.0)
    """Most seconds that recall may delay a run."""
    durable_start: bool = False
    """Whether a run waits until its start is in the ledger, so that one that is killed leaves an episode."""
    review: Literal["none", "required"] = "none"
    """Whether new lessons wait for a person."""
    reflect: Literal["background", "inline", "manual"] = "background"
    """When outcomes start a reflection: in a daemon thread, before `record_outcome` returns, or only on `learner.reflect()`."""
    record: Literal["background", "before_return"] = "background"
    """Whether a run's episode is written in a thread of its own, or is in the ledger when the run returns."""
    durability: Literal["full", "fast"] = "full"
    """`full`: what was acknowledged survives a power cut; `fast`: a killed process only."""

    @model_validator(mode="after")
    def _all_runs(self) -> Self:
        if self.holdout + self.placebo > 1:
            raise ValueError("holdout and placebo are more than all runs; expected a sum up to 1")
        return self

    @field_validator("k", mode="plain")
    @classmethod
    def _k(cls, value: object) -> int | Literal["auto"]:
        if value == "auto":
            return "auto"
        if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdecimal() and 1 <= int(value) <= _MOST:
            return int(value)
        raise ValueError(f"Input should be an integer from 1 to {_MOST}, or 'auto'")

    @field_validator("namespace", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part for part in value.split("/") if part) if isinstance(value, str) else value


class Options(TypedDict, total=False):
    """Settings that may be given as arguments; see `ReflectSettings` for what they mean."""

    namespace: Namespace
    k: int | Literal["auto"]
    max_tokens: int
    floor: float | None
    holdout: float
    placebo: float
    withhold: float | None
    unit: Literal["thread", "episode", "user"]
    deadline: float
    durable_start: bool
    review: Literal["none", "required"]
    reflect: Literal["background", "inline", "manual"]
    record: Literal["background", "before_return"]
    durability: Literal["full", "fast"]


class PerGraph(TypedDict, total=False):
    """What can differ from one wrapped graph to the next."""

    namespace: Namespace
    k: int | Literal["auto"]
    max_tokens: int
    floor: float | None
    holdout: float
    placebo: float
    withhold: float | None
    unit: Literal["thread", "episode", "user"]
    deadline: float
    durable_start: bool
    block: BlockTemplate


def settings_from(settings: ReflectSettings | None, given: Mapping[str, Any]) -> ReflectSettings:
    """Settings with arguments laid over them.

    Args:
        settings: The base; None: the environment.
        given: Arguments; those that are None count as not given.

    Raises:
        InvalidInput: A value is out of range or of the wrong type.
    """
    base = {} if settings is None else settings.model_dump(exclude_unset=True)
    try:
        return ReflectSettings(**(base | {name: value for name, value in given.items() if value is not None}))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}={e['input']!r}: {e['msg']}" for e in error.errors())
        raise InvalidInput(f"settings cannot be used: {problems} (an argument, or a REFLECT_* variable of the environment)") from error


def refuse_unknown(call: Callable[..., Any], given: Mapping[str, Any], options: type) -> None:
    """Let no misspelt option pass for one that was not given.

    Args:
        call: The function or class that was called; its own parameters with a default are options as well.
        given: Its `**options`.
        options: A `TypedDict` of those that exist.

    Raises:
        InvalidInput: One does not exist; the message has its name, the nearest, and all that exist.
    """
    if not given.keys() - options.__annotations__.keys():
        return
    own = {name for name, each in signature(call).parameters.items() if each.default is not Parameter.empty}
    known = sorted(own | options.__annotations__.keys())
    for name in sorted(given.keys() - set(known)):
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? Expected" if near else "expected"
        raise InvalidInput(f"{call.__name__} has no option {name!r}; {hint} {', '.join(known)}")
