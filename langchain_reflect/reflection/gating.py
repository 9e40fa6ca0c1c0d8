"""The gate chooses among the drafts of a group, and the losers are told why; then it tries what they change of lessons that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.reflection.curation import Proposal
from langchain_reflect.reflection.drafting import Studied, not_applied, plain
from langchain_reflect.reflection.policy import EditGate, Gate, GateVerdict
from langchain_reflect.types import SERVABLE, AppliedEdit, Lesson, LessonEdit, LessonText, RolloutGroup

_CHANGES: Final = ("revise", "merge", "retire")


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


@dataclass(slots=True)
class Tried:
    """What became of the changes of lessons that are there."""

    kept: list[Proposal] = field(default_factory=list)
    refused: list[AppliedEdit] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Names of the edits that were refused, see `name_of`."""
    waiting: list[Studied] = field(default_factory=list)
    """Groups whose gate failed or was stopped; none of their edits is made."""


def tried(gate: object, proposals: Sequence[Proposal], groups: Sequence[RolloutGroup], lessons: Mapping[str, Lesson]) -> Tried:
    """The edits that a gate lets through, if it tries edits at all; new lessons it has tried as drafts.

    Args:
        gate: Any; only an `EditGate` is asked.
        proposals: All edits.
        groups: Where they come from.
        lessons: Those that are changed, by id.
    """
    found = Tried()
    if not isinstance(gate, EditGate):
        found.kept = list(proposals)
        return found
    for proposal in proposals:
        if proposal.group in {s.group for s in found.waiting}:
            continue
        try:
            problem = _problem(gate, proposal, groups, lessons, proposals)
        except InterruptedError:
            found.waiting.append(Studied(group=proposal.group, interrupted=True))
        except Exception as error:  # noqa: BLE001 - as for drafts
            found.waiting.append(Studied(group=proposal.group, parked=f"the gate failed: {type(error).__name__}: {error}"))
        else:
            _sort(found, proposal, problem)
    stuck = {s.group for s in found.waiting}
    found.kept = [p for p in found.kept if p.group not in stuck]
    return found


def name_of(edit: LessonEdit) -> str:
    """Tells the edits of one reflection apart.

    Args:
        edit: Of a lesson that is there.
    """
    return f"{edit.kind} {edit.lesson_id} {','.join(edit.merged)} {plain(edit.text.do) if edit.text else ''}".strip()


def _sort(found: Tried, proposal: Proposal, problem: str | None) -> None:
    if problem is None:
        found.kept.append(proposal)
        return
    edit = proposal.edit
    found.refused.append(AppliedEdit(edit=edit, applied=False, lesson_id=edit.lesson_id, reason=problem))
    found.lost.append(name_of(edit))


def _problem(
    gate: EditGate,
    proposal: Proposal,
    groups: Sequence[RolloutGroup],
    lessons: Mapping[str, Lesson],
    proposals: Sequence[Proposal],
) -> str | None:
    """Why an edit is not made; None if it may be, or changes nothing that an agent is shown."""
    edit = proposal.edit
    before = [lessons[i] for i in (edit.lesson_id or "", *edit.merged) if i in lessons and lessons[i].status in SERVABLE]
    changes = edit.kind in _CHANGES and (edit.kind == "retire" or edit.text is not None or bool(edit.merged))
    if not changes or not before:
        return None
    return gate.try_edit(edit, before, _after(proposal, before, proposals), groups[proposal.group])


def _after(proposal: Proposal, before: Sequence[Lesson], proposals: Sequence[Proposal]) -> list[LessonText]:
    """What is there in place of the lessons: the new wording, the one that stays, or the draft that shows a lesson wrong."""
    edit = proposal.edit
    if edit.kind == "retire":
        return [p.edit.text for p in proposals if p.group == proposal.group and p.edit.kind == "add" and p.edit.text is not None]
    return [edit.text] if edit.text is not None else [before[0].text]


def _score(verdict: GateVerdict, at: int) -> str:
    score = f"scored {verdict.scores[at]:.2f}" if at < len(verdict.scores) else "was not chosen"
    best = f", best {max(verdict.scores):.2f}" if verdict.best is not None and verdict.scores else ""
    return f"tried: {score}{best}, baseline {verdict.baseline:.2f}"
