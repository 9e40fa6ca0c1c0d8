"""Lessons as files: one JSON object a line, written at once or not at all, and checked line by line when read."""

import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from pydantic import ConfigDict, ValidationError

from langchain_reflect.errors import InvalidInput, LedgerError, shown
from langchain_reflect.lessons.edits import MAX_TASKS, text_problem
from langchain_reflect.types import Lesson, LessonStatus, LessonText, Noun

MAX_LINE: Final = 1_000_000
"""Bytes of the longest line that is read."""
_PASSED_OVER: Final = frozenset(Lesson.model_fields) - frozenset(LessonText.model_fields) - {"tasks"}
"""What an exported lesson has beside its text: it belongs to the ledger that it comes from."""


class PackedLesson(LessonText):
    """A lesson of a file: its text, and tasks like those it is meant for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    tasks: tuple[str, ...] = ()


EXPORTED: Final[tuple[LessonStatus, ...]] = ("proposed", "candidate", "active")
"""The statuses whose lessons are exported."""


class Imported(Noun):
    """What an import came to."""

    added: tuple[str, ...] = ()
    """Ids of the new lessons."""
    quarantined: tuple[str, ...] = ()
    """Those of them that a person must look at, because their text looks unsafe."""
    known: int = 0
    """Rows whose lesson was there already, or was erased."""
    trusted: bool = False
    """Whether they are served, on trial; else they are `proposed`."""

    def __str__(self) -> str:
        """One line for people."""
        said = f"{len(self.added)} lessons added, {len(self.quarantined)} of them quarantined; {self.known} were known"
        return said + ("; they wait as proposed until somebody approves them" if self.added and not self.trusted else "")


def read_pack(source: str | os.PathLike[str] | Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, PackedLesson]]:
    """The lessons of a file, or of rows, with the number of their line.

    Args:
        source: A file with one JSON object a line, or such objects.

    Raises:
        InvalidInput: The file cannot be read, is a symbolic link, or a line is no lesson; the message has its number.
    """
    rows = _lines(Path(source)) if isinstance(source, str | os.PathLike) else enumerate(source, start=1)
    for number, row in rows:
        yield number, _packed(number, row)


def write_lines(path: str | os.PathLike[str], lines: Iterable[str], *, overwrite: bool = False) -> int:
    """Write lines into a file that is put in place when it is complete; returns how many.

    Args:
        path: The file.
        lines: Without line breaks at their ends.
        overwrite: Whether a file that exists is replaced.

    Raises:
        InvalidInput: The file exists.
        LedgerError: It cannot be written; nothing is left of it.
    """
    target = Path(path).expanduser().absolute()
    if target.is_dir() or ((target.exists() or target.is_symlink()) and not overwrite):
        raise InvalidInput(f"{str(target)!r} exists; choose another file, or overwrite it with --force (overwrite=True)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
        with _gone_on_failure(Path(name)) as made, os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            written = _put(stream, lines)
            made.replace(target)
    except OSError as error:
        raise LedgerError(f"the file {str(target)!r} cannot be written ({error.strerror or error}); nothing is left of it") from error
    return written


@contextmanager
def _gone_on_failure(made: Path) -> Iterator[Path]:
    try:
        yield made
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def _put(stream: IO[str], lines: Iterable[str]) -> int:
    written = 0
    for line in lines:
        stream.write(line + "\n")
        written += 1
    stream.flush()
    os.fsync(stream.fileno())
    return written


def _lines(path: Path) -> Iterator[tuple[int, object]]:
    with _opened(path) as stream:
        for number in count(1):
            line = stream.readline(MAX_LINE + 1)
            if not line:
                return
            if len(line) > MAX_LINE:
                raise InvalidInput(f"line {number} is longer than {MAX_LINE} bytes; a lesson needs a thousand or two")
            if line.strip():
                yield number, _parsed(number, line)


def _opened(path: Path) -> IO[bytes]:
    """The file itself: no link, device or pipe that a name may stand for."""
    try:
        handle = os.open(path.expanduser(), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        is_link = isinstance(error, OSError) and path.is_symlink()
        what = "is a symbolic link; name the file itself" if is_link else f"cannot be read ({getattr(error, 'strerror', error)})"
        raise InvalidInput(f"the file {str(path)!r} {what}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InvalidInput(f"{str(path)!r} is no file; expected one with a JSON object a line")
    return os.fdopen(handle, "rb")


def _parsed(number: int, line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"line {number} is no JSON: {error}") from error


def _packed(number: int, row: object) -> PackedLesson:
    if not isinstance(row, Mapping):
        raise InvalidInput(f"line {number} is {shown(row)}; expected an object with `when` and `do`")
    try:
        lesson = PackedLesson.model_validate_json(json.dumps({k: v for k, v in row.items() if k not in _PASSED_OVER}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidInput(f"line {number} is no lesson: {'.'.join(map(str, first['loc']))[:80]}: {first['msg']}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"line {number} is no lesson: {str(error)[:200]}") from error
    if len(lesson.tasks) > MAX_TASKS:
        raise InvalidInput(f"line {number} has {len(lesson.tasks)} tasks; at most {MAX_TASKS} are kept")
    if problem := text_problem(LessonText(**{name: getattr(lesson, name) for name in LessonText.model_fields})):
        raise InvalidInput(f"line {number} is no lesson: {problem}")
    return lesson
