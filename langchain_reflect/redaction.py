"""Secrets are taken out of texts before anything is stored.

The rules know the shapes of common keys; they are a net, not a guarantee. `redact=` takes any `str -> str` in their place.
"""

import re
from collections.abc import Callable
from typing import Final

from pydantic import JsonValue

Redact = Callable[[str], str]

_RULES: Final = (
    (
        "private key",
        re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----.*?(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)", re.DOTALL),
    ),
    ("token", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")),
    ("key", re.compile(r"\b(?:sk|pk|rk|lsv2|xox[abprs]|gh[opsu]|glpat|hf|npm|pypi)[-_][A-Za-z0-9_-]{16,}")),
    ("key", re.compile(r"\b(?:github_pat_\w{20,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})")),
    ("token", re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{12,}")),
    ("password", re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)")),
    (
        "secret",
        re.compile(
            r"""(?ix)(?=["'\s:=])(?:(?<=api_key)|(?<=api-key)|(?<=apikey)|(?<=secret)|(?<=password)|(?<=access_token)|(?<=auth_token))
            (["']?\s*[:=]\s*["']?)[^\s"',;}]{8,}"""
        ),
    ),
)


def redact(text: str) -> str:
    """The text with keys, tokens and passwords replaced by `[redacted …]`."""
    for name, pattern in _RULES:
        keep = r"\1" if pattern.groups else ""
        text = pattern.sub(rf"{keep}[redacted {name}]", text)
    return text


def redact_json(value: JsonValue, redact: Redact) -> JsonValue:
    """The same JSON with every text in it redacted, keys too.

    Args:
        value: Plain JSON.
        redact: What is done to each text.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_json(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(key): redact_json(item, redact) for key, item in value.items()}
    return value
