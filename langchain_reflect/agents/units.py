"""What chance is drawn for in a run: its conversation, its user, or the run itself. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from langchain_reflect.recall.policy import Unit
from langchain_reflect.types import Namespace

USER_KEYS: Final = ("user_id", "langgraph_auth_user_id")
"""Keys of a run's `configurable` that name its user: the application's own, and that of LangGraph's authentication."""


def user_of(configurable: Mapping[str, object], namespace: Namespace) -> str | None:
    """The user of a run as a unit; None if the run names none. Not the name itself, which is nobody's business but the application's.

    Args:
        configurable: The run's `config["configurable"]`.
        namespace: Of the run: users of two tenants are two.
    """
    name = next((str(configurable[key]) for key in USER_KEYS if configurable.get(key) not in (None, "")), None)
    if name is None:
        return None
    return "user:" + hashlib.sha256(json.dumps([*namespace, name]).encode()).hexdigest()[:16]


def unit_of(unit: Unit, *, user: str | None, thread_id: str | None) -> str | None:
    """What chance is drawn for; None: the episode.

    Args:
        unit: What the policy says. Without a user the thread stands in, without a thread the episode.
        user: From `user_of`.
        thread_id: The run's thread, if it has one.
    """
    if unit == "episode":
        return None
    return (user if unit == "user" else None) or thread_id or None
