"""The state of a finished reflection becomes its report. Pure."""

from collections.abc import Sequence

from langchain_reflect.ledger.claims import Claim, Ending
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.reflection.outages import Outage
from langchain_reflect.reflection.state import ReflectionState
from langchain_reflect.types import AppliedEdit, ReflectionReport, Rollout, Usage, now


def report_of(state: ReflectionState, applied: Sequence[AppliedEdit], failure: Exception | None) -> ReflectionReport:
    """What the reflection did and what it cost.

    Args:
        state: After check.
        applied: What the book made of the edits.
        failure: Why they could not be committed, if so.
    """
    studied, groups = _all(state), state.get("groups", [])
    refused = [edit for s in studied for edit in s.refused] + state.get("refused", [])
    outages = outages_of(state)
    ends = {at: "is tried again later" if at in outages else "is parked" for at in parked(state)}
    errors = [f"group {groups[at].key!r} {ends[at]}: {reason}" for at, reason in sorted(parked(state).items())]
    errors += [f"group {groups[at].key!r} stays due: its gate was interrupted" for at in sorted(interrupted(state))]
    usage = sum((s.usage for s in studied), Usage()) + sum((j.usage for j in state.get("judged", [])), Usage())
    return ReflectionReport(
        id=state["id"],
        groups=len(groups),
        drafts=sum(len(s.drafts) + len(s.refused) for s in studied),
        edits=(*applied, *refused),
        usage=usage,
        errors=(*errors, *([f"the edits could not be committed: {type(failure).__name__}: {failure}"] if failure else [])),
        seconds=(now() - state["started"]).total_seconds(),
        outages=len(outages),
        interrupted=len(interrupted(state)),
        retry_after=max((o.retry_after for o in outages.values() if o.retry_after is not None), default=None),
    )


def endings(state: ReflectionState) -> list[Ending]:
    """What becomes of the jobs that were taken.

    Args:
        state: After curate.
    """
    return [_ending(state, at, claim) for at, claim in enumerate(state.get("claims", []))]


def _ending(state: ReflectionState, at: int, claim: Claim) -> Ending:
    rollouts, reasons, outages = state["groups"][at].rollouts, parked(state), outages_of(state)
    if at in interrupted(state):
        return Ending(claim, "released", rollouts, "its gate was interrupted")
    if at in outages:
        return Ending(claim, "failed", rollouts, reasons[at], outages[at].retry_after)
    return Ending(claim, "parked" if at in reasons else "done", rollouts, reasons.get(at))


def seen(state: ReflectionState) -> list[Rollout]:
    """Rollouts of groups that are done and were given, not taken.

    Args:
        state: After curate.
    """
    waiting = parked(state).keys() | interrupted(state)
    given = [] if state.get("claims") else state.get("groups", [])
    return [r for at, g in enumerate(given) if at not in waiting for r in g.rollouts]


def outages_of(state: ReflectionState) -> dict[int, Outage]:
    """The outages that kept groups from being learned from, by the groups' index.

    Args:
        state: After contrast.
    """
    return {s.group: s.outage for s in _all(state) if s.outage is not None and s.group not in interrupted(state)}


def parked(state: ReflectionState) -> dict[int, str]:
    """Why nothing was learned from groups, by their index.

    Args:
        state: After curate.
    """
    return {s.group: s.parked for s in _all(state) if s.parked is not None and s.group not in interrupted(state)}


def interrupted(state: ReflectionState) -> set[int]:
    """Indices of the groups whose gate was stopped.

    Args:
        state: After contrast.
    """
    return {s.group for s in state.get("studied", []) if s.interrupted}


def _all(state: ReflectionState) -> list[Studied]:
    return [*state.get("studied", []), *state.get("waiting", [])]
