"""Nodes that see lessons: the node gets a view of the state, its result is restored, and the state never changes."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.constants import START
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel
from langgraph.pregel._read import DEFAULT_BOUND, PregelNode
from langgraph.pregel.protocol import PregelProtocol

from langchain_reflect.agents.episodes import OpenEpisode, episode_in
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.placement import Where, place, restore, with_fields
from langchain_reflect.types import LessonText

G = TypeVar("G")
Inject = Callable[[Any, str], Any]
View = Callable[[Any, tuple[LessonText, ...]], Any]
NodeChoice = Callable[[str], bool] | Collection[str]


@dataclass(frozen=True, eq=False)
class ViewOptions:
    """How lessons get into what a node sees. Compared by identity: it is also the token by which an episode knows its wrapper."""

    where: Where = "system"
    inject: Inject | None = None
    view: View | None = None
    nodes: NodeChoice | None = None
    health: Health = field(default_factory=Health)

    def applies_to(self, name: str) -> bool:
        """Whether the user chose this node."""
        if self.nodes is None:
            return True
        return self.nodes(name) if callable(self.nodes) else name in self.nodes


def see(state: Any, episode: OpenEpisode, options: ViewOptions) -> Any:
    """What a node sees instead of its state; the state itself if there is nothing to show or no place for it."""
    if episode.in_state:
        return state
    if not episode.shown.block:
        episode.reached = episode.reached or bool(options.inject or options.view) or _messages(state) is not None
        return state
    if options.inject is not None or options.view is not None:
        return _made_by_user(state, episode, options)
    messages = _messages(state)
    if messages is None:
        return state
    viewed = place(messages, episode.block, where=options.where, placement=episode.placement, message_id=f"lessons-{episode.id}")
    if isinstance(state, list | tuple):
        return viewed
    return {**state, "messages": viewed} if isinstance(state, Mapping) else with_fields(state, {"messages": viewed})


def _has_part(episode: OpenEpisode) -> bool:
    """Whether a view has something to show, or to note that it would have been shown here."""
    shown = episode.shown
    return bool(shown.block) or (bool(shown.exposures) and not episode.reached)


def _made_by_user(state: Any, episode: OpenEpisode, options: ViewOptions) -> Any:
    """The state as `inject=` or `view=` makes it; what they put in is remembered, to be taken out again."""
    placement = episode.placement
    placement.blocks.add(episode.shown.block)
    seen = options.inject(state, episode.shown.block) if options.inject else state
    seen = options.view(seen, episode.shown.texts) if options.view else seen
    if isinstance(state, Mapping) and isinstance(seen, Mapping):
        for key, item in seen.items():
            if key not in state:
                placement.insert(item)
            elif item is not state[key] and (not isinstance(item, str | int | float) or placement.has_block(item)):
                placement.change(state[key], item)
    episode.placed = episode.reached = True
    return seen


def _messages(state: Any) -> list[Any] | tuple[Any, ...] | None:
    if isinstance(state, Mapping):
        found = state.get("messages")
    else:
        found = state if isinstance(state, list | tuple) else getattr(state, "messages", None)
    if not isinstance(found, list | tuple) or not found or not all(_is_message(m) for m in found):
        return None
    return found


def _is_message(item: Any) -> bool:
    if isinstance(item, BaseMessage):
        return True
    if isinstance(item, Mapping):
        return "content" in item and ("role" in item or "type" in item)
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)  # noqa: PLR2004 - (role, content)


class LessonView(Runnable[Any, Any]):
    """A node's runnable, seen through lessons.

    Args:
        bound: The node's own runnable.
        options: How lessons are shown.
        enter: Whether this is where the state comes in.
        leave: Whether this is where the result goes out. Both are true except for the parts of a sequence.
    """

    def __init__(self, bound: Runnable[Any, Any], options: ViewOptions, *, enter: bool = True, leave: bool = True) -> None:
        self.bound = bound
        self.name = getattr(bound, "name", None)
        self.options = options
        self.enter = enter
        self.leave = leave

    def __getattr__(self, name: str) -> Any:
        """Whoever inspects a node finds what its own runnable has."""
        if name == "bound":
            raise AttributeError(name)
        return getattr(self.bound, name)

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The node's own name."""
        return self.bound.get_name(suffix, name=name)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
        """Run the node on the view and restore its result."""
        episode = self._episode(config)
        result = self.bound.invoke(self._see(input, episode), config, **kwargs)
        return self._restore(result, episode)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
        """Async `invoke`."""
        episode = self._episode(config)
        result = await self.bound.ainvoke(self._see(input, episode), config, **kwargs)
        return self._restore(result, episode)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - LangChain's name
        """Stream the node on the view; each chunk is restored."""
        episode = self._episode(config)
        for chunk in self.bound.stream(self._see(input, episode), config, **kwargs):
            yield self._restore(chunk, episode)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 - as above
        """Async `stream`."""
        episode = self._episode(config)
        async for chunk in self.bound.astream(self._see(input, episode), config, **kwargs):
            yield self._restore(chunk, episode)

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - as above
        """Transform a stream; only a later part of a sequence is ever asked to."""
        episode = self._episode(config)
        for chunk in self.bound.transform((self._see(item, episode) for item in input), config, **kwargs):
            yield self._restore(chunk, episode)

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Async `transform`."""
        episode = self._episode(config)
        async for chunk in self.bound.atransform((self._see(item, episode) async for item in input), config, **kwargs):
            yield self._restore(chunk, episode)

    def _episode(self, config: RunnableConfig | None) -> OpenEpisode | None:
        episode = episode_in(config.get("callbacks")) if config else None
        return episode if episode is not None and episode.owner is self.options and _has_part(episode) else None

    def _see(self, state: Any, episode: OpenEpisode | None) -> Any:
        if episode is None or not self.enter:
            return state
        try:
            return see(state, episode, self.options)
        except Exception as error:  # noqa: BLE001 - `inject=` is the user's code, and the run must go on
            self.options.health.note("view failed", f"lessons could not be shown: {type(error).__name__}: {error}", error=error)
            return state

    def _restore(self, result: Any, episode: OpenEpisode | None) -> Any:
        if episode is None or not self.leave or not episode.placement.used:
            return result
        return restore(result, episode.placement)


# Which nodes

_AGENTS: Final = frozenset({"langchain_create_agent", "deepagents"})
_AGENT_NODE: Final = "model"
"""The node of `create_agent` that calls the model; its other nodes are tools and middleware."""


def view_nodes(graph: Pregel[Any, Any, Any, Any], options: ViewOptions, *, all_chosen: bool = False) -> dict[str, PregelNode]:
    """The graph's nodes, with a view where a node may talk to a model.

    Left as they are: nodes the user did not choose; tools; error handlers; nodes with a cache, whose key would not know of the lessons;
    wrapped graphs, which show lessons of their own; and functions that call a graph, because the view would get into that graph's own
    checkpoints.

    Args:
        graph: The bare graph.
        options: Whose views these are.
        all_chosen: Whether the user chose the node that this graph is, and so all in it.
    """
    if graph.cache_policy is not None:
        return dict(graph.nodes)
    free = all_chosen or options.nodes is None
    is_agent = (graph.config or {}).get("metadata", {}).get("ls_integration") in _AGENTS

    def chosen(name: str) -> bool:
        return (not is_agent or name == _AGENT_NODE) if free else options.applies_to(name)

    return {name: _viewed(name, node, options, chosen=chosen(name)) if _may_see(name, node) else node for name, node in graph.nodes.items()}


def _may_see(name: str, node: PregelNode) -> bool:
    plumbing = name == START or node.is_error_handler or node.cache_policy is not None
    return not plumbing and node.bound is not DEFAULT_BOUND and not isinstance(node.bound, ToolNode) and not is_reflected(node.bound)


def _viewed(name: str, node: PregelNode, options: ViewOptions, *, chosen: bool) -> PregelNode:
    bound = node.bound
    if isinstance(bound, Pregel):
        child = clone(bound, nodes=view_nodes(bound, options, all_chosen=chosen))
        return node.copy({"bound": child, "subgraphs": [child]})
    if not chosen:
        return node
    if node.subgraphs or isinstance(innermost(bound), PregelProtocol):
        hint = f"node {name!r} calls a graph, so it is shown no lessons; wrap that graph itself"
        options.health.note(f"view skipped: {name}", hint, level=logging.INFO)
        return node
    if isinstance(bound, RunnableSequence):
        first, *middle, last = bound.steps
        steps = (LessonView(first, options, leave=False), *middle, LessonView(last, options, enter=False))
        return node.copy({"bound": RunnableSequence(*steps, name=bound.name)})
    return node.copy({"bound": LessonView(bound, options)})


def clone(graph: G, cls: type | None = None, **update: Any) -> G:
    """A graph that shares everything with another but what is given.

    Not `Pregel.copy()`, which drops the mappers that turn a version 2 result back into a Pydantic model or a dataclass.
    """
    new: G = object.__new__(cls or type(graph))
    new.__dict__.update(graph.__dict__)
    new.__dict__.update(update)
    return new


def innermost(runnable: Any) -> Any:
    """What bindings such as `with_retry()` are wound around."""
    while isinstance(runnable, RunnableBindingBase):
        runnable = runnable.bound
    return runnable


def is_reflected(runnable: Any) -> bool:
    """Whether a runnable, or what its bindings are wound around, is wrapped already."""
    return any(
        "_reflection" in getattr(r, "__dict__", ()) or "reflection" in getattr(r, "model_fields_set", ())
        for r in (runnable, innermost(runnable))
    )
