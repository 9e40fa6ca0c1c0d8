"""A model for the documentation's examples: named as any provider's, scripted, without network."""

import pytest
from langchain_core.messages import BaseMessage

from langchain_reflect.testing.models import Answer, ScriptedChatModel

LESSON = {
    "when": "a customer asks to change a booking",
    "do": "check first whether the fare allows it",
    "title": "check the fare",
    "cites": ["R1"],
}


def answer(prompt: list[BaseMessage]) -> Answer:
    """A reflection gets a lesson, a curator's question an answer, and anybody else a sentence."""
    asked = prompt[-1].text
    if '{"lessons"' in asked:
        return {"lessons": [LESSON]}
    if '{"action"' in asked:
        return {"action": "ADD", "reason": "it is about something else"}
    return "It is done."


@pytest.fixture
def simulated_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `provider:model` is the scripted model."""

    def init_chat_model(*_: object, **__: object) -> ScriptedChatModel:
        return ScriptedChatModel(answers=answer, structured=True)

    for place in ("langchain.chat_models", "langchain.agents.factory"):
        monkeypatch.setattr(f"{place}.init_chat_model", init_chat_model)
