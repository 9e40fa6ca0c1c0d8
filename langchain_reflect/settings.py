"""Settings from the environment: `REFLECT_*` variables become validated values; nothing is built here."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from langchain_reflect.types import Namespace


class ReflectSettings(BaseSettings):
    """What a `Learner` is made of. An argument wins over the environment, the environment over the default."""

    model_config = SettingsConfigDict(env_prefix="REFLECT_", frozen=True, extra="ignore")

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
    k: int = Field(default=2, ge=1, le=20)
    """Most lessons in one prompt."""
    max_tokens: int = Field(default=300, ge=0)
    """Most tokens of the prompt block."""
    floor: float | None = Field(default=None, ge=-1.0, le=1.0)
    """Cosine below which no lesson is shown; None: calibrated for the embedder; 0.0: never abstain."""
    holdout: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of episodes that get no lessons, so that uplift can be measured."""
    withhold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability of withholding an eligible lesson; None: 0.25 while candidate, 0.05 while active."""
    deadline: float = Field(default=0.3, gt=0.0)
    """Most seconds that recall may delay a run."""
    review: Literal["none", "required"] = "none"
    """Whether new lessons wait for a person."""
    reflect: Literal["background", "inline", "manual"] = "background"
    """When outcomes start a reflection: in a daemon thread, before `record_outcome` returns, or only on `learner.reflect()`."""
    durability: Literal["full", "fast"] = "full"
    """`full`: what was acknowledged survives a power cut; `fast`: a killed process only."""

    @field_validator("namespace", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part for part in value.split("/") if part) if isinstance(value, str) else value
