"""The nodes of the reflection graph, in running order. Each is a factory that closes over the parts it needs."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import numpy as np
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.types import Send
from numpy.typing import NDArray

from langchain_reflect.errors import LedgerError, ReflectError
from langchain_reflect.ledger.claims import Claim, Closing
from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.reflection.curation import Candidate, Curation, Proposal, problem_of
from langchain_reflect.reflection.drafting import Question, Studied, conclude, one_instance, plain, questions
from langchain_reflect.reflection.gating import gated
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.prompts import curate_messages
from langchain_reflect.reflection.reporting import endings, replies_of, report_of, seen
from langchain_reflect.reflection.schemas import CurateAnswer, DraftsAnswer
from langchain_reflect.reflection.state import CURATE, ContrastInput, Parts, ReflectionState
from langchain_reflect.reflection.structured import Reply, UnfitReply, aask, ask
from langchain_reflect.types import (
    AppliedEdit,
    Job,
    Lesson,
    LessonEdit,
    LessonStatus,
    LessonText,
    Namespace,
    ReflectionReport,
    Rollout,
    RolloutGroup,
    Usage,
    now,
)

Node = RunnableLambda[ReflectionState, ReflectionState]
Drafts = Reply[DraftsAnswer] | UnfitReply
Curated = Reply[CurateAnswer] | UnfitReply
Near = Sequence[tuple[str, LessonText]]
_UNSERVED: Final[tuple[LessonStatus, ...]] = ("proposed", "quarantined", "retired")


def load(parts: Parts) -> Node:
    """Find the groups that are ready, and the lessons that were shown in them."""

    def run(state: ReflectionState) -> ReflectionState:
        if state.get("retry"):
            parts.ledger.free(namespace=state.get("namespace"), graph=state.get("graph"), episodes=state.get("episodes"))
        started, reflection_id = now(), state.get("id") or new_id()
        claims, groups = ([], state["groups"]) if state.get("groups") else _taken(parts, state, reflection_id)
        ids = {i for g in groups for r in g.rollouts for i in r.episode.shown}
        shown = {lesson.id: lesson for lesson in parts.ledger.lessons(ids=ids)} if ids else {}
        return {"id": reflection_id, "started": started, "claims": claims, "groups": groups, "shown": shown}

    return RunnableLambda(run, name="load")


def one_per_group(state: ReflectionState) -> list[Send] | str:
    """One contrast for each group, in parallel; straight to the end if there is none."""
    groups, shown = state.get("groups", []), state.get("shown", {})
    sends = [Send("contrast", ContrastInput(index=i, group=g, shown=_of_space(shown, g.namespace))) for i, g in enumerate(groups)]
    return sends or "commit"


def contrast(parts: Parts) -> RunnableLambda[ContrastInput, ReflectionState]:
    """Ask what one group teaches, and let the gate choose."""

    def run(given: ContrastInput, config: RunnableConfig) -> ReflectionState:
        asked = [(q, _drafts(parts, q, config)) for q in _questions(parts, given)]
        return {"studied": [_studied(parts, given, asked)]}

    async def arun(given: ContrastInput, config: RunnableConfig) -> ReflectionState:
        due = _questions(parts, given)
        replies = await asyncio.gather(*(_adrafts(parts, q, config) for q in due))
        return {"studied": [await asyncio.to_thread(_studied, parts, given, list(zip(due, replies, strict=True)))]}

    return RunnableLambda(run, arun, name="contrast")


def curate(parts: Parts) -> Node:
    """Turn drafts into edits: support what is known, ask about what is near, add what is new."""

    def run(state: ReflectionState, config: RunnableConfig) -> ReflectionState:
        curation, spent = Curation(parts.policy, _had(state)), list[Curated]()
        for candidate in _candidates(parts, state):
            if near := curation.near(candidate):
                spent.append(_curated(parts, candidate, near, config))
                _settle(curation, candidate, near, spent[-1])
        return _edits(curation, spent)

    async def arun(state: ReflectionState, config: RunnableConfig) -> ReflectionState:
        curation, spent = Curation(parts.policy, _had(state)), list[Curated]()
        for candidate in await asyncio.to_thread(_candidates, parts, state):
            if near := curation.near(candidate):
                spent.append(await _acurated(parts, candidate, near, config))
                _settle(curation, candidate, near, spent[-1])
        return _edits(curation, spent)

    return RunnableLambda(run, arun, name="curate")


def check(state: ReflectionState) -> ReflectionState:
    """Refuse edits whose wording is about one task, and keep unsafe wordings away from lessons that are served."""
    kept: list[Proposal] = []
    refused: list[AppliedEdit] = []
    for proposal in state.get("proposals", []):
        problem = _problem(proposal, state["groups"][proposal.group].rollouts)
        if problem is None:
            kept.append(proposal)
        else:
            refused.append(AppliedEdit(edit=proposal.edit, applied=False, lesson_id=proposal.edit.lesson_id, reason=problem))
    return {"proposals": kept, "refused": refused}


def commit(parts: Parts) -> Node:
    """Apply the edits, end the jobs, and keep the report with the model's raw answers: all of it in one transaction, or nothing."""

    def run(state: ReflectionState) -> ReflectionState:
        if not state.get("groups"):
            parts.leases.let_go(state["id"])
            return {"report": report_of(state, [], None)}
        applied: list[AppliedEdit] = []
        *others, (last, edits) = _by_namespace(state["groups"], state.get("proposals", []))
        try:
            for namespace, theirs in others:
                applied += parts.book.commit(theirs, namespace=namespace, actor=state["id"])
            made: list[Closing] = []  # anew for each try, if somebody changes the same lessons meanwhile
            parts.book.commit(edits, namespace=last, actor=state["id"], closing=partial(_closing, parts, state, applied, made))
        except Exception as error:
            with suppress(ReflectError):  # what was spent stays on record, if only the edits were the problem
                parts.ledger.append_revisions([], closing=_spent(state, error))
            raise
        parts.leases.let_go(state["id"])
        return {"report": made[-1].report}

    return RunnableLambda(run, name="commit")


