"""Types of columns that mean the same in SQLite and PostgreSQL, and fit SQLite's STRICT tables (INTEGER, REAL, TEXT and BLOB)."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import REAL, TypeDecorator, TypeEngine

from langchain_reflect.types import Namespace, check_namespace


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time as fixed-width ISO text in UTC, which sorts as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the interface's parameter
        """To text."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the interface's parameter
        """From text."""
        return None if value is None else datetime.fromisoformat(value)


class NamespaceText(TypeDecorator[Namespace]):
    """A namespace as canonical JSON text; whatever is no namespace never reaches a statement."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Namespace | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the interface's parameter
        """To text."""
        return None if value is None else json.dumps(list(check_namespace(value)), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Namespace | None:  # noqa: ARG002 - the interface's parameter
        """From text."""
        return None if value is None else tuple(json.loads(value))


class JsonText(TypeDecorator[JsonValue]):
    """Plain JSON as text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JsonValue, dialect: Dialect) -> str | None:  # noqa: ARG002 - the interface's parameter
        """To text."""
        return None if value is None else json.dumps(value, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - the interface's parameter
        """From text."""
        return None if value is None else json.loads(value)


class Id(TypeDecorator[UUID]):
    """A UUID: PostgreSQL's own type, 32 hexadecimal digits in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's type."""
        return dialect.type_descriptor(postgresql.UUID(as_uuid=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        """To the database's form."""
        return value if value is None or dialect.name == "postgresql" else value.hex

    def process_literal_param(self, value: UUID | None, dialect: Dialect) -> str:  # noqa: ARG002 - the interface's parameter
        """To the statement itself: a UUID has no character that could be more than text."""
        return "NULL" if value is None else f"'{value.hex}'"

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002 - the interface's parameter
        """From the database's form."""
        return value if value is None or isinstance(value, UUID) else UUID(value)


class Number(TypeDecorator[float]):
    """A double."""

    impl = REAL
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's type: SQLite's REAL has eight bytes, PostgreSQL's has four."""
        return dialect.type_descriptor(postgresql.DOUBLE_PRECISION() if dialect.name == "postgresql" else REAL())
