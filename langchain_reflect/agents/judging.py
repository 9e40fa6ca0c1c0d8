"""A verifier judges a run, and the ledger keeps what it says."""

from collections.abc import Callable
from typing import Any, Protocol, Unpack
from uuid import UUID

from langchain_reflect.agents.episodes import OpenEpisode
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.threads import Past
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.types import Outcome
from langchain_reflect.verifiers import judge as ask

Verify = Callable[..., Any]


class Keeps(Past, Protocol):
    """What keeps outcomes, and knows episodes of other processes."""

    def record_outcome(self, episode_id: UUID, **given: Unpack[OutcomeFields]) -> Outcome:
        """Keep a judgement."""


def judge(episode: OpenEpisode, verify: Verify, ledger: Keeps, health: Health) -> Outcome | None:
    """Ask the verifier about an episode that is recorded already; None if it fails or abstains.

    Args:
        episode: The run: its input and output as the graph's own objects.
        verify: `verify(inputs=..., outputs=...)`, sync or async.
        ledger: Keeps the outcome, with the source `verifier`, or `judge` for a model's opinion.
        health: Counts and logs a verifier that fails.
    """
    try:
        verdict = ask(verify, inputs=episode.given, outputs=episode.tape.output)
        if verdict.abstained:
            return None
        given: OutcomeFields = {"reward": verdict.reward, "feedback": verdict.feedback, "detail": verdict.detail, "source": verdict.source}
        given["namespace"] = episode.namespace
        return ledger.record_outcome(episode.id, **given)
    except Exception as error:  # noqa: BLE001 - the verifier is the user's code, and the recorder must go on
        health.note("verifier failed", f"a run of {episode.graph!r} was not judged: {type(error).__name__}: {error}", error=error)
        return None
