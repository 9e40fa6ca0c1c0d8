"""What a lesson's text must not carry: invisible characters, attacks, and the answer of one single task.

Three questions, because what follows from them differs: `clean_text` removes what nobody can see; `suspicion` finds what must wait for a
person (the lesson is quarantined, never served); `leak` finds advice that only repeats one instance (the draft is rejected). The patterns
route to review, they are no wall: paraphrased poison passes any list, which is why lessons are also fenced, capped, cited and tried.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from langchain_reflect.types import Example, LessonText

_OVERRIDE: Final = (
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|system|safety|all|your|other)\b.{0,40}"
    r"\b(?:instruction|rule|prompt|message|guideline|polic|lesson|restriction)"
)
_SHELL: Final = r"\brm\s+-\w*[rf]|\bsudo\s+\w|\b(?:curl|wget)\s+(?:-|\S+\.\w)|\|\s*(?:ba|z)?sh\b|\$\(\w|\bchmod\s+[+\d]|\bpowershell\b"
_KEY: Final = (
    r"\b(?:sk|pk|rk)[-_](?:\w+[-_])?\w{16,}|\bAKIA\w{12,}|\bgh[pousr]_\w{20,}|\bxox[abpr]-|-----BEGIN|\beyJ[\w-]{10,}\.[\w-]{10,}"
    r"|\b(?:password|passwd|secret|api[_ -]?key|token)\s*(?:=|:|is)\s*['\"]?(?=\S*\d)\S{6,}"
)
_TAKEOVER: Final = r"\byou are now\b|\b(?:developer|jailbreak|dan) mode\b|\b(?:reveal|print|repeat)\b.{0,30}\bsystem prompt"
_SECRECY: Final = r"\b(?:do not|don't|never|without)\s+(?:tell|telling|inform|informing)\s+the\s+user"
_MARKS: Final = r"</?\s*(?:lessons?|system|assistant|user|instructions?|tool)\b[^>]*>|<\|\w+\|>|\[/?INST\]"
_SUSPICIOUS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for reason, pattern in (
        ("contains a URL", r"\b(?:https?|ftp|file|javascript|data)\s*:\s*/{0,2}\S*[/.,;]\S|\bwww\.\w"),
        ("contains an e-mail address", r"[\w.+-]+@[\w-]+\.\w{2,}"),
        ("contains a shell command", _SHELL),
        ("contains code to be run", r"\b(?:os\.system|subprocess\.\w+|__import__|eval|exec)\s*\("),
        ("contains a secret", _KEY),
        ("overrides instructions", _OVERRIDE),
        ("takes the agent over", _TAKEOVER),
        ("hides something from the user", _SECRECY),
        ("imitates the prompt's own marks", _MARKS),
    )
)
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_LONG_ID: Final = re.compile(r"(?<!\w)(?:\d{7,}|(?=\w*[A-Za-z])(?:\w*?\d){5,}\w*)(?!\w)")
"""Long numbers, and words with five digits or more, wherever they come from: `8551474201`, `W3069600`, `gift_card_7359776`."""
_STATED: Final = re.compile(r"\b(?:correct|right|final)\s+answer\s*:\s*\S", re.IGNORECASE)
_ID: Final = re.compile(r"#?\w*\d[\w]*(?:[-_/.]\w+)*|\w+(?:[-_/.]\w+)*[-_/.]?\w*\d\w*")
_MIN_ANSWER: Final = 4
"""Shorter answers (`yes`, `3`) stand in too much good advice by chance."""
_MIN_DIGITS: Final = 4
"""A token of a task with at least so many digits, or with digits and letters, is an id of that task."""


def clean(text: str) -> str:
    """Remove control, bidirectional, zero-width and other invisible format characters; keep line breaks and tabs.

    Args:
        text: Any text.
    """
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Cn"})
    return "".join(kept).strip()


def clean_text(text: LessonText) -> LessonText:
    """Apply `clean` to every field of a lesson's text; line breaks stay in the advice and the examples only.

    Args:
        text: A lesson's text, or anything that has its fields.
    """
    fields = {name: " ".join(clean(getattr(text, name)).split()) for name in ("title", "when", "when_not", "why")}
    examples = tuple(Example(input=clean(e.input), output=clean(e.output)) for e in text.examples)
    return LessonText(**fields, do=clean(text.do), examples=examples)


def suspicion(text: LessonText) -> str | None:
    """Why a person should look at a lesson before it is served, or None.

    Args:
        text: What the lesson says; examples are read too, since an agent reads them.
    """
    parts = [text.title, text.when, text.when_not, text.do, text.why, *(side for e in text.examples for side in (e.input, e.output))]
    plain = unicodedata.normalize("NFKC", clean("\n".join(parts)))
    return next((reason for reason, pattern in _SUSPICIOUS if pattern.search(plain)), None)


def leak(text: LessonText, *, answers: Sequence[str], tasks: Sequence[str]) -> str | None:
    """Why a lesson is about one instance only, or None.

    Advice is refused if it repeats a whole answer of its rollouts or an id of their tasks. What several different tasks share is a rule,
    not an instance. Examples may contain both: they are meant to show one instance.

    Args:
        text: What the lesson says.
        answers: The rollouts' answers, one per rollout.
        tasks: The rollouts' tasks, in the same order.
    """
    advice = f"{text.title}\n{text.when}\n{text.when_not}\n{text.do}\n{text.why}"
    if found := _UUID.search(advice) or _LONG_ID.search(advice):
        return f"names one instance: {found.group()!r}"
    if found := _STATED.search(advice):
        return f"contains an answer: {advice[found.start() :][:60]!r}"
    for answer in _of_one_task(((_plain(a),), t) for a, t in zip(answers, tasks, strict=True)):
        if _says_answer(answer, advice):
            return f"contains an answer: {answer[:60]!r}"
    for instance in _of_one_task((_ids(t), t) for t in tasks):
        if _contains(instance, advice):
            return f"names one instance: {instance!r}"
    return None


def _of_one_task(found: Iterable[tuple[Iterable[str], str]]) -> list[str]:
    """The values that belong to one distinct task only."""
    pairs = {(value, task) for values, task in found for value in values}
    count = Counter(value for value, _ in pairs)
    return sorted(value for value, n in count.items() if n == 1)


def _ids(task: str) -> set[str]:
    """Tokens of a task that can only mean one instance: `#W2417020`, `mia_li_3668`, `12345`."""
    tokens = (t.strip("#./-_") for t in _ID.findall(task))
    return {
        t for t in tokens if sum(c.isdigit() for c in t) >= _MIN_DIGITS or (any(c.isalpha() for c in t) and sum(c.isdigit() for c in t) > 1)
    }


def _says_answer(answer: str, advice: str) -> bool:
    if not answer:
        return False
    if len(answer) >= _MIN_ANSWER:
        return _contains(answer, advice)
    return re.search(rf"\banswer\s*(?:is|=|:)\s*[\"'`]?{re.escape(answer)}(?!\w)", advice, re.IGNORECASE) is not None


def _contains(value: str, advice: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", _plain(advice), re.IGNORECASE) is not None


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'`")
