"""Trajectories become short texts for a prompt. Pure.

What tells most stays: the first and the last steps, every error, and the first step at which a bad rollout left the path of a good one. The
middle is left out and counted. All rollouts of a group share one hard budget.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from langchain_reflect.types import Episode, Step

_BLOCK: Final = re.compile(r"<lessons\b[^>]*>.*?(?:</lessons>|\Z)|</?lessons\b[^>]*>?", re.DOTALL | re.IGNORECASE)
_HEAD: Final = 2
_TAIL: Final = 3
_LINE: Final = 600
"""Most characters of one step, where the budget allows it."""
_SHORT_LINE: Final = 120
_MISSES: Final = 5
"""After so many steps without room the rest is not tried."""
_MIN_QUOTE: Final = 20
"""A shorter text of a lesson may stand in a trajectory by chance."""


@dataclass(frozen=True, slots=True)
class Line:
    """One step as text."""

    text: str
    mark: str
    """What the step did, without what differs from run to run: two rollouts diverge where their marks differ."""
    failed: bool


def tokens(text: str) -> int:
    """A careful guess of a text's tokens: one per three bytes, which is more than tokenizers count for words and about right for code.

    Args:
        text: Any text.
    """
    return -(-len(text.encode("utf-8", "replace")) // 3)


def digests(episodes: Sequence[Episode], *, good: Sequence[bool], budget: int, quoted: Iterable[str] = ()) -> list[str]:
    """What happened in each rollout of a group, in few words.

    Args:
        episodes: The rollouts' episodes.
        good: Whether each was among the better ones; divergence is told for the others.
        budget: Most tokens (as `tokens` counts) of all digests together.
        quoted: Texts of lessons that were shown; where an agent repeats one it is left out, so that we never learn from ourselves.

    Returns:
        One text per episode, in order; `""` for one without steps.
    """
    known = [q for q in quoted if len(q) >= _MIN_QUOTE]
    paths = [lines_of(e, known) for e in episodes]
    apart = [None if is_good else _leaves(path, paths, good) for path, is_good in zip(paths, good, strict=True)]
    share = budget // max(1, sum(bool(path) for path in paths))
    return [_fit(path, at, share) for path, at in zip(paths, apart, strict=True)]


def lines_of(episode: Episode, quoted: Sequence[str] = ()) -> list[Line]:
    """The steps of an episode that say something, as text, without our own block and without the task itself.

    Args:
        episode: With its steps.
        quoted: Texts of lessons, left out wherever they stand.
    """
    lines: list[Line] = []
    pending: set[str] = set()
    for step in episode.steps:
        for line in _lines(step, pending):
            text = without_lessons(line.text, quoted)
            if text.strip() and not _is_task(text, episode.task):
                lines.append(Line(text.strip(), line.mark, line.failed))
    return lines


def answer_of(episode: Episode) -> str:
    """What the agent gave in the end, as text: the last message of a chat, or the result as it is.

    Args:
        episode: With its result, or else its steps.
    """
    result = episode.result
    if isinstance(result, dict) and "messages" in result:
        result = next((_said(m) for m in reversed(_messages(result["messages"])) if _said(m)), None)
    elif isinstance(result, dict) and len(result) == 1:
        result = next(iter(result.values()))
    if result is None:
        outputs = (s.output for s in reversed(episode.steps) if s.kind == "model" and isinstance(s.output, dict))
        result = next((_said(output) for output in outputs), None)
    return without_lessons(result if isinstance(result, str) else "" if result is None else _json(result)).strip()


def without_lessons(text: str, quoted: Sequence[str] = ()) -> str:
    """A text without our own block, and without sentences of lessons that it quotes.

    Args:
        text: Any text.
        quoted: Texts of the lessons.
    """
    text = _BLOCK.sub("", text)
    for quote in quoted:
        text = text.replace(quote, "[a lesson]")
    return text


def cut(text: str, limit: int) -> str:
    """At most `limit` characters on one line, the middle left out: beginning and end tell most.

    Args:
        text: Any text.
        limit: Most characters of the result.
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 3]} … {text[len(text) - tail :]}"


