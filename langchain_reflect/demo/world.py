"""The demo's world: tasks under house conventions that no model can guess and code can verify.

The agent sees the text of a task and nothing else. Each convention is known to its verifier only, which says what was wrong the way a
strict reviewer would. All of it is seeded: one seed, one world.
"""

import random
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from langchain_reflect.errors import InvalidInput
from langchain_reflect.verifiers import Verdict, answer_text

_PREFIXES: Final = ("acme", "nordwind", "kestrel", "bluefin", "tamarack")
_VERBS: Final = ("delete", "list", "create", "update", "archive", "export", "refund", "approve", "cancel", "print")
_NOUNS: Final = ("invoice", "customer", "order", "user", "ticket", "shipment", "coupon", "report", "product", "payment")
_TABLES: Final = ("users", "orders", "invoices", "tickets", "products", "customers")
_COLUMNS: Final = {
    "city": ("Paris", "Oslo", "Lima"),
    "status": ("open", "closed", "late"),
    "country": ("DE", "NO", "PE"),
    "plan": ("gold", "basic", "trial"),
    "color": ("red", "blue", "green"),
}
_GOODS: Final = ("lamp", "chair", "table", "shelf", "carpet", "mirror", "pillow", "bottle", "kettle", "basket", "candle", "drawer")
_CENTS: Final = (0, 5, 25, 50, 75, 99)
_MONTHS: Final = 12
_TRIES: Final = 200
"""Draws per task that is needed, before a family counts as exhausted."""


@dataclass(frozen=True, slots=True)
class Question:
    """One task: what the agent sees, and what only the verifier knows."""

    family: str
    text: str
    answer: str
    """A right answer; of queries any other that counts the same is right too."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint sets of tasks of one family."""

    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    held_out: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of task with its convention."""

    name: str
    title: str
    make: Callable[[random.Random], Question]
    judge: Callable[[Question, str], Verdict]


class World:
    """All families of one seed.

    Args:
        seed: Decides the tasks and the company's prefix.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.prefix = random.Random(f"prefix-{seed}").choice(_PREFIXES)  # noqa: S311 - a world to repeat, no secret
        families = (
            Family("naming", "tool names with the company's prefix", self._naming, self._judge_naming),
            Family("sql", "SQL without soft-deleted rows", _sql, _judge_sql),
            Family("codes", "product codes", _codes, _judge_codes),
            Family("dates", "ISO dates", _dates, _judge_dates),
            Family("cents", "amounts in integer cents", _cents, _judge_cents),
            Family("dayfirst", "weekdays of day-first dates", _dayfirst, _judge_dayfirst),
        )
        self.families: Mapping[str, Family] = {family.name: family for family in families}

    def splits(self, family: str, *, train: int, validation: int, held_out: int) -> Splits:
        """Disjoint sets of different tasks; the same sizes and seed give the same sets.

        Args:
            family: Name of the family.
            train: Tasks to learn from.
            validation: Tasks on which drafts are tried.
            held_out: Tasks for the final measurement.

        Raises:
            InvalidInput: The family is unknown, or does not have so many different tasks.
        """
        if family not in self.families:
            raise InvalidInput(f"family={family!r} is unknown; expected one of {', '.join(self.families)}")
        rng = random.Random(f"{family}-{self.seed}")  # noqa: S311 - as above
        total = train + validation + held_out
        found: dict[str, Question] = {}
        for _ in range(total * _TRIES):
            if len(found) == total:
                break
            question = self.families[family].make(rng)
            found.setdefault(question.text, question)
        if len(found) < total:
            raise InvalidInput(f"{family!r} has only {len(found)} different tasks, {total} were asked for; ask for fewer")
        tasks = tuple(found.values())
        return Splits(tasks[:train], tasks[train : train + validation], tasks[train + validation :])

    def verify(self, *, inputs: Any = None, outputs: Any, reference_outputs: Question) -> Verdict:
        """Judge an answer, in the calling form of verifiers.

        Args:
            inputs: Unused; the reference knows the task.
            outputs: State of the agent's graph, or the answer's text.
            reference_outputs: The task.
        """
        del inputs
        return self.families[reference_outputs.family].judge(reference_outputs, answer_text(outputs))

    def _naming(self, rng: random.Random) -> Question:
        verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
        ask = f"give the snake_case name of the tool function that can {verb} {_article(noun)} {noun}"
        text = f"Tool naming: {ask}. Answer with the name only."
        return Question("naming", text, f"{self.prefix}_{verb}_{noun}")

    def _judge_naming(self, question: Question, answer: str) -> Verdict:
        rule = f"Tool names at this company start with the prefix {self.prefix}_, then the verb, then the noun."
        return _verdict(_bare(answer).removesuffix("()").lower() == question.answer, rule, question.answer)


