"""The gate chooses among the drafts of a group, and the losers are told why."""

from dataclasses import replace

from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.reflection.drafting import Studied, not_applied, plain
from langchain_reflect.reflection.policy import Gate, GateVerdict
from langchain_reflect.types import RolloutGroup


def gated(gate: Gate, group: RolloutGroup, studied: Studied) -> Studied:
    """What a group taught, with only the draft that the gate keeps.

    Unsafe drafts are not tried on an agent; they go on to be quarantined.

    Args:
        gate: Tries the drafts.
        group: Where they come from.
        studied: With all drafts.

    Returns:
        Without drafts and `interrupted` if somebody stopped the gate: that tells nothing about the group.
    """
    unsafe = tuple(d for d in studied.drafts if suspicion(d))
    tried = tuple(d for d in studied.drafts if not suspicion(d))
    if not tried:
        return replace(studied, kept=())
    try:
        verdict = gate(group, tried)
    except InterruptedError:
        return replace(studied, drafts=(), interrupted=True)
    except Exception as error:  # noqa: BLE001 - the gate runs an agent; its failure parks this group and no other
        return replace(studied, drafts=(), parked=f"the gate failed: {type(error).__name__}: {error}")
    lost = [(draft, at) for at, draft in enumerate(tried) if at != verdict.best]
    refused = [not_applied(draft, _score(verdict, at)) for draft, at in lost]
    best = () if verdict.best is None else (tried[verdict.best],)
    return replace(studied, drafts=(*best, *unsafe), refused=(*studied.refused, *refused), kept=tuple(plain(d.do) for d in best))


def _score(verdict: GateVerdict, at: int) -> str:
    score = f"scored {verdict.scores[at]:.2f}" if at < len(verdict.scores) else "was not chosen"
    best = f", best {max(verdict.scores):.2f}" if verdict.best is not None and verdict.scores else ""
    return f"tried: {score}{best}, baseline {verdict.baseline:.2f}"
