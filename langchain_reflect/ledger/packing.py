"""A trajectory as bytes: compressed, and never larger than a limit, however long the run was.

What is too long loses its middle: the first and the last steps tell how a run began and how it ended. A step in its place says how many are
missing, and has the hash of all there was.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

from langchain_reflect.types import Episode

STEP_LIMIT: Final = 5_000
"""Most steps that are kept."""
BYTE_LIMIT: Final = 4_000_000
"""Most bytes of JSON that are kept of the steps, and as many of the result."""
LEFT_OUT: Final = "steps left out"
"""Name of the step that stands for the missing ones."""


def pack(episode: Episode) -> bytes:
    """The steps and the result of an episode.

    Args:
        episode: Its steps and result are plain JSON already.
    """
    fields = episode.model_dump(include={"steps", "result"})
    steps = [json.dumps(step) for step in fields["steps"]]
    result = json.dumps(fields["result"])
    if len(result) > BYTE_LIMIT:
        result = json.dumps(f"[… a result of {len(result)} characters left out, sha256 {_hash([result])} …]")
    return zlib.compress(f'{{"steps": [{", ".join(_fitting(steps))}], "result": {result}}}'.encode(), level=3)


def unpack(data: bytes) -> dict[str, Any]:
    """The steps and the result, as `Episode` takes them.

    Args:
        data: From `pack`.
    """
    fields: dict[str, Any] = json.loads(zlib.decompress(data))
    return fields


def _fitting(steps: Sequence[str]) -> Sequence[str]:
    """The steps, without those in the middle that do not fit."""
    if len(steps) <= STEP_LIMIT and sum(map(len, steps)) <= BYTE_LIMIT:
        return steps
    head = _leading(steps, STEP_LIMIT // 2, BYTE_LIMIT // 2)
    tail = _leading(steps[head:][::-1], STEP_LIMIT - STEP_LIMIT // 2 - 1, BYTE_LIMIT // 2)
    gone = steps[head : len(steps) - tail]
    told = {"steps": len(gone), "characters": sum(map(len, gone)), "sha256": _hash(steps)}
    mark = json.dumps({"kind": "node", "name": LEFT_OUT, "output": told})
    return [*steps[:head], mark, *steps[len(steps) - tail :]]


def _leading(steps: Sequence[str], most: int, room: int) -> int:
    """How many of the first steps fit."""
    for count, step in enumerate(steps[:most]):
        room -= len(step)
        if room < 0:
            return count
    return min(most, len(steps))


def _hash(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()
