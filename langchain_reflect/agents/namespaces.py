"""Namespaces with `{placeholders}` that a run's configuration fills."""

import re
from collections.abc import Mapping
from typing import Final

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import Namespace, check_namespace

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def check_template(template: object) -> None:
    """Refuse a namespace that cannot be meant.

    Raises:
        InvalidInput: It is not a tuple of texts, is empty, or has an empty part or a broken placeholder.
    """
    shape = 'expected a tuple of texts such as ("acme", "{user_id}")'
    if not isinstance(template, tuple) or not template or not all(isinstance(part, str) and part for part in template):
        raise InvalidInput(f"namespace {template!r} is not usable; {shape}")
    for part in template:
        if set(_PLACEHOLDER.sub("", part)) & {"{", "}"}:
            raise InvalidInput(f"namespace part {part!r} has a broken placeholder; {shape}")


def has_placeholders(template: Namespace) -> bool:
    """Whether only a run can fill it."""
    return any("{" in part for part in template)


def fill_namespace(template: Namespace, configurable: Mapping[str, object]) -> Namespace:
    """The namespace of one run.

    Args:
        template: Parts such as `"acme"` or `"user-{user_id}"`.
        configurable: The run's `config["configurable"]`.

    Raises:
        InvalidInput: A placeholder has no value (a guess would mix tenants), or one that is no name.
    """

    def value(found: re.Match[str]) -> str:
        key = found[1]
        text = "" if configurable.get(key) is None else str(configurable[key])
        if not text:
            raise InvalidInput(
                f"namespace {template!r} needs {key!r}, which is missing; pass config={{'configurable': {{{key!r}: ...}}}} to the run, "
                "or outside of a run namespace=(...) with its value"
            )
        return text

    return check_namespace(tuple(_PLACEHOLDER.sub(value, part) for part in template))
