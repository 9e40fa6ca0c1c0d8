"""The nodes of the consolidation graph, in running order. Each is a factory that closes over the parts it needs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final
from uuid import uuid4

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.types import Send
from pydantic import JsonValue

from langchain_reflect.errors import LedgerError, ReflectError
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.lessons.capping import over_cap
from langchain_reflect.lessons.shelf import read_shelf, vectors_of
from langchain_reflect.reflection.distilling import DistilAnswer, Evidence, covered, distil_messages, edit_for, edit_of, problem_of
from langchain_reflect.reflection.linkage import lesson_clusters
from langchain_reflect.reflection.merging import Cluster, ConsolidationState, DistilInput, Distilled, DistilParts, MergeGate
from langchain_reflect.reflection.structured import Reply, UnfitReply, aask, ask
from langchain_reflect.types import SERVABLE, AppliedEdit, Lesson, LessonEdit, Namespace, ReflectionReport, Usage, now

Node = RunnableLambda[ConsolidationState, ConsolidationState]
_REMEMBERED: Final = 500
"""Newest consolidations that are looked through for what was refused before."""
_ROLLOUTS: Final = 50
"""Newest runs of a cluster in whose tasks and answers a leak is looked for."""
_DRY: Final = "a dry run: would be applied"
_DRY_REVIEW: Final = "a dry run: would wait for a person"


def new_consolidation_id() -> str:
    """Of a consolidation."""
    return f"C-{uuid4().hex[:12]}"


def load(parts: DistilParts) -> Node:
    """Find the clusters that nobody was asked about as they are now."""

    def run(state: ConsolidationState) -> ConsolidationState:
        found = _found(parts, state)
        limits = {"daily_calls": parts.policy.daily_calls, "daily_tokens": parts.policy.daily_tokens}
        errors = []
        if found and parts.book.ledger.is_spent(state["namespace"], **limits):
            errors.append(
                f"{len(found)} clusters wait: the namespace {state['namespace']!r} has used up its model calls or tokens of today"
            )
            found = []
        return {"id": state.get("id") or new_consolidation_id(), "started": now(), "clusters": found, "errors": errors}

    return RunnableLambda(run, name="load")


def one_per_cluster(state: ConsolidationState) -> list[Send] | str:
    """One question for each cluster, in parallel; straight to the end if there is none."""
    return [Send("distil", DistilInput(index=i, cluster=c)) for i, c in enumerate(state.get("clusters", []))] or "settle"


def distil(parts: DistilParts) -> RunnableLambda[DistilInput, ConsolidationState]:
    """Ask for one lesson in place of a cluster, and measure the answer."""

    def run(given: DistilInput, config: RunnableConfig) -> ConsolidationState:
        messages, check = distil_messages(parts.prompts, given["cluster"]), partial(problem_of, cluster=given["cluster"])
        try:
            reply: Reply[DistilAnswer] | UnfitReply = ask(parts.model, DistilAnswer, messages, check=check, config=config)
        except UnfitReply as error:
            reply = error
        return {"distilled": [_distilled(parts, given, reply)]}

    async def arun(given: DistilInput, config: RunnableConfig) -> ConsolidationState:
        messages, check = distil_messages(parts.prompts, given["cluster"]), partial(problem_of, cluster=given["cluster"])
        try:
            reply: Reply[DistilAnswer] | UnfitReply = await aask(parts.model, DistilAnswer, messages, check=check, config=config)
        except UnfitReply as error:
            reply = error
        return {"distilled": [await asyncio.to_thread(_distilled, parts, given, reply)]}

    return RunnableLambda(run, arun, name="distil")


def settle(parts: DistilParts) -> Node:
    """Put general lessons in place of their sources or, if nothing was asked, retire what is too many; all with the report, or nothing."""

    def run(state: ConsolidationState) -> ConsolidationState:
        asked = sorted(state.get("distilled", []), key=lambda d: d.cluster)
        edits = [d.edit for d in asked if d.edit is not None] if asked else _too_many(parts, state)
        if not asked and not edits:
            return {"report": _report(state, [])}
        if not state.get("dry_run"):
            return {"report": _committed(parts, state, edits)}
        report = _report(state, [_would_be(parts, edit) for edit in edits])
        if asked:
            parts.book.ledger.append_revisions([], closing=_closing(parts, state, report, now()))
        return {"report": report}

    return RunnableLambda(run, name="settle")


def _found(parts: DistilParts, state: ConsolidationState) -> list[Cluster]:
    ledger, space = parts.book.ledger, state["namespace"]
    shelf = read_shelf(ledger, parts.book.embedder, space)
    least = parts.near if parts.policy.cluster is None else parts.policy.cluster
    waiting = {i for review in ledger.reviews(namespace=space, state="open") if review.kind == "edit" for i in review.lessons}
    found = lesson_clusters(shelf, least=least, similar=parts.kindred, most=parts.policy.cluster_size, apart=waiting)
    found = [c for c in found if frozenset(x.id for x in c) not in state.get("apart", ())]
    if found and not state.get("retry"):
        refused = _refused_before(parts, space)
        found = [c for c in found if not refused.knows(c)]
    return found[: parts.policy.max_groups]


class _Refused:
    """Lessons, with their revisions, of which nothing came."""

    def __init__(self, edits: Sequence[AppliedEdit]) -> None:
        asked = [(frozenset(zip(e.edit.merged, e.edit.expected, strict=False)), e.review_id is not None) for e in edits]
        self._as_a_whole = {lessons for lessons, _ in asked}
        self._by_a_person = [lessons for lessons, decided in asked if decided]

    def knows(self, cluster: Cluster) -> bool:
        """Whether the same lessons, none of them changed, came to nothing before, or a person was asked about some of them."""
        present = frozenset((x.id, x.revision) for x in cluster)
        return present in self._as_a_whole or any(lessons <= present for lessons in self._by_a_person)


def _refused_before(parts: DistilParts, namespace: Namespace) -> _Refused:
    """What came to nothing in the newest consolidations."""
    edits = [e for r in parts.book.ledger.reflections(_REMEMBERED, namespace=namespace, prefix="C-") for e in r.edits]
    return _Refused([e for e in edits if not e.applied and e.edit.kind == "add" and e.reason not in (_DRY, _DRY_REVIEW)])


def _distilled(parts: DistilParts, given: DistilInput, reply: Reply[DistilAnswer] | UnfitReply) -> Distilled:
    at, cluster = given["index"], given["cluster"]
    spent = partial(Distilled, at, usage=reply.usage, replies=tuple(reply.raw))
    if isinstance(reply, UnfitReply):
        if reply.outage is not None:
            return spent(problem=str(reply), outage=reply.outage)
        return spent(problem=str(reply), refused=_not_applied(edit_for(cluster), str(reply)))
    edit, refusal = edit_of(reply.value, cluster, _evidence(parts, reply.value, cluster))
    if refusal is not None:
        return spent(refused=_not_applied(_of_whole(edit, cluster), refusal))
    if parts.gate is None:
        return spent(edit=edit)
    return _tried(parts.gate, spent, edit, cluster)


def _tried(gate: MergeGate, spent: "partial[Distilled]", edit: LessonEdit, cluster: Cluster) -> Distilled:
    assert edit.text is not None, "edit_of() refuses an answer without a text"
    try:
        trial = gate(edit.text, [x for x in cluster if x.id in edit.merged], cluster[0].namespace)
    except Exception as error:  # noqa: BLE001 - whatever a replay raises, the other clusters go on
        return spent(problem=f"it could not be tried: {type(error).__name__}: {error}")
    if trial.keep:
        return spent(edit=edit, trial=trial)
    reason = f"tried: {trial.general:.2f} with it, {trial.sources:.2f} with its sources, in {trial.runs} runs"
    return spent(refused=_not_applied(_of_whole(edit, cluster), reason), trial=trial)


def _of_whole(edit: LessonEdit, cluster: Cluster) -> LessonEdit:
    """What was refused, with all lessons that were asked about, so that it is known again."""
    return edit.model_copy(update={"merged": tuple(x.id for x in cluster), "expected": tuple(x.revision for x in cluster)})


def _evidence(parts: DistilParts, answer: DistilAnswer, cluster: Cluster) -> Evidence:
    ledger, sources = parts.book.ledger, covered(answer, cluster)
    texts = [text for x in sources for text in (x.key_text(), *x.tasks)]
    episodes = {i for x in sources for i in x.evidence}
    space = cluster[0].namespace
    rollouts = ledger.rollouts(namespace=space, episodes=episodes, newest=True, limit=_ROLLOUTS) if episodes else []
    vectors = vectors_of(ledger, parts.book.embedder, texts)
    if sources:
        vectors[answer.text.key_text()] = parts.book.embedder.embed_documents([answer.text.key_text()])[0]
    return Evidence(vectors, rollouts, min(parts.near, parts.policy.cluster or 1.0), parts.floor)


def _not_applied(edit: LessonEdit, reason: str) -> AppliedEdit:
    return AppliedEdit(edit=edit, applied=False, reason=reason)


def _too_many(parts: DistilParts, state: ConsolidationState) -> list[LessonEdit]:
    """Retire the least valuable lessons above the cap; what this consolidation made stays."""
    cap = parts.policy.max_lessons
    if cap is None:
        return []
    served = parts.book.list(state["namespace"], status=SERVABLE)
    would_be = [e.edit for e in state.get("done", ()) if e.reason == _DRY]
    left = [x for x in served if not any(x.id in edit.merged for edit in would_be)]
    made = [Lesson(id=f"N{n}", **edit.text.model_dump()) for n, edit in enumerate(would_be) if edit.text is not None]
    spared = {x.id for x in made} | {e.lesson_id for e in state.get("done", ()) if e.applied and e.lesson_id is not None}
    reason = f"the least valuable of more than {cap} lessons"
    return [LessonEdit(kind="retire", lesson_id=x.id, reason=reason) for x in over_cap([*left, *made], cap, spared=spared)]


def _would_be(parts: DistilParts, edit: LessonEdit) -> AppliedEdit:
    approved = edit.merged and any(x.approved_by for x in parts.book.ledger.lessons(ids=edit.merged))
    waits = edit.kind == "add" and (parts.book.review == "required" or approved)
    return AppliedEdit(edit=edit, applied=False, lesson_id=edit.lesson_id, reason=_DRY_REVIEW if waits else _DRY)


def _committed(parts: DistilParts, state: ConsolidationState, edits: Sequence[LessonEdit]) -> ReflectionReport:
    made: list[ReflectionReport] = []  # anew for each try, if somebody changes the same lessons meanwhile
    at = now()

    def closing(applied: Sequence[AppliedEdit]) -> Closing:
        made.append(_report(state, applied))
        return _closing(parts, state, made[-1], at)

    try:
        parts.book.commit(edits, namespace=state["namespace"], actor=state["id"], at=at, closing=closing)
    except Exception as error:
        with suppress(ReflectError):  # what was spent stays on record, if only the edits were the problem
            why = f": {error}"[:300] if isinstance(error, OSError | LedgerError) else ""
            failure = f"the edits could not be committed: {type(error).__name__}{why}"
            spent = ReflectionReport(id=state["id"], groups=len(state["clusters"]), usage=_usage(state), errors=(failure,))
            parts.book.ledger.append_revisions([], closing=Closing(report=spent, namespace=state["namespace"]))
        raise
    return made[-1]


def _closing(parts: DistilParts, state: ConsolidationState, report: ReflectionReport, at: datetime) -> Closing:
    said: list[JsonValue] = [
        {
            "cluster": [x.id for x in state["clusters"][d.cluster]],
            "revisions": [x.revision for x in state["clusters"][d.cluster]],
            "replies": list(d.replies),
            "problem": d.problem,
            "trial": None if d.trial is None else {"general": d.trial.general, "sources": d.trial.sources, "runs": d.trial.runs},
        }
        for d in state.get("distilled", [])
    ]
    prompts: JsonValue = {"version": parts.prompts.version, "hash": parts.prompts.hash}
    record: JsonValue = {"prompts": prompts, "dry_run": bool(state.get("dry_run")), "at": at.isoformat(), "said": said}
    about = {i for cluster in state["clusters"] for lesson in cluster for i in lesson.evidence}
    return Closing(report=report, namespace=state["namespace"], replies=record, about=about)


def _report(state: ConsolidationState, applied: Sequence[AppliedEdit]) -> ReflectionReport:
    distilled = sorted(state.get("distilled", []), key=lambda d: d.cluster)
    outages = [d.outage for d in distilled if d.outage is not None]
    errors = [f"cluster {', '.join(x.id for x in state['clusters'][d.cluster])}: {d.problem}" for d in distilled if d.problem]
    return ReflectionReport(
        id=state["id"],
        groups=len(state["clusters"]),
        drafts=sum(d.edit is not None or (d.refused is not None and d.refused.edit.text is not None) for d in distilled),
        edits=(*applied, *(d.refused for d in distilled if d.refused is not None)),
        usage=_usage(state),
        errors=(*state.get("errors", []), *errors),
        seconds=(now() - state["started"]).total_seconds(),
        outages=len(outages),
        retry_after=max((o.retry_after for o in outages if o.retry_after is not None), default=None),
    )


def _usage(state: ConsolidationState) -> Usage:
    return sum((d.usage for d in state.get("distilled", [])), Usage())
