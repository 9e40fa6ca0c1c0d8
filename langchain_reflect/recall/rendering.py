"""Lessons become a block of text for a prompt. Pure.

The block is fenced, says what it is, and never exceeds its budget. Lesson text is data that somebody else may have written: it is
scrubbed so that it can neither close the fence, nor open another, nor hide anything from a reader.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.types import LessonText
from langchain_reflect.types.block import DEFAULT_BLOCK, NAME, BlockTemplate

CountTokens = Callable[[str], int]
"""Tokens of a text for the model that will read it; may be too high, never too low."""

_ROLES: Final = (
    r"(?:system|user|assistant|human|developer|tool(?:s|_calls?|_responses?|_results?)?|function(?:s|_calls?|_results?)|instructions?|"
    r"think(?:ing)?|s|bos|eos|(?:start|end)_of_turn)\b"
)
_GAP: Final = r"[\s\u0300-\u036F]*"  # accents change how a sign looks, not what a model takes it for
_CHAT_TOKEN: Final = re.compile(r"<\||\|>|<<(?=\s*/?\s*SYS)|\[(?=\s*/?\s*INST\b)", re.IGNORECASE)
# Invisible letters and marks that Unicode does not count as format characters: Hangul fillers, blank braille, variation selectors.
_INVISIBLE: Final = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def scrub(text: str, name: str = NAME) -> str:
    """A text without control, bidirectional, zero-width and other invisible characters, in which nothing looks like a fence or a chat role.

    Args:
        text: Any text, hostile or not. Line breaks and tabs stay.
        name: Of the fence that the text must not close.
    """
    return _scrubbed(text, name) if len(text) < _SHORT else _scrubbed.__wrapped__(text, name)


@lru_cache(maxsize=4096)
def _scrubbed(text: str, name: str) -> str:
    """Remembered, because each recall looks at a dozen lessons, and mostly at those of the recalls before."""
    visible = text.replace("\r\n", "\n").translate({0x2028: "\n", 0x2029: "\n", 0x85: "\n", 0x0D: "\n"})
    if not visible.replace("\n", "").replace("\t", "").isprintable():
        visible = "".join(c for c in visible if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    if not visible.isascii():
        visible = _INVISIBLE.sub("", visible)
    elif not ("<" in visible or "[" in visible or "|" in visible):
        return visible
    visible = _fence_or_role(name).sub("(", visible)
    return _CHAT_TOKEN.sub(lambda found: " ".join(found.group()) if len(found.group()) > 1 else "(", visible)


_SHORT: Final = 4096
"""Characters below which a text is remembered."""


@lru_cache(maxsize=64)
def _fence_or_role(name: str) -> re.Pattern[str]:
    fences = rf"lesson|{re.escape(name)}\b|[a-z][\w-]{{0,31}}\s+id\s*=\W{{0,9}}reflect-"
    return re.compile(rf"[<\uFF1C\uFE64\u2039\u3008\u27E8](?={_GAP}(?:[/\uFF0F]{_GAP})?(?:{fences}|{_ROLES}))", re.IGNORECASE)


def render(
    lessons: Sequence[LessonText],
    *,
    ids: Sequence[str],
    max_tokens: int = 300,
    count_tokens: CountTokens = estimate_tokens,
    template: BlockTemplate = DEFAULT_BLOCK,
) -> str:
    """The prompt block of these lessons, best first.

    Args:
        lessons: What to say, best first.
        ids: Their ids, same order; part of the block's own id.
        max_tokens: Budget of the whole block. Lessons lose their examples, then their reason, and are left out last of all.
        count_tokens: Counts a text's tokens.
        template: The form of the block.

    Returns:
        `<lessons id="…">…</lessons>`, or `""` if no lesson fits.
    """
    forms = fit(lessons, ids=ids, max_tokens=max_tokens, count_tokens=count_tokens, template=template)
    return frame(forms, ids=ids, template=template)


def fit(
    lessons: Sequence[LessonText],
    *,
    ids: Sequence[str],
    max_tokens: int = 300,
    count_tokens: CountTokens = estimate_tokens,
    template: BlockTemplate = DEFAULT_BLOCK,
) -> list[str]:
    """Each lesson in the longest form for which there is room, or `""` where there is none; input for `frame`.

    Advice comes before ornament: every lesson first gets its plain form, best lesson first; what is left of the budget then goes
    to examples and at last to reasons, in the same order.
    """
    forms = [""] * len(lessons)

    def place(at: int, form: str) -> bool:
        tried = [*forms[:at], form, *forms[at + 1 :]]
        if count_tokens(frame(tried, ids=ids, template=template)) > max_tokens:
            return False
        forms[at] = form
        return True

    placed = [at for at, lesson in enumerate(lessons) if place(at, item(lesson, template=template))]
    shown = dict.fromkeys(placed, 0)
    for at in placed:
        counts = range(len(lessons[at].examples), 0, -1)
        shown[at] = next((count for count in counts if place(at, item(lessons[at], examples=count, template=template))), 0)
    for at in placed:
        if lessons[at].why.strip():
            place(at, item(lessons[at], examples=shown[at], why=True, template=template))
    return forms


def item(lesson: LessonText, *, examples: int = 0, why: bool = False, template: BlockTemplate = DEFAULT_BLOCK) -> str:
    """One lesson as labelled lines, without its number.

    Args:
        lesson: What to say.
        examples: How many of its examples to include.
        why: Whether to include its reason.
        template: The form of the lines.
    """
    name = template.name
    lines = [_plain(lesson.when, lesson.do, lesson.when_not, template)]
    if not (why or examples):
        return lines[0]
    if why and lesson.why.strip():
        lines.append(_form(template.why).format(why=_line(lesson.why, name)))
    form = _form(template.example)
    lines += [form.format(input=_lines(e.input, name), output=_lines(e.output, name)) for e in lesson.examples[:examples]]
    return "\n   ".join(lines)


@lru_cache(maxsize=2048)
def _plain(when: str, do: str, when_not: str, template: BlockTemplate) -> str:
    """What is always shown of a lesson. Remembered, as in `_scrubbed`."""
    name = template.name
    lines = [_form(template.lesson).format(when=_line(when, name), do=_lines(do, name))]
    if when_not.strip():
        lines.append(_form(template.when_not).format(when_not=_line(when_not, name)))
    return "\n   ".join(lines)


def frame(items: Sequence[str], *, ids: Sequence[str], template: BlockTemplate = DEFAULT_BLOCK) -> str:
    """The fence around rendered lessons; `""` around nothing.

    Args:
        items: Results of `item` in order; empty ones are left out.
        ids: Ids of these lessons, hashed into the block's id together with their text.
        template: The form of the block.
    """
    kept = [(lesson_id, text) for lesson_id, text in zip(ids, items, strict=True) if text]
    if not kept:
        return ""
    body = "\n".join([template.preamble, *(f"{number}. {text}" for number, (_, text) in enumerate(kept, 1))])
    block_id = hashlib.sha256("\0".join([body, *(lesson_id for lesson_id, _ in kept)]).encode()).hexdigest()[:8]
    return template.framed(body, block_id)


def placebo(max_tokens: int = 300, *, count_tokens: CountTokens = estimate_tokens, template: BlockTemplate = DEFAULT_BLOCK) -> str:
    """A block of the same form with neutral text: tells the effect of the form from the effect of the lessons.

    Args:
        max_tokens: Budget of the whole block.
        count_tokens: Counts a text's tokens.
        template: The form of the block.

    Returns:
        As many neutral lines as fit, or `""`.
    """
    for count in range(len(template.placebo), 0, -1):
        block = _neutral(count, template)
        if count_tokens(block) <= max_tokens:
            return block
    return ""


def placebo_like(
    block: str, *, max_tokens: int = 300, count_tokens: CountTokens = estimate_tokens, template: BlockTemplate = DEFAULT_BLOCK
) -> str:
    """`placebo` of about the length of a block: of the numbers of lines that fit the budget, the one whose length is nearest.

    Args:
        block: What the run would have been shown; `""` where it would have been shown nothing.
        max_tokens: Budget of the whole block.
        count_tokens: Counts a text's tokens.
        template: The form of the block.
    """
    if not block:
        return ""
    wanted = count_tokens(block)
    made = dict.fromkeys(_neutral(count, template) for count in range(1, len(template.placebo) + 1))
    fitting = [text for text in made if count_tokens(text) <= max_tokens]
    return min(fitting, key=lambda text: abs(count_tokens(text) - wanted), default="")


def _neutral(count: int, template: BlockTemplate) -> str:
    texts = [LessonText(when=template.any_task, do=text) for text in template.placebo[:count]]
    return frame([item(text, template=template) for text in texts], ids=[""] * count, template=template)


def _form(lines: str) -> str:
    """Lines of a template, indented as those of a numbered item."""
    return lines.strip().replace("\n", "\n   ")


def _line(text: str, name: str) -> str:
    return " ".join(scrub(text, name).split())


def _lines(text: str, name: str) -> str:
    """Line breaks kept, indented so that no line can pass for one of ours."""
    lines = [line.rstrip() for line in scrub(text, name).strip().split("\n")]
    return "\n     ".join(line for line in lines if line)
