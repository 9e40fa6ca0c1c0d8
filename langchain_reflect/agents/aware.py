"""A chat model that puts the lessons of the run it is called in into its prompts: exact where a view of a node's state is a guess.

For authors of graphs: a node that builds its prompt from scratch, a model in a tool, the model of `create_agent` or of a deep agent and its
sub-agents. Outside of a wrapped run the model is as it was.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, Final, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import RunnableConfig

from langchain_reflect.agents.episodes import current_episode, episode_in
from langchain_reflect.agents.placement import Where, place
from langchain_reflect.errors import InvalidInput

M = TypeVar("M", bound=BaseChatModel)


def lesson_aware(model: M, *, where: Where = "system") -> M:
    """The same model, which shows lessons in every call that is made inside a wrapped run.

    They stand in the prompt exactly once, also if a view or a middleware has placed them already, and callbacks and traces see them there.
    Nothing enters the graph's state. Of nested wrapped graphs the innermost one's lessons count.

    Args:
        model: A chat model; it stays as it is. Bind tools or structured output to the result.
        where: `system`: at the end of the system message. `human`: in front of the last human message.

    Returns:
        A copy whose class is a subclass of the model's own.

    Raises:
        InvalidInput: `model` is no chat model (a `bind_tools()` result is not: make the model aware first), or `where` is unknown.
    """
    if not isinstance(model, BaseChatModel):
        hint = "; call lesson_aware() before .bind_tools(), .with_structured_output() or .with_retry()" if hasattr(model, "bound") else ""
        raise InvalidInput(f"lesson_aware() got a {type(model).__name__!r}: expected a chat model{hint}")
    if where not in _KINDS:
        raise InvalidInput(f"where={where!r} is unknown; expected 'system' or 'human'")
    base = next(kind for kind in type(model).__mro__ if not issubclass(kind, LessonAware))
    copied = model.model_copy()
    new: M = object.__new__(_aware_class(base, where))
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(new, name, getattr(copied, name))
    return new


class LessonAware:
    """Mixin in front of a chat model's class."""

    __slots__ = ()
    lessons_where: ClassVar[Where] = "system"

    def generate(self, messages: list[list[BaseMessage]], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any) -> LLMResult:
        """Answer prompts with lessons in them."""
        told = [self._told(prompt, callbacks) for prompt in messages]
        return super().generate(told, stop, callbacks, **kwargs)  # type: ignore[misc,no-any-return]  # the model's class comes after the mixin

    async def agenerate(
        self, messages: list[list[BaseMessage]], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Async `generate`."""
        told = [self._told(prompt, callbacks) for prompt in messages]
        return await super().agenerate(told, stop, callbacks, **kwargs)  # type: ignore[misc,no-any-return]  # as above

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - LangChain's name
        """Stream the answer to a prompt with lessons in it."""
        yield from super().stream(self._told_input(input, config), config, **kwargs)  # type: ignore[misc]  # as above

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 - as above
        """Async `stream`."""
        async for chunk in super().astream(self._told_input(input, config), config, **kwargs):  # type: ignore[misc]  # as above
            yield chunk

    def _convert_input(self, model_input: Any) -> PromptValue:
        """Every other way in, such as the events of version 3, turns its input into messages here."""
        value: PromptValue = super()._convert_input(model_input)  # type: ignore[misc]  # as above
        messages = value.to_messages()
        told = self._told(messages, None)
        return value if told is messages else ChatPromptValue(messages=told)

    def _told_input(self, given: Any, config: RunnableConfig | None) -> Any:
        callbacks = config.get("callbacks") if config else None
        if episode_in(callbacks) is None:
            return given
        messages = super()._convert_input(given).to_messages()  # type: ignore[misc]  # as above
        return self._told(messages, callbacks)

    def _told(self, messages: list[BaseMessage], callbacks: Any) -> list[BaseMessage]:
        episode = episode_in(callbacks) or current_episode()
        if episode is None or episode.in_state:
            return messages
        episode.reached = True
        if not episode.shown.block:
            return messages
        return place(messages, episode.block, where=self.lessons_where, placement=episode.placement, message_id=f"lessons-{episode.id}")


class LessonAwareInQuestion(LessonAware):
    """Mixin for `where="human"`."""

    __slots__ = ()
    lessons_where: ClassVar[Where] = "human"


_KINDS: Final[dict[Where, type[LessonAware]]] = {"system": LessonAware, "human": LessonAwareInQuestion}
_CLASSES: Final[dict[tuple[type, Where], type]] = {}


def _aware_class(base: type, where: Where) -> type:
    """The subclass of a model's class, made once; it goes by the same name, also when it is serialised."""
    if (base, where) not in _CLASSES:
        named = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
        _CLASSES[base, where] = type(base)(base.__name__, (_KINDS[where], base), named)
    return _CLASSES[base, where]