def new_id() -> str:
    """Of a reflection."""
    return f"R-{uuid4().hex[:12]}"


def _closing(
    parts: Parts, state: ReflectionState, before: Sequence[AppliedEdit], made: list[Closing], applied: Sequence[AppliedEdit]
) -> Closing:
    closing = Closing(
        report=report_of(state, [*before, *applied], None),
        namespace=state["groups"][-1].namespace,
        endings=endings(state),
        seen=seen(state),
        replies=replies_of(state, parts.prompts),
        max_failures=parts.policy.max_failures,
    )
    made.append(closing)
    return closing


def _spent(state: ReflectionState, error: Exception) -> Closing:
    """What is kept of a reflection that could not be committed: what it cost. No text, because what it was about may have been erased."""
    said = report_of(state, [], None)
    why = f": {error}"[:300] if isinstance(error, OSError | LedgerError) else ""
    failure = f"the edits could not be committed: {type(error).__name__}{why}"
    report = ReflectionReport(id=said.id, groups=said.groups, usage=said.usage, seconds=said.seconds, errors=(failure,))
    return Closing(report=report, namespace=state["groups"][-1].namespace)


def _taken(parts: Parts, state: ReflectionState, reflection_id: str) -> tuple[list[Claim], list[RolloutGroup]]:
    """Jobs that nobody else has, and their groups as they are by now; what is ready is planned if there is no job yet."""
    jobs = _claimed(parts, state) or (_claimed(parts, state) if parts.ledger.plan(_ready(parts, state)) else [])
    claims = [Claim(job.id, job.fence) for job in jobs]
    parts.leases.hold(reflection_id, claims)
    ids = [i for job in jobs for i in job.episodes]
    full = {r.episode.id: r for r in parts.ledger.rollouts(episodes=ids, limit=None)} if ids else {}
    pairs = [(claim, _group(job, [full[i] for i in job.episodes if i in full])) for claim, job in zip(claims, jobs, strict=True)]
    parts.ledger.drop([claim for claim, group in pairs if group is None])  # what was said of them changed meanwhile
    kept = [(claim, group) for claim, group in pairs if group is not None]
    parts.leases.hold(reflection_id, [claim for claim, _ in kept], [group.rollouts for _, group in kept])
    return [claim for claim, _ in kept], [group for _, group in kept]


