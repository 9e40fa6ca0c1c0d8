"""What a user puts in the place of a part is looked at when it is given, so that the message comes where the mistake was made."""

import inspect
from typing import TypeVar

from langchain_reflect.errors import InvalidInput, shown

T = TypeVar("T")


def check_kind(name: str, value: T, kind: type) -> T:
    """The value, if it is of a kind.

    Args:
        name: Of the argument.
        value: Given for it.
        kind: What it has to be.

    Raises:
        InvalidInput: It is not.
    """
    if not isinstance(value, kind):
        raise InvalidInput(f"{name}={shown(value)}; expected a {kind.__name__}")
    return value


def check_callable(name: str, value: T) -> T:
    """The value, if it can be called.

    Args:
        name: Of the argument.
        value: Given for it.

    Raises:
        InvalidInput: It cannot.
    """
    if not callable(value):
        raise InvalidInput(f"{name}={shown(value)}; expected a function")
    return value


def put_down(value: object) -> None:
    """Close what an async function gave in place of an answer: nobody awaits it, and the error that follows says enough.

    Args:
        value: Any.
    """
    if inspect.iscoroutine(value):
        value.close()
