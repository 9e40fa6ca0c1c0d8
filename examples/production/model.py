"""The chat model of the agent and of the reflection: `REFLECT_MODEL`, or a simulated one that needs no key and no download.

The simulated model follows rules and is no language model. It reads its prompt and nothing else: as an agent it obeys a house rule only if
a lesson in the prompt states it, as a reflector it writes the lesson from the feedback in the prompt. What is measured with it tells that
the machinery works, not how much a real model gains.
"""

import os

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

from langchain_reflect.testing.simulated import SimulatedModel


def chat_model() -> BaseChatModel:
    """As `REFLECT_MODEL=provider:model` says."""
    name = os.environ.get("REFLECT_MODEL")
    return init_chat_model(name) if name else SimulatedModel(slip=0.0)
