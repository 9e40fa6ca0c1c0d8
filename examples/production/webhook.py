"""A webhook that takes outcomes: `uvicorn webhook:app`. It has the ledger and nothing else: no model, no embeddings, no Chroma.

Whoever may post here can teach the agent. Before it leaves loopback, let it check the sender's signature, and take `source` and the
namespace from who the sender is, not from what it says.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictFloat

from langchain_reflect import Ledger, Outcome
from langchain_reflect.errors import EpisodeErased, InvalidInput, LedgerError
from langchain_reflect.settings import ReflectSettings

logger = logging.getLogger("uvicorn.error")


class Report(BaseModel):
    """What a grader sends."""

    model_config = ConfigDict(extra="forbid")

    episode: str
    """The run's id."""
    key: Annotated[str, Field(min_length=1)]
    """The event's id: a report that is delivered again has the same."""
    reward: StrictBool | StrictFloat | None = None
    feedback: str | None = None
    source: str = "user"
    observed_at: AwareDatetime | None = None
    """When it was judged. Of several reports of one source and key the latest counts, in whatever order they arrive."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The ledger is open as long as the server runs."""
    known = ReflectSettings()
    with Ledger(known.ledger_url or known.path, namespace=known.namespace, durability=known.durability) as ledger:
        app.state.ledger = ledger
        yield


app = FastAPI(title="outcomes", lifespan=lifespan)


@app.post("/outcomes")
def post_outcome(report: Report, request: Request) -> Outcome:
    """Keep a judgement: it is on disk when this answers. Answers with what counts now for this episode, source and key."""
    ledger: Ledger = request.app.state.ledger
    given = report.model_dump(exclude={"episode"})
    return ledger.record_outcome(report.episode, **given)


@app.get("/health")
def get_health() -> dict[str, bool]:
    """Whether the server takes requests."""
    return {"ok": True}


@app.exception_handler(RequestValidationError)
def refuse_form(_: Request, error: RequestValidationError) -> JSONResponse:
    """The report lacks something, or has what no report has."""
    return _refusal(422, "; ".join(f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors()))


@app.exception_handler(InvalidInput)
def refuse_value(_: Request, error: InvalidInput) -> JSONResponse:
    """The report cannot be meant; sending it again will not help."""
    return _refusal(422, error)


@app.exception_handler(EpisodeErased)
def refuse_erased(_: Request, error: EpisodeErased) -> JSONResponse:
    """The episode was erased and stays so."""
    return _refusal(410, error)


@app.exception_handler(LedgerError)
def postpone(_: Request, error: LedgerError) -> JSONResponse:
    """The database is away for longer than the ledger waits; the sender is to try again."""
    logger.error("an outcome was not kept: %s", error)
    return _refusal(503, "the ledger cannot be reached; send it again later")


def _refusal(status: int, error: Any) -> JSONResponse:
    return JSONResponse({"error": str(error).encode(errors="backslashreplace").decode()}, status)
