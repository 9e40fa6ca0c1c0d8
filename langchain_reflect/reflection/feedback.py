"""What judges said, turned into advice and worked examples without a model. Pure.

A verifier's correction is often the best wording there is: on hidden house rules a small model's own first draft helped nothing where the
feedback, given as plain advice, did.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import reduce
from typing import Final

from pydantic import JsonValue

from langchain_reflect.lessons.safety import leak
from langchain_reflect.reflection.quoting import NONE, QUOTE, Quotes
from langchain_reflect.reflection.reading import answer_of
from langchain_reflect.reflection.schemas import LONG, SHORT, shorten
from langchain_reflect.types import Example, LessonDraft, LessonText, Rollout, source_rank

_RIGHT: Final = 0.9
"""Reward from which an answer may stand as a worked example."""
_TRUSTED: Final = 1
"""Worst source rank whose feedback may become advice: verifiers, tests and people, no LLM judge."""
_EXAMPLES: Final = 2
_MIN_WORDS: Final = 2
_EXPECTED: Final = re.compile(
    r"""\b(?:expected|should\s+(?:be|have\s+been)|correct(?:\s+(?:answer|result))?\s+is)\s*:?\s*(?:(["'`])(.+?)\1|(\S+?)(?=[,;]?\s+(?:but|got|not)\b))""",
    re.IGNORECASE,
)
_EXPECTED_KEYS: Final = ("expected", "reference", "reference_output", "correct")
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_QUOTED: Final = re.compile(r"""(["'`“]).+?["'`”](?!\w)""")
_NUMBERED: Final = re.compile(r"#?\b\w*\d[\w.,:/-]*\w|\b\d\b")


def advice_of(rollouts: Sequence[Rollout], *, quotes: Quotes = NONE) -> LessonDraft | None:
    """The feedback on a group as one piece of advice, or None if no trusted feedback holds for other tasks too.

    Sentences that only repeat one task's answer or ids, or a lesson that was shown, are left out.

    Args:
        rollouts: Rollouts of one group.
        quotes: Knows the lessons that were shown.
    """
    answers, tasks = [answer_of(r.episode) for r in rollouts], [r.episode.task for r in rollouts]
    when = family(tasks)
    kept: dict[str, list[Rollout]] = {}
    for rollout in sorted(rollouts, key=lambda r: 1.0 if r.reward is None else r.reward):
        for sentence in _sentences(rollout, quotes):
            if not _EXPECTED.search(sentence) and leak(LessonText(when="", do=sentence), answers=answers, tasks=tasks) is None:
                kept.setdefault(sentence, []).append(rollout)
    fitting = _first_that_fit(kept)
    if not fitting:
        return None
    cites = dict.fromkeys(r.episode.id for sentence in fitting for r in kept[sentence])
    return LessonDraft(title="from feedback", when=when, do=" ".join(fitting), cites=tuple(cites), tasks=_distinct(tasks))


def examples_of(rollouts: Sequence[Rollout]) -> tuple[Example, ...]:
    """At most two short worked examples: what a trusted judge said the answer should be, then answers of successful rollouts.

    Of what was told, answers that a rollout succeeded with come first. A success about which nobody told the right answer may have been
    luck, and a lucky guess as an example teaches guessing; so it stands only where too little was told.

    Args:
        rollouts: The rollouts that a lesson cites.
    """
    right = [(r.episode.task, answer_of(r.episode)) for r in rollouts if r.reward is not None and r.reward >= _RIGHT]
    told = [(r.episode.task, text) for r in rollouts for text in expected_of(r)]
    confirmed = [pair for pair in told if pair in right]
    found: dict[str, str] = {}
    for task, text in (*confirmed, *told, *right):
        if text and len(task) <= SHORT and len(text) <= SHORT:
            found.setdefault(task, text)
    return tuple(Example(input=task, output=text) for task, text in found.items())[:_EXAMPLES]


def expected_of(rollout: Rollout) -> list[str]:
    """Right answers that a trusted judge told of a rollout, in its feedback or its detail.

    Args:
        rollout: With its outcomes.
    """
    found = []
    for outcome in rollout.outcomes:
        if source_rank(outcome.source) > _TRUSTED:
            continue
        found += [_plain(outcome.detail.get(key)) for key in _EXPECTED_KEYS] if isinstance(outcome.detail, dict) else []
        found += [m.group(2) or m.group(3) for m in _EXPECTED.finditer(outcome.feedback or "")]
    return [text for text in found if text]


def family(tasks: Sequence[str]) -> str:
    """Words for the kind of task: what several tasks share, or one task without its names and numbers.

    Args:
        tasks: Tasks of one group, at least one.
    """
    distinct = _distinct(tasks)
    masked = [_masked(task) for task in distinct]
    shared = reduce(_shared, masked) if len(masked) > 1 else masked[0]
    words = [w for w in shared if w != "…"]
    return "tasks like: " + shorten(" ".join(shared if len(words) >= _MIN_WORDS else masked[0]), SHORT - 12)


def _sentences(rollout: Rollout, quotes: Quotes) -> list[str]:
    trusted = sorted((o for o in rollout.outcomes if o.feedback and source_rank(o.source) <= _TRUSTED), key=lambda o: source_rank(o.source))
    texts = (quotes.left_out(o.feedback or "") for o in trusted)
    return [" ".join(s.split()) for text in texts for s in _SENTENCE.split(text) if s.strip() and QUOTE not in s]


def _first_that_fit(sentences: Iterable[str]) -> list[str]:
    """Sentences in order until the advice is full."""
    fitting: list[str] = []
    for sentence in sentences:
        if len(" ".join([*fitting, sentence])) <= LONG:
            fitting.append(sentence)
    return fitting


def _plain(value: JsonValue) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _masked(task: str) -> list[str]:
    """Words of a task with its quotes, numbers and ids left out."""
    return _NUMBERED.sub("…", _QUOTED.sub("…", task)).split()


def _shared(one: list[str], other: list[str]) -> list[str]:
    """Words that both have, in order, with `…` for what differs."""
    blocks = [b for b in SequenceMatcher(a=one, b=other, autojunk=False).get_matching_blocks() if b.size]
    words: list[str] = []
    end = 0
    for block in blocks:
        gap = ["…"] if block.a > end and (not words or words[-1] != "…") else []
        words += [*gap, *one[block.a : block.a + block.size]]
        end = block.a + block.size
    return [*words, *(["…"] if end < len(one) else [])]


def _distinct(tasks: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tasks))