def _claimed(parts: Parts, state: ReflectionState) -> list[Job]:
    return parts.ledger.claim(
        parts.leases.owner,
        limit=state.get("limit") or parts.policy.max_groups,
        lease=parts.policy.lease,
        namespace=state.get("namespace"),
        graph=state.get("graph"),
        episodes=state.get("episodes"),
        daily_calls=parts.policy.daily_calls,
        daily_tokens=parts.policy.daily_tokens,
        max_failures=parts.policy.max_failures,
    )


def _group(job: Job, rollouts: Sequence[Rollout]) -> RolloutGroup | None:
    if not rollouts:
        return None
    oldest = tuple(sorted(rollouts, key=lambda r: (r.episode.started_at, str(r.episode.id))))
    task = oldest[0].episode.task
    return RolloutGroup(key=job.key, namespace=job.namespace, graph=job.graph, task=task, rollouts=oldest, reason=job.reason)


def _ready(parts: Parts, state: ReflectionState) -> list[RolloutGroup]:
    """The groups that are ready now, without trajectories: what waits may be much more than what is ready."""
    rollouts = _waiting(parts, state)
    return ready_groups(rollouts, vectors=_task_vectors(parts, rollouts), policy=parts.policy, now=now())


def _waiting(parts: Parts, state: ReflectionState) -> list[Rollout]:
    """Due rollouts without trajectories, so many that successes, which mostly stay due for ever, keep no failure out."""
    read = partial(
        parts.ledger.rollouts,
        namespace=state.get("namespace"),
        graph=state.get("graph"),
        episodes=state.get("episodes"),
        unreflected=True,
        newest=True,
        trajectories=False,
        limit=parts.policy.window,
    )
    newest = read()
    return newest if len(newest) < parts.policy.window else [*newest, *read(below=parts.policy.success)]


def _task_vectors(parts: Parts, rollouts: Sequence[Rollout]) -> dict[UUID, NDArray[np.float32]]:
    """Vectors of the tasks without a key. The ledger keeps them, so that each text is embedded once."""
    free = [r.episode for r in rollouts if r.episode.task_key is None]
    tasks = list(dict.fromkeys(e.task for e in free))
    embedder = parts.book.embedder
    rows = parts.ledger.text_vectors(embedder.id, tasks)
    if fresh := [task for task in tasks if task not in rows]:
        made = dict(zip(fresh, embedder.embed_documents(fresh), strict=True))
        parts.ledger.put_vectors(embedder.id, made)
        rows |= made
    return {e.id: rows[e.task] for e in free}


def _of_space(lessons: dict[str, Lesson], namespace: Namespace) -> dict[str, Lesson]:
    return {i: lesson for i, lesson in lessons.items() if lesson.namespace == namespace}


def _questions(parts: Parts, given: ContrastInput) -> list[Question]:
    gated = parts.gate is not None
    return questions(given["group"], policy=parts.policy, prompts=parts.prompts, lessons=given["shown"], gated=gated)


def _drafts(parts: Parts, question: Question, config: RunnableConfig) -> Drafts:
    try:
        return ask(parts.model, DraftsAnswer, question.messages, check=question.problem, config=config)
    except UnfitReply as error:
        return error


async def _adrafts(parts: Parts, question: Question, config: RunnableConfig) -> Drafts:
    try:
        return await aask(parts.model, DraftsAnswer, question.messages, check=question.problem, config=config)
    except UnfitReply as error:
        return error


