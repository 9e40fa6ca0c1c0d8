"""The nodes of the reflection graph, in running order. Each is a factory that closes over the parts it needs."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END
from langgraph.types import Send

from langchain_reflect.errors import BookChanged, InvalidInput, LedgerError, ReflectError
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.lessons.authors import is_model
from langchain_reflect.lessons.shelf import read_shelf, vectors_of
from langchain_reflect.reflection.candidates import candidates, had, placed
from langchain_reflect.reflection.checking import narrowed
from langchain_reflect.reflection.curation import Candidate, Curation, Proposal
from langchain_reflect.reflection.drafting import Question, Studied, conclude, questions
from langchain_reflect.reflection.gating import gated, tried
from langchain_reflect.reflection.judging import Answers, ajudge, judge
from langchain_reflect.reflection.policy import EditGate
from langchain_reflect.reflection.records import record_of
from langchain_reflect.reflection.reporting import endings, interrupted, report_of, seen
from langchain_reflect.reflection.schemas import DraftsAnswer
from langchain_reflect.reflection.state import ContrastInput, Parts, ReflectionState
from langchain_reflect.reflection.structured import Reply, UnfitReply, aask, ask
from langchain_reflect.reflection.taking import taken
from langchain_reflect.types import (
    AppliedEdit,
    Lesson,
    LessonEdit,
    Namespace,
    ReflectionReport,
    RolloutGroup,
    now,
)

_PATIENCE: Final = 3
"""So often lessons are compared again because others changed them; then what was found is written all the same."""
Node = RunnableLambda[ReflectionState, ReflectionState]
Drafts = Reply[DraftsAnswer] | UnfitReply


def load(parts: Parts) -> Node:
    """Find the groups that are ready, and the lessons that were shown in them."""

    def run(state: ReflectionState) -> ReflectionState:
        if state.get("retry"):
            parts.ledger.free(namespace=state.get("namespace"), graph=state.get("graph"), episodes=state.get("episodes"))
        started, reflection_id = now(), _valid(state.get("id") or new_id())
        claims, groups = ([], state["groups"]) if state.get("groups") else taken(parts, state, reflection_id)
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
        candidates, curation = _laid_out(parts, state)
        answers = Answers(state.get("judged", []))
        for candidate in candidates:
            if near := curation.near(candidate):
                judged = answers.known(candidate, near) or answers.take(judge(parts, candidate, near, config))
                curation.hear(candidate, near, judged)
        return _curated(curation, answers)

    async def arun(state: ReflectionState, config: RunnableConfig) -> ReflectionState:
        candidates, curation = await asyncio.to_thread(_laid_out, parts, state)
        answers = Answers(state.get("judged", []))
        for candidate in candidates:
            if near := curation.near(candidate):
                judged = answers.known(candidate, near) or answers.take(await ajudge(parts, candidate, near, config))
                curation.hear(candidate, near, judged)
        return _curated(curation, answers)

    return RunnableLambda(run, arun, name="curate")


def check(parts: Parts) -> Node:
    """Refuse edits whose wording is about one task, keep unsafe wordings away from served lessons, and let the gate try the rest."""

    def run(state: ReflectionState) -> ReflectionState:
        stuck = interrupted(state) if "lost" in state else set()  # by the gate, before somebody changed the lessons
        kept, refused = narrowed([p for p in state.get("proposals", []) if p.group not in stuck], state["groups"])
        ids = {i for p in kept for i in (p.edit.lesson_id or "", *p.edit.merged) if i.startswith("L-")}
        asks = isinstance(parts.gate, EditGate) and ids
        lessons = {lesson.id: lesson for lesson in parts.ledger.lessons(ids=ids)} if asks else {}
        found = tried(parts.gate, kept, state["groups"], lessons)
        return {
            "proposals": found.kept,
            "refused": [*state.get("refused", []), *refused, *found.refused],
            "lost": found.lost,
            "studied": found.waiting,
        }

    return RunnableLambda(run, name="check")


def commit(parts: Parts) -> Node:
    """Apply the edits, end the jobs, and keep the report with the model's raw answers: all of it in one transaction, or nothing."""

    def run(state: ReflectionState) -> ReflectionState:
        if not state.get("groups"):
            parts.leases.let_go(state["id"])
            return {"report": report_of(state, [], None)}
        state = {**state, "ended": now()}
        overtaken = state.get("overtaken", 0)
        try:
            report = _committed(parts, state, patient=overtaken < _PATIENCE)
        except BookChanged:
            return {"overtaken": overtaken + 1}
        except Exception as error:
            with suppress(ReflectError):  # what was spent stays on record, if only the edits were the problem
                parts.ledger.append_revisions([], closing=_spent(state, error))
            raise
        parts.leases.let_go(state["id"])
        return {"report": report, "ended": state["ended"]}

    return RunnableLambda(run, name="commit")


