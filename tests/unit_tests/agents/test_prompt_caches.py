"""Where the block stands, so that providers' prompt caches of the static part stay valid."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect.agents.middleware import ReflectMiddleware
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel

caching = pytest.importorskip("langchain_anthropic.middleware", reason="langchain-anthropic is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:AnthropicPromptCachingMiddleware")

STATIC = "You are terse."
MARK = "<lessons"


class Claude(TellingModel):
    """Passes for a model of Anthropic with the caching middleware, which looks at the type only."""


@pytest.fixture
def cache(monkeypatch):
    """The caching middleware as it works for Anthropic's models."""
    made = caching.AnthropicPromptCachingMiddleware(unsupported_model_behavior="ignore")
    monkeypatch.setattr(type(made), "_should_apply_caching", lambda self, request: True, raising=False)
    return made


def blocks_of(system: SystemMessage) -> list[dict[str, Any]]:
    content = system.content
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def test_behind_the_caching_middleware_the_static_prompt_is_what_is_cached(service, cache):
    model = Claude()
    create_agent(model, [], system_prompt=STATIC, middleware=[cache, ReflectMiddleware(service)]).invoke(ASKED)
    static, lessons = blocks_of(model.prompts[0][0])
    assert (static["text"], "cache_control" in static) == (STATIC, True)
    assert (MARK in lessons["text"], "cache_control" in lessons) == (True, False)


def test_in_a_wrapped_agent_too(service, cache):
    model = Claude()
    reflected(create_agent(model, [], system_prompt=STATIC, middleware=[cache]), service).invoke(ASKED)
    text = repr([m.content for m in model.prompts[0]])
    assert text.index("cache_control") < text.index(MARK)


def test_all_calls_of_a_thread_share_the_prompt_up_to_what_is_new(service):
    model = TellingModel(script=AGENT_SCRIPT)
    agent = reflected(create_agent(model, [], system_prompt=STATIC, checkpointer=InMemorySaver()), service)
    config: Any = {"configurable": {"thread_id": "1"}}
    for text in ("How is the weather?", "And tomorrow?"):
        agent.invoke({"messages": [("user", text)]}, config)
    first, second = (["".join(map(str, [m.type, m.content])) for m in prompt] for prompt in (model.prompts[0], model.prompts[-1]))
    assert second[: len(first)] == first


def test_two_agents_middleware_in_one_agent_are_told_apart(service):
    model = TellingModel()
    both = [ReflectMiddleware(service, graph="a"), ReflectMiddleware(service, graph="b")]
    create_agent(model, [], middleware=both).invoke(ASKED)
    assert len({m.name for m in both}) == 2
