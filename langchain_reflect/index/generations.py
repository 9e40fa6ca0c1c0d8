"""Which subfolder of a Chroma folder holds the index, and whether it is byte for byte what was closed there.

A damaged file can crash whoever opens it, and some damage goes unnoticed and gives wrong neighbours, so that a trial in a process of its
own would prove little. The ledger has every vector, and filling anew costs no embedding: a generation is opened only if every byte is as
this version of Chroma left it, and otherwise a new one takes its place. Reading all of it takes 1 s per GB, a tenth of what Chroma itself
needs to open as much. Nothing is touched but what is named `reflect-index…`, whoever else keeps files beside it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

MARKER: Final = "reflect-index.json"
FORMAT: Final = 2
_PREFIX: Final = "reflect-index-"
_CHUNK: Final = 1 << 20


def trusted(root: Path, version: str) -> Path | None:
    """The generation that was closed cleanly and has not changed since; None: there is none.

    Args:
        root: The folder that holds marker and generations.
        version: Of Chroma. It reads folders of older ones, but crashes on those of newer ones.
    """
    try:
        mark = json.loads((root / MARKER).read_bytes())
        place = root / str(mark["generation"])
        is_closed = place.name.startswith(_PREFIX) and place.parent == root and mark == _mark(place, version, mark["digest"])
        return place if is_closed and mark["digest"] == digest(place) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def begin(root: Path, version: str) -> Path:
    """A new, empty generation in place of all others; it is not trusted until it has been closed.

    Raises:
        OSError: The folder cannot be written.
    """
    place = root / f"{_PREFIX}{uuid4().hex[:12]}"
    mark(place, version, closed=False)
    for other in root.glob(f"{_PREFIX}*"):
        shutil.rmtree(other, ignore_errors=True)
    place.mkdir()
    return place


def mark(place: Path, version: str, *, closed: bool) -> None:
    """Note which generation is in use, and what it holds if it has been closed.

    Raises:
        OSError: The folder cannot be written, or the generation cannot be read.
    """
    draft = place.parent / f"{MARKER}.new"
    with draft.open("w") as file:
        json.dump(_mark(place, version, digest(place) if closed else None), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place.parent / MARKER)


def digest(place: Path) -> str:
    """A hash of the names and contents of all files below a folder.

    Raises:
        OSError: Something cannot be read, or is neither file nor folder.
    """
    found = hashlib.sha256()
    for name in _files(place):
        file = place / name
        if file.is_symlink() or not file.is_file():  # opening a pipe would wait for ever
            raise OSError(f"{str(file)!r} is no plain file")
        found.update(f"{name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()


def _files(place: Path) -> Iterator[str]:
    """Relative paths, in an order that is always the same."""

    def fail(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(place, onerror=fail):
        below.sort()
        yield from (os.path.relpath(Path(folder) / name, place) for name in sorted(names))


def _mark(place: Path, version: str, contents: str | None) -> dict[str, Any]:
    return {"format": FORMAT, "chroma": version, "generation": place.name, "digest": contents}
