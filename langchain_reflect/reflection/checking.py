"""The last look at edits before they are made. Pure."""

from collections.abc import Iterable, Sequence

from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.reflection.curation import Proposal
from langchain_reflect.reflection.drafting import one_instance
from langchain_reflect.types import AppliedEdit, Rollout, RolloutGroup


def narrowed(proposals: Iterable[Proposal], groups: Sequence[RolloutGroup]) -> tuple[list[Proposal], list[AppliedEdit]]:
    """The edits that may be made, and the refused ones with the reason.

    A wording that is about one task is refused, and an unsafe one is kept away from lessons that are served; as a lesson of its own it is
    quarantined.

    Args:
        proposals: From the curation.
        groups: Where they come from.
    """
    kept: list[Proposal] = []
    refused: list[AppliedEdit] = []
    for proposal in proposals:
        problem = _problem(proposal, groups[proposal.group].rollouts)
        if problem is None:
            kept.append(proposal)
        else:
            refused.append(AppliedEdit(edit=proposal.edit, applied=False, lesson_id=proposal.edit.lesson_id, reason=problem))
    names = {p.edit.name for p in kept if p.edit.name}
    return [p for p in kept if _stands(p, names)], refused


def _problem(proposal: Proposal, rollouts: Sequence[Rollout]) -> str | None:
    text = proposal.edit.text
    if text is None:
        return None
    unsafe = suspicion(text) if proposal.edit.kind != "add" else None
    return unsafe or one_instance(text, rollouts)


def _stands(proposal: Proposal, names: set[str]) -> bool:
    """A contradiction with a draft that was refused is none."""
    edit = proposal.edit
    return edit.kind != "contradict" or all(i.startswith("L-") or i in names for i in (edit.lesson_id or "", *edit.against))