def again_if_overtaken(state: ReflectionState) -> str:
    """To the end, or once more to the lessons, if somebody changed them meanwhile."""
    return END if "report" in state else "curate"


def new_id() -> str:
    """Of a reflection."""
    return f"R-{uuid4().hex[:12]}"


def _valid(reflection_id: str) -> str:
    if not is_model(reflection_id):
        raise InvalidInput(f"id={reflection_id!r:.80}; expected 'R-' and 12 hexadecimal digits, such as {new_id()!r}, or none")
    return reflection_id


def _committed(parts: Parts, state: ReflectionState, *, patient: bool) -> ReflectionReport:
    """Write the edits; `patient`: only if nobody changed the lessons since they were read."""
    *others, (last, edits) = _by_namespace(state["groups"], state.get("proposals", []))
    terms: Any = {"actor": state["id"], "at": state["ended"], "cap": parts.policy.max_lessons}
    since = state.get("read") if patient and edits and not others else None
    applied: list[AppliedEdit] = []
    for namespace, theirs in others:
        applied += parts.book.commit(theirs, namespace=namespace, **terms)
    made: list[Closing] = []  # anew for each try, if somebody changes the same lessons meanwhile
    closing = partial(_closing, parts, state, applied, made)
    parts.book.commit(edits, namespace=last, since=since, closing=closing, **terms)
    return made[-1].report


def _closing(
    parts: Parts, state: ReflectionState, before: Sequence[AppliedEdit], made: list[Closing], applied: Sequence[AppliedEdit]
) -> Closing:
    record = record_of(state, parts)
    closing = Closing(
        report=report_of(state, [*before, *applied], None),
        namespace=state["groups"][-1].namespace,
        endings=endings(state),
        seen=seen(state),
        replies=record.model_dump(mode="json"),
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


def _laid_out(parts: Parts, state: ReflectionState) -> tuple[list[Candidate], Curation]:
    """The drafts of all groups, in the order of the groups, and the lessons that they meet."""
    drafts, embedder = placed(state.get("studied", []), state.get("groups", [])), parts.book.embedder
    if not drafts:
        return [], Curation(None, {}, {})
    shelves = {space: read_shelf(parts.ledger, embedder, space) for space in dict.fromkeys(d.namespace for d in drafts)}
    said = [d.draft.key_text() for d in drafts]
    vectors = vectors_of(parts.ledger, embedder, [task for d in drafts for task in d.draft.tasks])
    vectors |= dict(zip(said, embedder.embed_documents(said), strict=True))
    return candidates(drafts, vectors), Curation(parts.measures, shelves, had(state.get("groups", [])))


def _curated(curation: Curation, answers: Answers) -> ReflectionState:
    waiting = [Studied(group=at, parked=reason, outage=outage) for at, reason, outage in curation.given_up]
    return {
        "proposals": curation.proposals,
        "refused": curation.refused,
        "waiting": waiting,
        "judged": answers.all,
        "read": curation.version,
        "compared": curation.seen,
        "measures": curation.measures,
    }


def _by_namespace(groups: Iterable[RolloutGroup], proposals: Iterable[Proposal]) -> list[tuple[Namespace, list[LessonEdit]]]:
    found: dict[Namespace, list[LessonEdit]] = {group.namespace: [] for group in groups}
    for proposal in proposals:
        found.setdefault(proposal.namespace, []).append(proposal.edit)
    return list(found.items())
