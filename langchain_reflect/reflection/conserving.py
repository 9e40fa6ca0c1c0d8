"""What a general lesson must not lose of the lessons that it takes the place of: names, numbers, prohibitions, exceptions, examples. Pure.

Sentences of near meaning can differ in exactly these, and no cosine tells. The lists are a net with small meshes: what it holds back
wrongly stays two lessons, which costs a few tokens.
"""

import re
from collections.abc import Sequence
from typing import Final

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.types import Example, Lesson, LessonText

_QUOTED: Final = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|(?<!\w)'([^'\n]+)'(?!\w)|“([^”\n]+)”")
_WORD: Final = re.compile(r"[^\s,;()\[\]\"`“”]+")
_NAME: Final = re.compile(r"[_@\\{}=]|[%$][A-Za-z]|#\w|::|[a-z][A-Z]|^[A-Z]{2,}$|\w\.[A-Za-z]\w")
_EMPHASIS: Final = frozenset(
    ["NOT", "NEVER", "ALWAYS", "MUST", "ONLY", "DO", "ALL", "AND", "OR", "NO", "ANY", "BEFORE", "AFTER", "FIRST", "IF", "THEN", "ALSO"]
)
_NUMBER: Final = re.compile(r"\d+(?:[.,:/-]\d+)*")
_STEP: Final = re.compile(r"(?:(?<=\s)|^)\(?\d{1,2}[.)](?=\s)")
"""The number of a step in a list."""
_NEGATION: Final = re.compile(r"\b(?:not|no|never|nor|avoid|without|cannot|instead|except|refuse|refrain|stop)\b|n't\b", re.IGNORECASE)
_CONTENT: Final = re.compile(r"\w{4,}")
_STEM: Final = 5
_EMPTY: Final = frozenset(
    word[:_STEM]
    for word in [
        "when",
        "that",
        "this",
        "with",
        "have",
        "does",
        "unless",
        "only",
        "task",
        "tasks",
        "case",
        "cases",
        "which",
        "already",
        "there",
    ]
)


def lost(general: LessonText, sources: Sequence[Lesson]) -> str | None:
    """The first thing that the sources say and the general lesson does not, as a sentence for the model; None if nothing is lost.

    Args:
        general: The general lesson.
        sources: The lessons that it takes the place of.
    """
    said = _advice(general)
    shown = "\n".join(f"{e.input}\n{e.output}" for e in kept_examples(general, sources))
    for source in sources:
        if missing := [x for x in specifics(source.do) if not _says(said, x) and not _says(shown, x)]:
            return f"{source.id} says {missing[0]!r} and the new lesson does not"
        if _NEGATION.search(source.do) and not _NEGATION.search(f"{general.do}\n{general.when_not}"):
            return f"{source.id} forbids something and the new lesson does not"
        if source.when_not and not _excepts(general, source.when_not):
            return f"the exception of {source.id} is missing: {source.when_not!r}"
    if _NEGATION.search(general.do) and not any(_NEGATION.search(f"{s.do}\n{s.when_not}\n{s.why}") for s in sources):
        return "it forbids what none of the lessons forbids"
    return None


def specifics(advice: str) -> list[str]:
    """What must be said letter by letter: names as code has them, quoted text, and numbers.

    Args:
        advice: What a lesson says to do.
    """
    quoted = ["".join(groups).strip() for groups in _QUOTED.findall(advice)]
    rest = _QUOTED.sub(" ", _STEP.sub(" ", advice))
    words = [word.strip(".:!?'") for word in _WORD.findall(rest)]
    names = [word for word in words if _NAME.search(word) and word not in _EMPHASIS]
    for name in sorted(names, key=len, reverse=True):
        rest = rest.replace(name, " ")
    return list(dict.fromkeys(x for x in (*quoted, *names, *_NUMBER.findall(rest)) if x))


def kept_examples(general: LessonText, sources: Sequence[Lesson], most: int = 2) -> tuple[Example, ...]:
    """The examples that a general lesson takes over: first those that show what its text does not say.

    Args:
        general: The general lesson.
        sources: The lessons that it takes the place of.
        most: Most examples.
    """
    said = _advice(general)
    missing = [x for source in sources for x in specifics(source.do) if not _says(said, x)]
    offered = list(dict.fromkeys(e for turn in range(most) for s in sources for e in s.examples[turn : turn + 1]))
    worth = {e: sum(_says(f"{e.input}\n{e.output}", x) for x in missing) for e in offered}
    return tuple(sorted(offered, key=lambda e: -worth[e])[:most])


def tokens_of(text: LessonText) -> int:
    """Estimated tokens of all that a lesson says.

    Args:
        text: The lesson.
    """
    shown = [side for e in text.examples for side in (e.input, e.output)]
    return sum(map(estimate_tokens, (text.when, text.when_not, text.do, text.why, *shown)))


def _advice(text: LessonText) -> str:
    return f"{text.when}\n{text.do}\n{text.when_not}"


def _says(text: str, specific: str) -> bool:
    before = r"(?<!\w)" if specific[0].isalnum() else ""
    after = r"(?!\w)" if specific[-1].isalnum() else ""
    return re.search(before + re.escape(specific) + after, text, re.IGNORECASE) is not None


def _excepts(general: LessonText, exception: str) -> bool:
    """Whether at least half of the words of an exception are found again, and something is excepted at all."""
    wanted, said = _stems(exception), _stems(_advice(general))
    has_condition = bool(general.when_not) or re.search(r"\b(?:if|unless|except|only|when)\b", general.do, re.IGNORECASE) is not None
    return has_condition and 2 * len(wanted & said) >= len(wanted) and all(_says(_advice(general), x) for x in specifics(exception))


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _CONTENT.findall(text.casefold())} - _EMPTY
