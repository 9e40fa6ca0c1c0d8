"""The state of a finished reflection becomes its report. Pure."""

from collections.abc import Sequence

from pydantic import JsonValue

from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.state import CURATE, ReflectionState
from langchain_reflect.types import AppliedEdit, ReflectionReport, Rollout, Usage, now


def report_of(state: ReflectionState, applied: Sequence[AppliedEdit], failure: Exception | None) -> ReflectionReport:
    """What the reflection did and what it cost.

    Args:
        state: After check.
        applied: What the book made of the edits.
        failure: Why they could not be committed, if so.
    """
    studied, groups = state.get("studied", []), state.get("groups", [])
    refused = [edit for s in studied for edit in s.refused] + state.get("refused", [])
    errors = [f"group {groups[at].key!r} is parked: {reason}" for at, reason in sorted(parked(state).items())]
    errors += [f"group {groups[at].key!r} stays due: its gate was interrupted" for at in sorted(interrupted(state))]
    return ReflectionReport(
        id=state["id"],
        groups=len(groups),
        drafts=sum(len(s.drafts) + len(s.refused) for s in studied),
        edits=(*applied, *refused),
        usage=sum((s.usage for s in studied), Usage()),
        errors=(*errors, *([f"the edits could not be committed: {type(failure).__name__}: {failure}"] if failure else [])),
        seconds=(now() - state["started"]).total_seconds(),
    )


def replies_of(state: ReflectionState, prompts: Prompts) -> JsonValue:
    """What the model said, group by group, with the wording it was asked in.

    Args:
        state: After curate.
        prompts: What it was asked.
    """
    groups = state.get("groups", [])
    said: list[JsonValue] = [
        {"group": "curate" if s.group == CURATE else groups[s.group].key, "parked": s.parked, "replies": list(s.replies)}
        for s in state.get("studied", [])
        if s.replies or s.parked
    ]
    return {"prompts": {"version": prompts.version, "hash": prompts.hash}, "said": said}


def seen(state: ReflectionState) -> list[Rollout]:
    """Rollouts of the groups that are done.

    Args:
        state: After curate.
    """
    waiting = parked(state).keys() | interrupted(state)
    return [r for at, g in enumerate(state.get("groups", [])) if at not in waiting for r in g.rollouts]


def unlearned(state: ReflectionState) -> list[Rollout]:
    """Rollouts of the parked groups.

    Args:
        state: After curate.
    """
    return [r for at in sorted(parked(state)) for r in state["groups"][at].rollouts]


def parked(state: ReflectionState) -> dict[int, str]:
    """Why nothing was learned from groups, by their index.

    Args:
        state: After curate.
    """
    return {s.group: s.parked for s in state.get("studied", []) if s.parked is not None and s.group not in interrupted(state)}


def interrupted(state: ReflectionState) -> set[int]:
    """Indices of the groups whose gate was stopped.

    Args:
        state: After contrast.
    """
    return {s.group for s in state.get("studied", []) if s.interrupted}
