"""A simulated chat model: no language model, but it fails without lessons, follows lessons, and writes them from feedback.

It stands in where a test, an example or a demo must run offline in seconds. It knows the ordinary way to answer a few kinds of questions
(`skills`) and no house rule; it obeys a rule only if a lesson in its prompt states it. Figures measured with it tell that the machinery
works, never how much a real model gains.
"""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_reflect.reflection.feedback import family
from langchain_reflect.runs import SEED_KEY
from langchain_reflect.testing.skills import answer

_BLOCK: Final = re.compile(r"<lessons\b[^>]*>(.*?)</lessons>", re.DOTALL)
_DO: Final = re.compile(r"^\s*Do: (.*(?:\n {5,}.*)*)", re.MULTILINE)
_DATA: Final = re.compile(r"<data-(\w+)>\n(.*?)\n</data-\1>", re.DOTALL)
_TRY: Final = re.compile(r"^(R\d+) \(.*\)$", re.MULTILINE)
_TASK: Final = re.compile(r"^(?:TASK|task): (.+)$", re.MULTILINE)
_FEEDBACK: Final = re.compile(r"^feedback: (.+)$", re.MULTILINE)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_ONE_CASE: Final = re.compile(r"\bexpected\b|\bgot\b", re.IGNORECASE)
_NEW: Final = re.compile(r"^NEW LESSON: (.+)$", re.MULTILINE)
_BOOK: Final = re.compile(r"^BOOK (\S+)(?: \([^)]*\))?: (.+)$", re.MULTILINE)
_SAME: Final = 0.8
"""Likeness of two advices that say the same."""


class SimulatedModel(BaseChatModel):
    """Answers by rules, as an agent, as a reflector and as a curator. The same seed and prompt give the same answer.

    As an agent it forgets its lessons at a rate of `slip`; which run slips is drawn from `seed`, from the run's own seed in its metadata
    (`practice` and `measure_uplift` give one) and from the question, but not from the lessons, so that arms are compared fairly.
    """

    model: str = "simulated"
    """Its name in episodes; it says what it is."""
    seed: int = 0
    slip: float = 0.1
    """Share of answers that do not follow the lessons."""

    @property
    def _llm_type(self) -> str:
        return "simulated"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        del stop, kwargs
        known = (run_manager.metadata or {}) if run_manager else {}
        text = self._say(messages, known.get(SEED_KEY))
        message = AIMessage(text, usage_metadata=_usage(messages, text))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _say(self, messages: Sequence[BaseMessage], run_seed: object) -> str:
        asked = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        if '{"lessons"' in asked:
            return json.dumps(drafted(asked), ensure_ascii=False)
        if '{"action"' in asked:
            return json.dumps(curated(asked), ensure_ascii=False)
        question = _BLOCK.sub("", asked).strip()
        slips = _chance(self.seed, run_seed, question) < self.slip
        return answer(question, [] if slips else advice_in(messages))


def advice_in(messages: Sequence[BaseMessage]) -> list[str]:
    """What the lessons in a prompt say to do.

    Args:
        messages: The prompt.
    """
    return [" ".join(do.split()) for m in messages for block in _BLOCK.findall(m.text) for do in _DO.findall(block)]


def drafted(asked: str) -> dict[str, Any]:
    """A reflector's answer: the feedback on the tries as one rule, without what it says about one case; nothing if there is none.

    Args:
        asked: The prompt of the contrast.
    """
    data = _data(asked)
    heads = list(_TRY.finditer(data))
    bodies = [data[head.end() : after.start()] for head, after in pairwise(heads)] + [data[head.end() :] for head in heads[-1:]]
    said = [(head[1], text) for head, body in zip(heads, bodies, strict=True) for text in _FEEDBACK.findall(body)]
    rules = list(dict.fromkeys(s for _, text in said for s in _SENTENCE.split(text) if not _ONE_CASE.search(s)))
    if not rules:
        return {"lessons": []}
    tasks = _TASK.findall(data)
    lesson = {
        "why": "the failed tries did not follow this rule",
        "when": family(tasks) if tasks else "tasks of this kind",
        "do": " ".join(rules),
        "when_not": "",
        "title": " ".join(rules[0].split()[:6]),
        "cites": list(dict.fromkeys(label for label, _ in said)),
    }
    return {"lessons": [lesson]}


def curated(asked: str) -> dict[str, Any]:
    """A curator's answer: the lesson of the book that says nearly the same, else a new one.

    Args:
        asked: The prompt of the curation.
    """
    data = _data(asked)
    new = _NEW.search(data)
    for name, text in _BOOK.findall(data):
        if new and SequenceMatcher(a=_do(text), b=_do(new[1]), autojunk=False).ratio() >= _SAME:
            return {"action": "MERGE", "ids": [name], "when": "", "do": "", "when_not": "", "reason": "it says the same"}
    return {"action": "ADD", "ids": [], "when": "", "do": "", "when_not": "", "reason": "it is about something else"}


def _data(asked: str) -> str:
    found = _DATA.search(asked)
    return found[2] if found else ""


def _do(text: str) -> str:
    return text.partition(" Do: ")[2].partition(" Not when: ")[0].casefold()


def _chance(*parts: object) -> float:
    """A number in [0, 1) that these parts decide."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
    return random.Random(digest).random()  # noqa: S311 - to be repeated, no secret


def _usage(messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
    """Four characters count as a token."""
    spent, said = sum(len(m.text) for m in messages) // 4, len(text) // 4
    return UsageMetadata(input_tokens=spent, output_tokens=said, total_tokens=spent + said)
