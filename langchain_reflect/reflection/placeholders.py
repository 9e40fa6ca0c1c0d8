"""Pictures, sound and files in a trajectory become short placeholders such as `[image/png 12 kB]`. Pure.

The recorder stores what a medium was; imported logs may hold the bytes themselves, as data URLs, content blocks or bare base64.
"""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

_LONG: Final = 200
"""Shorter data stays."""
_KILO: Final = 1000
_BASE64: Final = "A-Za-z0-9+/_-"
_DATA_URL: Final = re.compile(rf"data:([\w.+/-]{{0,100}})(?:;[\w.=+-]{{1,100}}){{0,9}};base64,([%{_BASE64}]{{{_LONG},}}=*)", re.IGNORECASE)
_BARE: Final = re.compile(
    rf"(?<![{_BASE64}])(?:[{_BASE64}]{{60,76}}(?:\r?\n|\\n|\\r\\n)){{3,}}[{_BASE64}]*=*|(?<![{_BASE64}])[{_BASE64}]{{{_LONG},}}=*"
)
_STORED: Final = re.compile(r"\[media ([\w.+/*-]{1,100}), (\d{1,18}) bytes, sha256 [0-9a-f]{1,64}\]")
_MAGIC: Final = {
    "iVBORw0KGg": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "JVBERi0": "application/pdf",
    "UEsDB": "application/zip",
}
_MIXED: Final = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)")
_URL: Final = 120


def without_media(text: str) -> str:
    """The text with a placeholder for each data URL, each long run of base64, and each note of a medium.

    Args:
        text: Any text. Takes time in proportion to its length.
    """
    if len(text) < _LONG and "[media " not in text:
        return text
    text = _STORED.sub(lambda found: told(found[1], int(found[2])), text) if "[media " in text else text
    text = _DATA_URL.sub(lambda found: told(found[1] or "text/plain", _size(found[2])), text) if ";base64," in text else text
    return _BARE.sub(lambda found: _bare(found[0]), text)


def told(mime: str, size: int) -> str:
    """A medium as text.

    Args:
        mime: MIME type.
        size: Bytes.
    """
    return f"[{mime} {size} B]" if size < _KILO else f"[{mime} {round(size / _KILO)} kB]"


def medium(block: Mapping[str, JsonValue]) -> str | None:
    """A content block or the recorder's note of one as text; None if it is no medium.

    Args:
        block: Any JSON object.
    """
    if isinstance(kind := block.get("media"), str) and isinstance(size := block.get("bytes"), int):
        return told(kind, size)
    kind = str(block.get("type") or "")
    holder = next((inner for name in ("source", "image_url", "input_audio", "file") if isinstance(inner := block.get(name), dict)), block)
    mime = str(holder.get("media_type") or holder.get("mime_type") or block.get("mime_type") or kind.removesuffix("_url"))
    data = next((found for name in ("base64", "data", "file_data") if isinstance(found := holder.get(name), str)), None)
    if (
        data is not None
        and len(data) >= _LONG
        and (kind in {"image", "audio", "video", "file", "input_audio", "document"} or block is not holder)
    ):
        return without_media(data) if data.startswith("data:") else told(mime, _size(data))
    url = holder.get("url", block.get("image_url"))
    return _linked(mime, url) if isinstance(url, str) and kind in {"image", "image_url", "input_image", "audio", "video", "file"} else None


def _linked(mime: str, url: str) -> str:
    return without_media(url) if url.startswith("data:") else f"[{mime} {url[:_URL]}]"


def _bare(data: str) -> str:
    """Base64 has letters of both cases and digits soon; a long word, a path or a row of signs has not."""
    if not _MIXED.match(data[:_LONG]):
        return data
    return told(next((mime for magic, mime in _MAGIC.items() if data.startswith(magic)), "base64"), _size(data))


def _size(data: str) -> int:
    return len(data.rstrip("=")) * 3 // 4