def _lines(step: Step, pending: set[str]) -> Iterable[Line]:
    """Lines of one step; `pending` holds the calls whose arguments a model's line has already shown."""
    if step.kind == "message":
        yield Line(f"{step.name}: {_text(step.output)}", step.name, failed=False)
    elif step.kind == "model":
        yield from (_heard(m) for m in _messages(step.input))
        calls = _calls(step.output)
        pending.update(calls)
        said = _text(step.output.get("content")) if isinstance(step.output, dict) else _text(step.output)
        parts = [*([said] if said.strip() else []), *(f"-> {call}" for call in calls)]
        if parts or step.error:
            yield Line(f"agent: {' '.join(parts)}{_error(step)}", f"agent {_json(calls) if calls else said}", bool(step.error))
    else:
        call = _call(step.name, step.input)
        shown = step.name if call in pending else call
        yield Line(f"{step.kind} {shown}: {_text(step.output)}{_error(step)}", f"{call} {bool(step.error)}", bool(step.error))


def _heard(message: Mapping[str, JsonValue]) -> Line:
    role = str(message.get("role") or "message")
    content = _text(message.get("content"))
    return Line(f"{role}: {content}" if role != "system" else f"system: {cut(content, _SHORT_LINE)}", role, failed=False)


def _messages(given: JsonValue) -> list[dict[str, JsonValue]]:
    return [m for m in given if isinstance(m, dict)] if isinstance(given, list) else []


def _calls(output: JsonValue) -> list[str]:
    calls = output.get("tool_calls") if isinstance(output, dict) else None
    return [_call(str(c.get("name")), c.get("args")) for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []


def _call(name: str, args: JsonValue) -> str:
    return f"{name}({'' if args in (None, {}) else args if isinstance(args, str) else _json(args)})"


def _said(message: Mapping[str, JsonValue]) -> str:
    return _text(message.get("content")).strip() or ", ".join(_calls(dict(message)))


def _text(value: JsonValue) -> str:
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value]
        if all(isinstance(part, str) for part in parts):
            return "\n".join(str(part) for part in parts)
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _error(step: Step) -> str:
    return f" ERROR {step.error}" if step.error else ""


def _is_task(text: str, task: str) -> bool:
    return " ".join(text.partition(": ")[2].split()) == " ".join(task.split())


def _leaves(path: Sequence[Line], paths: Sequence[Sequence[Line]], good: Sequence[bool]) -> int | None:
    """Index of the first step that no good rollout took: where the longest way shared with one of them ends."""
    shared = [_shared(path, other) for other, is_good in zip(paths, good, strict=True) if is_good and other]
    at = max(shared, default=len(path))
    return at if at < len(path) and len(path) > 1 else None


def _shared(one: Sequence[Line], other: Sequence[Line]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a.mark != b.mark), min(len(one), len(other)))


def _fit(path: Sequence[Line], apart: int | None, budget: int) -> str:
    """The most telling lines for which there is room, in order, with counts of what is left out."""
    chosen: dict[int, str] = {}
    misses = 0
    for at in _by_weight(path, apart):
        forms = (_marked(path[at], limit, parted=at == apart) for limit in (_LINE, _SHORT_LINE))
        fits = (form for form in forms if tokens(_join({**chosen, at: form}, len(path))) <= budget)
        if form := next(fits, None):
            chosen[at] = form
        elif (misses := misses + 1) > _MISSES:
            break
    text = _join(chosen, len(path)) if path else ""
    return text if tokens(text) <= budget else ""


def _by_weight(path: Sequence[Line], apart: int | None) -> list[int]:
    """Indices of the lines, the most telling first."""
    last = len(path) - 1
    first = [last, *([apart] if apart is not None else []), 0]
    errors = [i for i in range(last, -1, -1) if path[i].failed]
    edges = [*range(last, max(last - _TAIL, -1), -1), *range(min(_HEAD, len(path)))]
    around = [i for i in ((apart or 0) - 1, (apart or 0) + 1) if apart is not None and 0 <= i <= last]
    wanted = [*first, *errors, *edges, *around, *range(len(path))]
    return list(dict.fromkeys(i for i in wanted if 0 <= i <= last))


def _marked(line: Line, limit: int, *, parted: bool) -> str:
    note = " [the first step that no good try took]" if parted else ""
    return cut(line.text, limit) + note


def _join(chosen: Mapping[int, str], count: int) -> str:
    lines, before = [], -1
    for at in sorted(chosen):
        lines += [*_gap(at - before - 1), f"{at + 1}. {chosen[at]}"]
        before = at
    return "\n".join([*lines, *_gap(count - before - 1)])


def _gap(count: int) -> list[str]:
    return [f"[{count} step{'s' if count > 1 else ''} left out]"] if count else []


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
