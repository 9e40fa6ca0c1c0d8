"""Lessons become a block of text for a prompt. Pure.

The block is fenced, says what it is, and never exceeds its budget. Lesson text is data that somebody else may have written: it is
scrubbed so that it can neither close the fence, nor open another, nor hide anything from a reader.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from langchain_reflect.lessons.block import PLACEBO, PREAMBLE
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.types import LessonText

CountTokens = Callable[[str], int]
"""Tokens of a text for the model that will read it; may be too high, never too low."""

_FENCE_OR_ROLE: Final = re.compile(
    r"[<\uFF1C\uFE64\u2039\u3008\u27E8](?=\s*[/\uFF0F]?\s*"
    r"(?:lesson|(?:system|user|assistant|human|developer|tool|instructions?|s|start_of_turn|end_of_turn)\b))",
    re.IGNORECASE,
)
_CHAT_TOKEN: Final = re.compile(r"<\||\|>|<<(?=\s*/?\s*SYS)|\[(?=\s*/?\s*INST\b)", re.IGNORECASE)
# Invisible letters and marks that Unicode does not count as format characters: Hangul fillers, blank braille, variation selectors.
_INVISIBLE: Final = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def scrub(text: str) -> str:
    """A text without control, bidirectional, zero-width and other invisible characters, in which nothing looks like a fence or a chat role.

    Args:
        text: Any text, hostile or not. Line breaks and tabs stay.
    """
    text = text.replace("\r\n", "\n").translate({0x2028: "\n", 0x2029: "\n", 0x85: "\n", 0x0D: "\n"})
    visible = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    visible = _INVISIBLE.sub("", visible)
    visible = _FENCE_OR_ROLE.sub("(", visible)
    return _CHAT_TOKEN.sub(lambda found: " ".join(found.group()) if len(found.group()) > 1 else "(", visible)


def render(lessons: Sequence[LessonText], *, ids: Sequence[str], max_tokens: int = 300, count_tokens: CountTokens = estimate_tokens) -> str:
    """The prompt block of these lessons, best first.

    Args:
        lessons: What to say, best first.
        ids: Their ids, same order; part of the block's own id.
        max_tokens: Budget of the whole block. Lessons lose their examples, then their reason, and are left out last of all.
        count_tokens: Counts a text's tokens.

    Returns:
        `<lessons id="…">…</lessons>`, or `""` if no lesson fits.
    """
    forms = fit(lessons, ids=ids, max_tokens=max_tokens, count_tokens=count_tokens)
    return frame(forms, ids=ids)


def fit(
    lessons: Sequence[LessonText], *, ids: Sequence[str], max_tokens: int = 300, count_tokens: CountTokens = estimate_tokens
) -> list[str]:
    """Each lesson in the longest form for which there is room, or `""` where there is none; input for `frame`.

    Advice comes before ornament: every lesson first gets its plain form, best lesson first; what is left of the budget then goes
    to examples and at last to reasons, in the same order.
    """
    forms = [""] * len(lessons)

    def place(at: int, form: str) -> bool:
        tried = [*forms[:at], form, *forms[at + 1 :]]
        if count_tokens(frame(tried, ids=ids)) > max_tokens:
            return False
        forms[at] = form
        return True

    placed = [at for at, lesson in enumerate(lessons) if place(at, item(lesson))]
    shown = dict.fromkeys(placed, 0)
    for at in placed:
        counts = range(len(lessons[at].examples), 0, -1)
        shown[at] = next((count for count in counts if place(at, item(lessons[at], examples=count))), 0)
    for at in placed:
        if lessons[at].why.strip():
            place(at, item(lessons[at], examples=shown[at], why=True))
    return forms


def item(lesson: LessonText, *, examples: int = 0, why: bool = False) -> str:
    """One lesson as labelled lines, without its number.

    Args:
        lesson: What to say.
        examples: How many of its examples to include.
        why: Whether to include its reason.
    """
    lines = [f"When: {_line(lesson.when)}", f"Do: {_lines(lesson.do)}"]
    if lesson.when_not.strip():
        lines.append(f"Not when: {_line(lesson.when_not)}")
    if why and lesson.why.strip():
        lines.append(f"Why: {_line(lesson.why)}")
    lines += [f"Example: {_lines(e.input)} -> {_lines(e.output)}" for e in lesson.examples[:examples]]
    return "\n   ".join(lines)


def frame(items: Sequence[str], *, ids: Sequence[str]) -> str:
    """The fence around rendered lessons; `""` around nothing.

    Args:
        items: Results of `item` in order; empty ones are left out.
        ids: Ids of these lessons, hashed into the block's id together with their text.
    """
    kept = [(lesson_id, text) for lesson_id, text in zip(ids, items, strict=True) if text]
    if not kept:
        return ""
    body = "\n".join([PREAMBLE, *(f"{number}. {text}" for number, (_, text) in enumerate(kept, 1))])
    block_id = hashlib.sha256("\0".join([body, *(lesson_id for lesson_id, _ in kept)]).encode()).hexdigest()[:8]
    return f'<lessons id="{block_id}">\n{body}\n</lessons>'


def placebo(max_tokens: int = 300, *, count_tokens: CountTokens = estimate_tokens) -> str:
    """A block of the same form with neutral text: tells the effect of the form from the effect of the lessons.

    Args:
        max_tokens: Budget of the whole block.
        count_tokens: Counts a text's tokens.

    Returns:
        As many neutral lines as fit, or `""`.
    """
    for count in range(len(PLACEBO), 0, -1):
        items = [item(LessonText(when="any task.", do=text)) for text in PLACEBO[:count]]
        block = frame(items, ids=[""] * count)
        if count_tokens(block) <= max_tokens:
            return block
    return ""


def _line(text: str) -> str:
    return " ".join(scrub(text).split())


def _lines(text: str) -> str:
    """Line breaks kept, indented so that no line can pass for one of ours."""
    lines = [line.rstrip() for line in scrub(text).strip().split("\n")]
    return "\n     ".join(line for line in lines if line)
