"""Where a ledger is: a folder, a file or a URL."""

from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from langchain_reflect.errors import InvalidInput

FILE_NAME: Final = "ledger.db"
_SUFFIXES: Final = frozenset({".db", ".sqlite", ".sqlite3"})


def url_of(where: str | Path) -> URL:
    """The SQLAlchemy URL of a ledger.

    Args:
        where: A URL (`postgresql+psycopg://...`, `sqlite:///...`), a `.db`/`.sqlite` file, or a folder, in which the file is `ledger.db`.

    Raises:
        InvalidInput: The URL cannot be read, or names a database other than SQLite or PostgreSQL.
    """
    if isinstance(where, str) and "://" in where:
        return _checked(where)
    path = Path(where).expanduser()
    if path.suffix not in _SUFFIXES:
        path = path / FILE_NAME
    return URL.create("sqlite", database=str(path.resolve()))


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InvalidInput(f"ledger URL {text!r} cannot be read; expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME") from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidInput(f"ledger URL {text!r} names {url.get_backend_name()!r}; expected sqlite or postgresql")
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database):
        raise InvalidInput(f"ledger URL {text!r} has no file; an in-memory ledger would forget; expected sqlite:///FILE")
    return url
