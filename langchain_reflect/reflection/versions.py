"""Which version of the agent made a rollout, and how versions differ. Pure.

Two fingerprints go together if they are equal in all parts that both know. That is no equivalence (one that knows little goes together
with two that do not go together), so those that know most come first, and each of the others joins the first it goes together with.
Rollouts of which nothing is known are a version of their own.
"""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final

from langchain_reflect.reflection.clustering import by
from langchain_reflect.types import Fingerprint, Rollout

PARTS: Final = ("model", "prompt", "tools", "graph")
_UNKNOWN: Final = Fingerprint()


def same_agent(one: Fingerprint | None, other: Fingerprint | None) -> bool:
    """Whether two fingerprints are equal in all parts that both know.

    Args:
        one: None if nothing is known.
        other: Likewise.
    """
    pairs = [(getattr(one or _UNKNOWN, part), getattr(other or _UNKNOWN, part)) for part in PARTS]
    return all(a == b for a, b in pairs if a and b)


def by_agent(rollouts: Sequence[Rollout]) -> list[tuple[Rollout, ...]]:
    """Rollouts by the agent that made them, in the given order; agents in the order in which they first come.

    Args:
        rollouts: In a fixed order, such as oldest first.
    """
    agents = _agents([r.episode.fingerprint or _UNKNOWN for r in rollouts])
    return [tuple(same) for _, same in by(rollouts, lambda r: agents[r.episode.fingerprint or _UNKNOWN])]


def agents_of(rollouts: Sequence[Rollout]) -> list[str]:
    """A letter for the agent of each rollout, `A` for the first; empty texts if one agent made all of them.

    Args:
        rollouts: In the order to be shown.
    """
    agents = _agents([r.episode.fingerprint or _UNKNOWN for r in rollouts])
    mine = [agents[r.episode.fingerprint or _UNKNOWN] for r in rollouts]
    letters = {agent: _letter(at) for at, agent in enumerate(dict.fromkeys(mine))}
    return [letters[agent] if len(letters) > 1 else "" for agent in mine]


def told(rollouts: Sequence[Rollout]) -> str:
    """What the agents of some rollouts have that others have not, one a line; empty if one agent made all of them.

    Args:
        rollouts: As for `agents_of`. Models are named; of prompts, tools and graphs only is told which of them are the same.
    """
    letters = agents_of(rollouts)
    known: dict[str, Fingerprint] = {}
    for letter, rollout in zip(letters, rollouts, strict=True):
        known[letter] = _fuller(known.get(letter, _UNKNOWN), rollout.episode.fingerprint or _UNKNOWN)
    differing = [part for part in PARTS if len({getattr(f, part) for f in known.values()} - {""}) > 1]
    if len(known) < 2:  # noqa: PLR2004 - one agent differs from nothing
        return ""
    return "\n".join(f"agent {letter}: {_described(f, differing, list(known.values()))}" for letter, f in known.items())


def _described(agent: Fingerprint, differing: Sequence[str], agents: Sequence[Fingerprint]) -> str:
    said = []
    for part in differing:
        values = [value for value in dict.fromkeys(getattr(f, part) for f in agents) if value]
        if value := getattr(agent, part):
            said.append(f"model {value}" if part == "model" else f"{part} {values.index(value) + 1}")
    return ", ".join(said) or "unknown"


def _agents(fingerprints: Sequence[Fingerprint]) -> dict[Fingerprint, int]:
    """The number of the agent of each fingerprint."""
    ordered = sorted(dict.fromkeys(fingerprints), key=lambda f: (-_known(f), *(getattr(f, part) for part in PARTS)))
    leaders: list[Fingerprint] = []
    found: dict[Fingerprint, int] = {}
    for one in ordered:
        joined = next((at for at, leader in enumerate(leaders) if _known(one) and same_agent(one, leader)), None)
        if joined is None:
            leaders.append(one)
            found[one] = len(leaders) - 1
        else:
            leaders[joined] = _fuller(leaders[joined], one)
            found[one] = joined
    return found


def _fuller(one: Fingerprint, other: Fingerprint) -> Fingerprint:
    return Fingerprint(**{part: getattr(one, part) or getattr(other, part) for part in PARTS})


def _known(fingerprint: Fingerprint) -> int:
    return sum(bool(getattr(fingerprint, part)) for part in PARTS)


def _letter(number: int) -> str:
    """A to Z, then AA."""
    more, last = divmod(number, len(ascii_uppercase))
    return (_letter(more - 1) if more else "") + ascii_uppercase[last]