def _sql(rng: random.Random) -> Question:
    table, column = rng.choice(_TABLES), rng.choice(sorted(_COLUMNS))
    value = rng.choice(_COLUMNS[column])
    ask = f"write one SQL query that counts the rows of table {table} where {column} is '{value}'"
    text = f"SQL query for our warehouse: {ask}. Answer with the SQL query only."
    return Question("sql", text, f"SELECT COUNT(*) FROM {table} WHERE {column} = '{value}' AND deleted_at IS NULL;")  # noqa: S608 - own words


def _judge_sql(question: Question, answer: str) -> Verdict:
    rule = "Every query must have the condition deleted_at IS NULL, because deleted rows stay in the table."
    query = _unfenced(answer)
    try:
        with _Database() as database:
            right = _count(database, query) == _count(database, question.answer)
    except (sqlite3.Error, sqlite3.Warning) as error:
        return Verdict(0.0, f"{rule} The query does not run: {error}.", {"expected": question.answer})
    return _verdict(right and "deleted_at" in query.lower(), rule, question.answer)


def _codes(rng: random.Random) -> Question:
    good, number = rng.choice(_GOODS), rng.randrange(2, 100)
    text = f"Product code: give our product code of {good} number {number}. Answer with the product code only."
    return Question("codes", text, f"{good[:3].upper()}-{number:04d}")


def _judge_codes(question: Question, answer: str) -> Verdict:
    rule = (
        "A product code is the first three letters of the product in capitals, a dash, and the number with zeros in front to four digits."
    )
    return _verdict(_bare(answer) == question.answer, rule, question.answer)


def _dates(rng: random.Random) -> Question:
    day = _day(rng)
    text = f"Database value: rewrite this date the way our database stores it: {day:%B} {day.day}, {day.year}. Answer with the date only."
    return Question("dates", text, day.isoformat())


def _judge_dates(question: Question, answer: str) -> Verdict:
    rule = "Dates are stored as YYYY-MM-DD with a two-digit month and day."
    return _verdict(_bare(answer) == question.answer, rule, question.answer)


def _cents(rng: random.Random) -> Question:
    whole, rest = rng.randrange(1, 400), rng.choice(_CENTS)
    text = f"Convert the price ${whole}.{rest:02d} to the form our API takes. Answer with the value only."
    return Question("cents", text, str(whole * 100 + rest))


def _judge_cents(question: Question, answer: str) -> Verdict:
    rule = "Amounts are integers in cents without a currency sign or point."
    return _verdict(_bare(answer) == question.answer, rule, question.answer)


def _dayfirst(rng: random.Random) -> Question:
    """Even told the rule, a small model cannot reckon the weekday: no lesson helps here."""
    day = _day(rng)
    while day.day == day.month or day.day > _MONTHS:
        day = _day(rng)
    text = f"A paper form says {day:%d/%m/%Y}. On which weekday was it signed? Answer with the name of the weekday only."
    return Question("dayfirst", text, f"{day:%A}")


def _judge_dayfirst(question: Question, answer: str) -> Verdict:
    rule = "Our forms write the day first: the second number is the month."
    return _verdict(_bare(answer).lower() == question.answer.lower(), rule, question.answer)


def _verdict(right: bool, feedback: str, expected: str) -> Verdict:  # noqa: FBT001 - its one meaning is clear where it is called
    """A failure carries the rule in words and, as detail, the answer that was expected."""
    return Verdict(1.0) if right else Verdict(0.0, feedback, {"expected": expected})


def _bare(answer: str) -> str:
    """An answer without the fence, quotes and full stop that models like to put around it."""
    return _unfenced(answer).strip("`\"'. ")


def _unfenced(answer: str) -> str:
    fenced = re.search(r"```(?:\w+\n|\n)?(.*?)```", answer, re.DOTALL)
    return (fenced[1] if fenced else answer).strip()


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _day(rng: random.Random) -> date:
    return date(2023, 1, 1) + timedelta(days=rng.randrange(3 * 365))


class _Database:
    """Tables with live and deleted rows of every value, on which nothing but reading is allowed."""

    def __enter__(self) -> sqlite3.Connection:
        self._opened = sqlite3.connect(":memory:")
        columns = sorted(_COLUMNS)
        for table in _TABLES:
            self._opened.execute(f"CREATE TABLE {table} (id INTEGER, {', '.join(columns)}, deleted_at TEXT)")
            self._opened.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * (len(columns) + 2))})", _rows(table, columns))  # noqa: S608 - own words only
        self._opened.commit()
        self._opened.execute("PRAGMA query_only = ON")
        self._opened.set_progress_handler(lambda: 1, 1_000_000)  # a query that never ends is stopped
        return self._opened

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def _rows(table: str, columns: list[str]) -> list[tuple[object, ...]]:
    rng = random.Random(f"rows-{table}")  # noqa: S311 - a world to repeat, no secret
    rows = [(n, *(rng.choice(_COLUMNS[c]) for c in columns), None if n % 3 else "2024-01-31") for n in range(120)]
    return [*rows]


def _count(database: sqlite3.Connection, query: str) -> object:
    row = database.execute(query).fetchone()
    return None if row is None or len(row) != 1 else row[0]
