"""What the model may answer.

Parsing is lenient about form (a lone object for a list, numbers for labels, a text that is too long) and strict about content.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from langchain_reflect.lessons.safety import clean
from langchain_reflect.types import LessonText

SHORT: Final = 160
"""Most characters of `title`, `when` and `when_not`."""
LONG: Final = 240
"""Most characters of `do` and `why`."""
_ABSURD: Final = 10 * LONG
"""A text longer than this is no sentence that ran over, but no answer."""
_MOST: Final = 20
"""More lessons of one answer than this are no answer."""
_ONLY_LABELS: Final = re.compile(r"\W*(?:R\d+\b\W*(?:and\b\W*)?)+", re.IGNORECASE)
"""What small models put where a condition is asked for."""
_NONE: Final = frozenset({"none", "n/a", "null", "nothing", "...", "-", "task", "tasks", "the task", "always"})


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word.

    Args:
        text: Any text.
        limit: Most characters of the result.
    """
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head).rstrip(" ,;:.") + "…"


def _line(value: object, limit: int) -> str:
    """One line of text; what says that there is nothing is empty."""
    text = " ".join(clean(_said(value)).split())
    return "" if text.lower() in _NONE or _ONLY_LABELS.fullmatch(text) else shorten(text, limit)


def _said(value: object) -> str:
    if value is None or value is False or value in ([], {}):
        return ""
    parts = value if isinstance(value, list) else [value]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise ValueError(f"expected text, got {type(value).__name__}")
    if (length := sum(map(len, texts))) > _ABSURD:
        raise ValueError(f"expected a short text, got {length} characters")
    return "; ".join(texts)


def _labels(value: object) -> list[str]:
    items = value if isinstance(value, list) else re.split(r"[,\s]+", value) if isinstance(value, str) else [] if value is None else [value]
    if any(isinstance(item, bool) or not isinstance(item, str | int) for item in items):
        raise ValueError("expected labels such as R1")
    return [label for item in items if (label := str(item).strip(" \"'[]()."))]


Short = Annotated[str, BeforeValidator(lambda value: _line(value, SHORT))]
Long = Annotated[str, BeforeValidator(lambda value: _line(value, LONG))]
Labels = Annotated[list[str], BeforeValidator(_labels)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class DraftAnswer(_Answer):
    """A lesson: advice, and when it applies."""

    do: Long = Field(description="the rule to follow, as one complete order")
    when: Short = Field(default="", description="the kind of task it is for, in general words")
    when_not: Short = Field(default="", description="when the rule does not hold, or empty")
    why: Long = Field(default="", description="what the bad tries did wrong")
    title: Short = Field(default="", description="a few words")
    cites: Labels = Field(default_factory=list, description="labels of the tries that show it, such as R1")

    @model_validator(mode="after")
    def _says_something(self) -> "DraftAnswer":
        if not self.do:
            raise ValueError("`do` is empty")
        return self

    def text(self, *, when: str) -> LessonText:
        """As the text of a lesson.

        Args:
            when: The condition, if the model gave none.
        """
        return LessonText(title=self.title, when=self.when or when, when_not=self.when_not, do=self.do, why=self.why)


def _is_empty(lesson: dict[str, Any]) -> bool:
    try:
        return not _line(lesson.get("do"), LONG)
    except ValueError:
        return False  # it is wrong, and told so


class DraftsAnswer(_Answer):
    """What a group of tries teaches; empty if nothing."""

    lessons: list[DraftAnswer] = Field(description="the lessons, or an empty list")

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, data: Any) -> Any:
        """A bare lesson or a bare list is taken for what it is; empty lessons beside good ones are left out."""
        if isinstance(data, list):
            data = {"lessons": data}
        if not isinstance(data, dict):
            return data
        if "lessons" not in data and "do" in data:
            data = {"lessons": [data]}
        items = data.get("lessons")
        items = [items] if isinstance(items, dict) else items
        if isinstance(items, list):
            if len(items) > _MOST:
                raise ValueError(f"expected one or two lessons, got {len(items)}")
            items = [i for i in items if not (isinstance(i, dict) and _is_empty(i))] or items
        return {**data, "lessons": items}


class CurateAnswer(_Answer):
    """How a new lesson goes together with the book."""

    action: Annotated[
        Literal["ADD", "REVISE", "MERGE", "RETIRE", "CONFLICT", "NOOP"],
        BeforeValidator(lambda v: v.strip().upper() if isinstance(v, str) else v),
    ]
    ids: Labels = Field(default_factory=list, description="ids of lessons of the book")
    when: Short = ""
    do: Long = ""
    when_not: Short = ""
    reason: Long = ""
