"""What a run costs: model calls, tokens and seconds."""

import threading
import time
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_reflect.types import Usage


class Meter(BaseCallbackHandler):
    """Counts model calls and their tokens, and the seconds until it is stopped."""

    run_inline = True

    def __init__(self) -> None:
        self.usage = Usage()
        self.seconds = 0.0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Take the time."""
        self.seconds = time.monotonic() - self._began

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Add one call."""
        messages = [g.message for some in response.generations for g in some if isinstance(g, ChatGeneration)]
        known = [m.usage_metadata for m in messages if isinstance(m, AIMessage) and m.usage_metadata]
        spent = Usage(calls=1, tokens_in=sum(u["input_tokens"] for u in known), tokens_out=sum(u["output_tokens"] for u in known))
        with self._lock:
            self.usage += spent
