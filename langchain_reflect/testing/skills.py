"""What the simulated model can do: a few kinds of questions, answered in the ordinary way unless advice says otherwise. Pure.

Each skill reads the rule from the words of the advice. None of them knows what a verifier wants.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

_NAME: Final = re.compile(r"name of the (?:\w+ )?function that can (\w+) (?:an?|the) (\w+)", re.IGNORECASE)
_PREFIX: Final = re.compile(r"\b(?:prefix(?:ed)?(?: with)?|starts? with|begins? with)\W+(\w+?_)(?!\w)", re.IGNORECASE)
_COUNT: Final = re.compile(r"counts the rows of (?:table )?(\w+) where (\w+) is '([^']*)'", re.IGNORECASE)
_CONDITION: Final = re.compile(r"\b(\w+ IS (?:NOT )?NULL|\w+ = (?:\d+|'[^']*'))")
_CODE: Final = re.compile(r"code of (\w+) number (\d+)", re.IGNORECASE)
_LETTERS: Final = re.compile(r"first (\w+) letters", re.IGNORECASE)
_DIGITS: Final = re.compile(r"(\w+) digits", re.IGNORECASE)
_DATE: Final = re.compile(r"\b([A-Z][a-z]+ \d{1,2}, \d{4})\b")
_PRICE: Final = re.compile(r"\$(\d+)\.(\d\d)\b")
_MONTH: Final = re.compile(r"\b(\d\d)/(\d\d)/\d{4}\b.*\bmonth\b", re.IGNORECASE | re.DOTALL)
_OCCUR: Final = re.compile(r"how many times does the letter (\w) occur in the word (\w+)", re.IGNORECASE)
_PAYMENT: Final = re.compile(r"payment of (\d+)\.(\d\d) euros by customer (\d+)", re.IGNORECASE)
_CUSTOMER: Final = re.compile(r"\bcustomers?\b[^.]*?\b([a-z]+_)(?!\w)", re.IGNORECASE)
_PAGE: Final = re.compile(r"page (\d+) of the list of payments", re.IGNORECASE)
_NUMBERS: Final = {word: n for n, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight"))}
_MONTHS: Final = 12


def answer(question: str, advice: Sequence[str]) -> str:
    """The answer to a question.

    Args:
        question: What is asked.
        advice: What lessons say to do, best first; the first one that concerns a question counts.
    """
    for skill in _SKILLS:
        said = skill(question, " ".join(advice))
        if said is not None:
            return said
    return "I cannot answer this; I am a simulated model."


def _function_name(question: str, advice: str) -> str | None:
    found, prefix = _NAME.search(question), _PREFIX.search(advice)
    return f"{prefix[1] if prefix else ''}{found[1]}_{found[2]}".lower() if found else None


def _query(question: str, advice: str) -> str | None:
    found, condition = _COUNT.search(question), _CONDITION.search(advice)
    more = f" AND {condition[1]}" if condition else ""
    return f"SELECT COUNT(*) FROM {found[1]} WHERE {found[2]} = '{found[3]}'{more};" if found else None  # noqa: S608 - an answer, not a query


def _code(question: str, advice: str) -> str | None:
    found = _CODE.search(question)
    if found is None:
        return None
    name, number = found[1], found[2]
    if letters := _number(_LETTERS, advice):
        name = name[:letters]
    if re.search(r"\b(?:capitals?|upper[- ]?case)\b", advice, re.IGNORECASE):
        name = name.upper()
    if digits := _number(_DIGITS, advice):
        number = number.zfill(digits)
    return f"{name}{'-' if re.search(r'dash|hyphen', advice, re.IGNORECASE) else ' '}{number}"


def _date(question: str, advice: str) -> str | None:
    found = _DATE.search(question)
    if found is None:
        return None
    return f"{datetime.strptime(found[1], '%B %d, %Y'):%Y-%m-%d}" if "YYYY-MM-DD" in advice else found[1]  # noqa: DTZ007 - a date only


def _price(question: str, advice: str) -> str | None:
    found = _PRICE.search(question)
    if found is None:
        return None
    return str(int(found[1] + found[2])) if re.search(r"\bcents\b", advice, re.IGNORECASE) else f"{found[1]}.{found[2]}"


def _month(question: str, advice: str) -> str | None:
    found = _MONTH.search(question)
    if found is None:
        return None
    first, second = int(found[1]), int(found[2])
    day_first = re.search(r"\bday first\b|\bsecond number is the month\b", advice, re.IGNORECASE) or first > _MONTHS
    return f"{datetime(2000, second if day_first else first, 1):%B}"  # noqa: DTZ001 - only the month's name is used


def _letters(question: str, advice: str) -> str | None:
    """Guesses, unless it is told to write the letters down or to let Python count."""
    found = _OCCUR.search(question)
    if found is None:
        return None
    letter, word = found[1].lower(), found[2].lower()
    if re.search(r"\bpython\b", advice, re.IGNORECASE):
        return f'print("{word}".count("{letter}"))'
    if re.search(r"\bcommas?\b|\bone by one\b", advice, re.IGNORECASE):
        return f"{', '.join(word)}: {word.count(letter)}"
    return "2"


def _payment(question: str, advice: str) -> str | None:
    found = _PAYMENT.search(question)
    if found is None:
        return None
    prefix = _CUSTOMER.search(advice)
    amount = int(found[1] + found[2]) if re.search(r"\bcents\b", advice, re.IGNORECASE) else float(f"{found[1]}.{found[2]}")
    return json.dumps({"tool": "create_payment", "customer": f"{prefix[1] if prefix else ''}{found[3]}", "amount": amount})


def _page(question: str, advice: str) -> str | None:
    found = _PAGE.search(question)
    if found is None:
        return None
    from_zero = re.search(r"\bfrom (?:0|zero)\b", advice, re.IGNORECASE)
    return json.dumps({"tool": "list_payments", "page": int(found[1]) - bool(from_zero)})


def _number(pattern: re.Pattern[str], advice: str) -> int | None:
    found = pattern.search(advice)
    if found is None:
        return None
    return int(found[1]) if found[1].isdigit() else _NUMBERS.get(found[1].lower())


_SKILLS: Final[tuple[Callable[[str, str], str | None], ...]] = (
    _function_name,
    _query,
    _code,
    _date,
    _price,
    _month,
    _letters,
    _payment,
    _page,
)
