"""What langmem and ACE would send to a model about the same rollouts, where they are installed: `pip install langmem ace-framework==0.5.1`.

The packages build their prompts themselves; a model that only listens takes them down, and fails. So of a chain of calls the first is
seen. Schemas of tools are not counted, nor a prompt or a playbook of the user's, of which there is none here.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages

from langchain_reflect.testing.models import ScriptedChatModel

Row = Mapping[str, Any]
Way = Callable[[Sequence[Row]], list[str]]
"""Recorded rollouts of one task in, the prompts that a peer sends about them out."""
_KEPT = ("role", "content", "tool_calls", "tool_call_id", "name")


class Heard(Exception):
    """The model has heard enough."""


def ways() -> dict[str, Way]:
    """The peers that are installed."""
    found: dict[str, Way] = {}
    with suppress(ImportError):
        import langmem  # noqa: F401  only whether it is there

        found |= {"langmem metaprompt": metaprompt, "langmem gradient": gradient, "langmem memory": memory}
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else importing ACE asks the network
    with suppress(ImportError):
        import ace  # noqa: F401  only whether it is there

        found["ACE reflector"] = reflector
    return found


def metaprompt(rows: Sequence[Row]) -> list[str]:
    """The first call of langmem's `metaprompt` optimizer."""
    return _optimizer(rows, "metaprompt")


def gradient(rows: Sequence[Row]) -> list[str]:
    """The first call of langmem's `gradient` optimizer."""
    return _optimizer(rows, "gradient")


def _optimizer(rows: Sequence[Row], kind: Any) -> list[str]:
    from langmem import create_prompt_optimizer

    trajectories: Any = [(messages_of(row), {"score": row["reward"]}) for row in rows]
    given = {"trajectories": trajectories, "prompt": "You are a helpful agent."}
    return heard(lambda model: create_prompt_optimizer(model, kind=kind).invoke(given))


def memory(rows: Sequence[Row]) -> list[str]:
    """The calls of langmem's memory manager, one a conversation; it takes no rewards."""
    from langmem import create_memory_manager

    states: list[Any] = [{"messages": messages_of(row)} for row in rows]
    return [said for state in states for said in heard(lambda model, state=state: create_memory_manager(model).invoke(state))]  # type: ignore[misc]


def reflector(rows: Sequence[Row]) -> list[str]:
    """The calls of ACE's `Reflector`, one a rollout, with the trajectory as its reasoning and an empty playbook."""
    from ace import GeneratorOutput, Playbook, Reflector
    from ace.llm import LLMClient

    said: list[str] = []

    class Listening(LLMClient):  # type: ignore[misc]  # the package has no types for mypy
        def complete(self, prompt: str, **_: Any) -> Any:
            said.append(prompt)
            raise Heard

    for row in rows:
        output = GeneratorOutput(reasoning=transcript(row), final_answer="", bullet_ids=[], raw={})
        with suppress(Heard):
            Reflector(Listening()).reflect(
                question=str(row["task"]), generator_output=output, playbook=Playbook(), feedback=f"reward {row['reward']}"
            )
    return said


def heard(run: Callable[[ScriptedChatModel], Any]) -> list[str]:
    """The first prompt that a model is sent, as text."""
    model = ScriptedChatModel(answers=[Heard()], structured=True)
    with suppress(Exception):  # however the package passes it on
        run(model)
    return ["\n".join(m.text for m in model.prompts[0])]


def messages_of(row: Row) -> list[BaseMessage]:
    """A recorded trajectory as messages."""
    return convert_to_messages([{k: v for k, v in m.items() if (k in _KEPT and v is not None) or k == "content"} for m in row["messages"]])


def transcript(row: Row) -> str:
    """A recorded trajectory as plain text: who said or called what, and nothing else."""
    return "\n\n".join(_line(m) for m in row["messages"])


def _line(message: Row) -> str:
    calls = [f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls") or ()]
    return "\n".join([f"{message['role']}: {message.get('content') or ''}".strip(), *calls])
