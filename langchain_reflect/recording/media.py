"""Pictures, sound and files inside messages: what they were, how large and their hash; never the bytes.

The blocks are those of LangChain (standard content blocks, https://docs.langchain.com/oss/python/langchain/messages), OpenAI and Anthropic,
and data URLs (RFC 2397) anywhere in a text.
"""

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

_KINDS: Final = {"image": "image/*", "audio": "audio/*", "video": "video/*", "file": "application/*", "input_audio": "audio/*"}
_DATA_URL: Final = re.compile(r"data:([\w.+/-]*)(?:;[\w.=+-]+)*;base64,([A-Za-z0-9+/=_-]{200,})")
_SHORT: Final = 200
"""Shorter data stays: it is no medium, and an icon does no harm."""


def without_media(text: str) -> str:
    """The text with its data URLs replaced by what they were."""
    return _DATA_URL.sub(lambda found: _told(described(found[1] or "text/plain", found[2])), text) if ";base64," in text else text


def media_of(block: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What a content block holds, in place of the block; None if it holds no medium.

    Args:
        block: Any mapping.
    """
    kind = block.get("type")
    if not isinstance(kind, str):
        return None
    inner: Any = block.get("source") or block.get("input_audio") or block.get("file") or block
    holder = inner if isinstance(inner, Mapping) else block
    data = next((holder[name] for name in ("base64", "data", "file_data", "bytes") if isinstance(holder.get(name), str | bytes)), None)
    if data is None or len(data) < _SHORT or (kind not in _KINDS and holder.get("type") != "base64"):
        return None
    mime = holder.get("mime_type") or holder.get("media_type") or block.get("mime_type") or _KINDS.get(kind, "application/*")
    return {"type": kind, **described(str(mime), data)}


def described(mime: str, data: str | bytes) -> dict[str, Any]:
    """Type, size and hash of base64 data (or of bytes).

    Args:
        mime: MIME type.
        data: Text that is no base64 is described as it stands.
    """
    raw = data if isinstance(data, bytes) else _decoded(data)
    return {"media": mime, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _decoded(data: str) -> bytes:
    try:
        return b64decode(data.rpartition(",")[2].replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")


def _told(what: Mapping[str, Any]) -> str:
    return f"[media {what['media']}, {what['bytes']} bytes, sha256 {what['sha256'][:16]}]"
