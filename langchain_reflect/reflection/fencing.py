"""Foreign text goes into a prompt as data: it cannot close its fence, nor begin a turn in any model's template. Pure."""

import re
import secrets
import unicodedata
from typing import Final

_MARK: Final = re.compile(
    r"<(?=\|)|(?<=\|)(?=>)"  # <|im_start|>, <|eot_id|>, <|end|>, <|START_OF_TURN_TOKEN|> of Qwen, Llama, Phi, Command and their kin
    r"|<(?=\uff5c)|(?<=\uff5c)(?=>)"  # the full-width bars of DeepSeek
    r"|<(?=/?(?:start_of_turn|end_of_turn|bos|eos|pad|unk|s|unused\d+|extra_id_\d+)>)"  # Gemma, Llama 2, T5
    r"|<(?=/?<?/?SYS>)"  # Llama 2's system prompt
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|IMG|THINK)\])"  # Mistral
    r"|<(?=/?(?:data-|(?:tool_call|tool_response|function_calls?|function_results?|invoke|think|thinking)\b))",  # our fence, tools
    re.IGNORECASE,
)
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Cn"})


def defuse(text: str) -> str:
    """Set a space into every mark that a model may take for the beginning or end of a turn; invisible characters, which could hide one, go.

    Args:
        text: Any text; line breaks and tabs stay.
    """
    seen = text if text.isascii() and text.isprintable() else "".join(c for c in text if c in "\n\t" or _is_visible(c))
    return _MARK.sub(lambda found: f"{found.group()} ", seen)


def fence_of(text: str, nonce: str | None = None) -> str:
    """A mark that occurs nowhere in a text.

    Args:
        text: What it will stand around.
        nonce: The mark to take if it can be.
    """
    while nonce is None or nonce in text:
        nonce = secrets.token_hex(4)
    return nonce


def _is_visible(char: str) -> bool:
    return unicodedata.category(char) not in _INVISIBLE