def _studied(parts: Parts, given: ContrastInput, asked: Sequence[tuple[Question, Drafts]]) -> Studied:
    group = given["group"]
    studied = conclude(given["index"], group, asked, policy=parts.policy, gated=parts.gate is not None)
    return studied if parts.gate is None else gated(parts.gate, group, studied)


def _candidates(parts: Parts, state: ReflectionState) -> list[Candidate]:
    """The drafts of all groups with their neighbours in the book, in the order of the groups."""
    studied = sorted(state.get("studied", []), key=lambda s: s.group)
    found = [(draft, s.group) for s in studied for draft in s.drafts]
    if not found:
        return []
    vectors = parts.book.embedder.embed_documents([draft.key_text() for draft, _ in found])
    spaces = [state["groups"][at].namespace for _, at in found]
    unserved = {space: {plain(x.do): x for x in parts.ledger.lessons(namespace=space, statuses=_UNSERVED)} for space in set(spaces)}
    return [
        Candidate(draft, at, space, vector, _nearest(parts, vector, space), unserved[space].get(plain(draft.do)))
        for (draft, at), vector, space in zip(found, vectors, spaces, strict=True)
    ]


def _nearest(parts: Parts, vector: NDArray[np.float32], namespace: Namespace) -> tuple[tuple[Lesson, float], ...]:
    """Servable lessons by the cosine of what they say; the book also finds them by their tasks, which tell nothing about sameness."""
    lessons = [lesson for lesson, _ in parts.book.candidates(vector, namespace, parts.policy.nearest * 2)]
    own = parts.book.vectors([lesson.id for lesson in lessons])
    found = [(lesson, float(own[lesson.id] @ vector)) for lesson in lessons if lesson.id in own]
    return tuple(sorted(found, key=lambda pair: -pair[1]))


def _had(state: ReflectionState) -> dict[UUID, Sequence[str]]:
    return {r.episode.id: r.episode.shown for g in state.get("groups", []) for r in g.rollouts}


def _curated(parts: Parts, candidate: Candidate, near: Near, config: RunnableConfig) -> Curated:
    messages = curate_messages(parts.prompts, candidate.draft, near)
    try:
        return ask(parts.model, CurateAnswer, messages, check=partial(problem_of, near=near), config=config)
    except UnfitReply as error:
        return error


async def _acurated(parts: Parts, candidate: Candidate, near: Near, config: RunnableConfig) -> Curated:
    messages = curate_messages(parts.prompts, candidate.draft, near)
    try:
        return await aask(parts.model, CurateAnswer, messages, check=partial(problem_of, near=near), config=config)
    except UnfitReply as error:
        return error


def _settle(curation: Curation, candidate: Candidate, near: Near, reply: Curated) -> None:
    if isinstance(reply, UnfitReply):
        curation.give_up(candidate, f"the curator gave {reply}", reply.outage)
    else:
        curation.settle(candidate, near, reply.value)


def _edits(curation: Curation, spent: Sequence[Curated]) -> ReflectionState:
    usage = sum((reply.usage for reply in spent), Usage())
    parked = curation.given_up
    cost = Studied(group=CURATE, usage=usage, replies=tuple(raw for reply in spent for raw in reply.raw))
    waiting = [Studied(group=at, parked=reason, outage=outage) for at, reason, outage in parked]
    return {"proposals": curation.proposals, "refused": curation.refused, "studied": [cost, *waiting]}


def _problem(proposal: Proposal, rollouts: Sequence[Rollout]) -> str | None:
    text = proposal.edit.text
    if text is None:
        return None
    unsafe = suspicion(text) if proposal.edit.kind != "add" else None
    return unsafe or one_instance(text, rollouts)


def _by_namespace(groups: Iterable[RolloutGroup], proposals: Iterable[Proposal]) -> list[tuple[Namespace, list[LessonEdit]]]:
    found: dict[Namespace, list[LessonEdit]] = {group.namespace: [] for group in groups}
    for proposal in proposals:
        found.setdefault(proposal.namespace, []).append(proposal.edit)
    return list(found.items())
