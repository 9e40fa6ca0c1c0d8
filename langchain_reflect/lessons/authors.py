"""Who may change a lesson by what right: people, models, and the library itself. Pure."""

import re
import unicodedata
from typing import Final

from langchain_reflect.errors import InvalidInput, shown

_MODEL: Final = re.compile(r"[RC]-[0-9a-f]{12}")
_LIKE_AN_ID: Final = re.compile(r"[RCV]-[0-9a-f]+")
CREDIT: Final = "credit"
"""The actor of what follows from evidence: neither a model nor a person."""
_LIBRARY: Final = frozenset({"import", "revocation", CREDIT})
_MAX_NAME: Final = 200


def is_model(actor: str) -> bool:
    """Whether an actor is the id of a reflection (`R-…`) or of a consolidation (`C-…`): what a model wrote."""
    return _MODEL.fullmatch(actor) is not None


def approver_of(actor: str) -> str | None:
    """The person, whose word makes a wording approved; None for a model, and for what the library does by itself."""
    return None if is_model(actor) or actor in _LIBRARY else actor


def check_person(name: object) -> str:
    """The name of whoever decides.

    Raises:
        InvalidInput: It is empty, longer than 200 characters, has control characters, or stands for a model or for what evidence decides.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME or any(unicodedata.category(c) in {"Cc", "Cs"} for c in name):
        raise InvalidInput(f"by={shown(name)} cannot be used; expected the name of who decides, one line of at most {_MAX_NAME} characters")
    if name == CREDIT:
        raise InvalidInput(f"by={name!r} stands for what follows from evidence; give the name of a person, such as 'dana'")
    if _LIKE_AN_ID.fullmatch(name):
        raise InvalidInput(f"by={name!r} looks like an id that stands for what a model wrote; give the name of a person, such as 'dana'")
    return name
