"""The same graph bare and wrapped, and a comparison that leaves out what differs between any two runs."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from langchain_reflect.agents.episodes import METADATA_KEY
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance.subjects import Subject, model_for

MARK: Final = "<lessons"
"""How a block of lessons begins."""
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(\+00:00|Z)?")


@dataclass
class Pair:
    """The same graph bare and wrapped, each with a model of its own.

    Args:
        subject: The graph.
        service: Where the wrapped one gets lessons and leaves episodes.
        compiled: Options of `compile()`, each made anew for each graph.
    """

    subject: Subject
    service: AgentService
    compiled: Mapping[str, Callable[[], Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bare_model, self.model = model_for(self.subject), model_for(self.subject)
        self.bare = self.subject.build(self.bare_model, **self._options())
        self.original = self.subject.build(self.model, **self._options())
        self.wrapped = reflected(self.original, self.service, **(self.subject.options or {}))

    def _options(self) -> dict[str, Any]:
        return {key: make() for key, make in self.compiled.items()}

    @property
    def blocks(self) -> list[int]:
        """How many blocks of lessons the wrapped graph's model saw, for each of its calls."""
        return ["".join(str(m.content) for m in prompt).count(MARK) for prompt in self.model.prompts]

    def same(self, run: Callable[[Any], Any]) -> Any:
        """Run it on both, compare, and return what the wrapped graph gave; where the bare graph raises, the wrapped one must as well."""
        expected, got = _tried(run, self.bare), _tried(run, self.wrapped)
        self.equal(got, expected)
        return _given(got)

    async def asame(self, run: Callable[[Any], Awaitable[Any]]) -> Any:
        """Async `same`."""
        expected, got = await _atried(run, self.bare), await _atried(run, self.wrapped)
        self.equal(got, expected)
        return _given(got)

    @staticmethod
    def equal(got: Any, expected: Any) -> None:
        """Compare what is left of both without ids and times."""
        one, other = normal(got), normal(expected)
        assert one == other, difference(one, other)


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _tried(run: Callable[[Any], Any], graph: Any) -> Any:
    try:
        return run(graph)
    except Exception as error:  # noqa: BLE001 - to be compared, then raised
        return _Raised(error)


async def _atried(run: Callable[[Any], Awaitable[Any]], graph: Any) -> Any:
    try:
        return await run(graph)
    except Exception as error:  # noqa: BLE001 - as above
        return _Raised(error)


def _given(result: Any) -> Any:
    if isinstance(result, _Raised):
        raise result.error
    return result


def normal(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    """What two runs of the same graph have in common: ids and times are masked, and our mark in the metadata is taken out."""
    if isinstance(value, str):
        return _TIME.sub("<time>", _ID.sub("<id>", value))
    if isinstance(value, BaseMessage):
        return (type(value).__name__, {k: "<id>" if k == "id" else normal(v) for k, v in value.model_dump().items()})  # or not yet given
    if isinstance(value, Mapping):
        ours = {METADATA_KEY}
        return {normal(k): normal(v) for k, v in value.items() if k != METADATA_KEY and not (isinstance(v, dict) and set(v) == ours)}
    if isinstance(value, BaseException):
        return (type(value).__name__, normal(str(value)))
    if isinstance(value, BaseModel):
        return (type(value).__name__, {k: normal(getattr(value, k)) for k in type(value).model_fields})
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, {f.name: normal(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, list | tuple | set | frozenset):
        return [normal(item) for item in value]
    return normal(repr(value)) if not isinstance(value, int | float | type(None)) else value


def difference(got: Any, expected: Any, place: str = "") -> str:
    """Where two normal values differ first.

    Args:
        got: From `normal`.
        expected: Likewise.
        place: Of both in what they are part of.
    """
    if isinstance(got, Mapping) and isinstance(expected, Mapping) and got.keys() == expected.keys():
        return next((difference(got[k], expected[k], f"{place}[{k!r}]") for k in got if got[k] != expected[k]), "")
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple) and len(got) == len(expected):
        pairs = enumerate(zip(got, expected, strict=True))
        return next((difference(a, b, f"{place}[{i}]") for i, (a, b) in pairs if a != b), "")
    return f"at {place or 'the top'}: {got!r:.500} is not {expected!r:.500}"
