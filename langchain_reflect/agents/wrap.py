"""Wrapping: the same kind of object as the graph, which gets lessons before it answers and leaves an episode when it is done.

A compiled graph becomes a clone of a dynamic subclass of its own class. It shares the graph's whole `__dict__`, so whatever one can do
with the graph one can do with the clone, threads started with one go on with the other, and the graph itself stays as it was. Everything
a `Pregel` does funnels through `stream` and `astream`; those two are overridden, and `copy` and `get_graph` so that copies keep us and
drawings do not show us.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.types import Command

from langchain_reflect.agents.episodes import METADATA_KEY, OpenEpisode, collect_episodes, current_episode
from langchain_reflect.agents.forced import forced
from langchain_reflect.agents.judging import Verify
from langchain_reflect.agents.opening import AboutFields, TaskReader
from langchain_reflect.agents.placement import Where, restore
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.view import Inject, NodeChoice, View, ViewOptions, clone, innermost, is_reflected, view_nodes
from langchain_reflect.errors import InvalidInput
from langchain_reflect.recording.fingerprint import UNNAMED, graph_hash
from langchain_reflect.recording.tracer import AsyncEpisodeHandler, EpisodeHandler

__all__ = ["collect_episodes", "current_episode", "forced", "reflected"]

R = TypeVar("R", bound=Runnable[Any, Any])


@dataclass(frozen=True, eq=False)
class Reflection:
    """What makes a wrapped object different from a bare one; its copies share it."""

    service: AgentService
    options: ViewOptions
    name: str | None
    task: TaskReader | None
    verifier: Verify | None
    metadata: bool
    bare: Any
    """The object as it was before wrapping."""
    graph_hash: str = ""

    def config_for(self, config: RunnableConfig | None, episode: OpenEpisode, handler: EpisodeHandler, *, run_id: bool) -> RunnableConfig:
        """The run's config with our handler, our mark and our run id; what the caller gave stays unchanged."""
        new = cast("RunnableConfig", dict(config or {}))
        new["callbacks"] = _with_handler(new.get("callbacks"), handler)
        if self.metadata:
            new["metadata"] = {**(new.get("metadata") or {}), METADATA_KEY: str(episode.id)}
        if run_id and episode.tape.root is not None and not new.get("run_id"):
            new["run_id"] = episode.tape.root
        return new


def reflected(
    graph: R,
    service: AgentService,
    *,
    name: str | None = None,
    task: TaskReader | None = None,
    view: View | None = None,
    inject: Inject | None = None,
    where: Where = "system",
    nodes: NodeChoice | None = None,
    verifier: Verify | None = None,
    metadata: bool = True,
) -> R:
    """The same kind of object, with lessons and episodes.

    Args:
        graph: A compiled graph, an `@entrypoint`, a `RemoteGraph` (recorded only), or any other Runnable. It stays as it is; wrapped
            again, it gets the new options instead of the old ones.
        service: Where lessons come from and episodes go.
        name: Name of the graph in its episodes; default its own.
        task: Reads the task's text from the input; default: the last message of the user, or the input itself if it is a string.
        inject: `inject(state, text)` returns what a node sees in place of its state, for graphs without `messages`. It must not change
            the state.
        view: As `inject`, but `view(state, lessons)` gets the lessons themselves instead of their text.
        where: `system`: lessons stand at the end of the system message. `human`: in front of the last human message, which small models
            need.
        nodes: Names of the nodes that see lessons, or a function that tells; default all that may call a model (`create_agent`: `model`).
        verifier: Judges each run that ended well; instead of the service's own.
        metadata: Whether the run's metadata, and so its checkpoints, carry the episode's id.

    Raises:
        InvalidInput: An option cannot be meant, or `graph` is not a Runnable.
    """
    _check(graph, where)
    if is_reflected(graph):
        graph = _bare(graph)
    options = ViewOptions(where=where, inject=inject, view=view, nodes=nodes, health=service.health)
    if isinstance(graph, RunnableBindingBase) and isinstance(innermost(graph), PregelProtocol):
        again = reflected(
            graph.bound,
            service,
            name=name,
            task=task,
            inject=inject,
            view=view,
            where=where,
            nodes=nodes,
            verifier=verifier,
            metadata=metadata,
        )
        return cast("R", graph.model_copy(update={"bound": again}))
    reflection = Reflection(service, options, name, task, verifier, metadata, graph, graph_hash(graph))
    if name is None and graph.get_name() in UNNAMED:
        service.shared.tell_apart(tuple(service.namespace), graph.get_name(), reflection.graph_hash)
    if isinstance(graph, PregelProtocol):
        more = {"nodes": view_nodes(graph, options)} if isinstance(graph, Pregel) else {}
        return cast("R", clone(graph, _reflected_class(type(graph)), _reflection=reflection, **more))
    from langchain_reflect.agents.chain import ReflectedRunnable

    return cast("R", ReflectedRunnable(bound=graph, reflection=reflection))


class Reflected:
    """Mixin in front of a graph's class."""

    _reflection: Reflection

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - LangGraph's name
        """Stream the graph; an episode opens with the first chunk asked for and closes however the run ends."""
        service = self._reflection.service
        episode = service.open(input, config, **self._about(input))
        stream = super().stream  # type: ignore[misc]  # the graph's class comes after the mixin
        if episode is None:
            yield from stream(input, config, **kwargs)
            return
        handler, watch = EpisodeHandler(episode.tape, episode, episode.depth), self._watch(episode, kwargs)
        with (  # closing reaches the graph before the books are closed, also when the consumer stops early
            service.finishing(episode, verifier=self._reflection.verifier),
            closing(stream(input, self._reflection.config_for(config, episode, handler, run_id=self._is_local()), **kwargs)) as chunks,
        ):
            for chunk in chunks:
                yield watch(chunk) if watch else chunk

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 - as above
        """Async `stream`."""
        service = self._reflection.service
        episode = await service.aopen(input, config, **self._about(input))
        stream = super().astream  # type: ignore[misc]  # as above
        if episode is None:
            async for chunk in stream(input, config, **kwargs):
                yield chunk
            return
        handler, watch = AsyncEpisodeHandler(episode.tape, episode, episode.depth), self._watch(episode, kwargs)
        with service.finishing(episode, verifier=self._reflection.verifier):
            inner = stream(input, self._reflection.config_for(config, episode, handler, run_id=self._is_local()), **kwargs)
            async with aclosing(inner) as chunks:
                async for chunk in chunks:
                    yield watch(chunk) if watch else chunk
        await service.asettle()

    def copy(self, update: dict[str, Any] | None = None) -> Any:
        """A copy that is wrapped as well."""
        return clone(self, **(update or {}))

    def get_graph(self, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The drawing of the bare graph."""
        return self._as_bare().get_graph(config, **kwargs)

    async def aget_graph(self, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Async `get_graph`."""
        return await self._as_bare().aget_graph(config, **kwargs)

    def _as_bare(self) -> Any:
        """Ourselves, with the original class and nodes."""
        bare = self._reflection.bare
        more = {"nodes": bare.nodes} if isinstance(bare, Pregel) else {}
        return clone(self, type(bare), **more)

    def _is_local(self) -> bool:
        return isinstance(self, Pregel)

    def _about(self, given: Any) -> AboutFields:
        reflection = self._reflection
        return {
            "graph": reflection.name or cast("Any", self).get_name(),
            "bound": cast("Any", self).config,
            "task": reflection.task,
            "owner": reflection.options,
            "traced": self._is_local(),
            "resumes": given is None or isinstance(given, Command),
            "saver": getattr(self, "checkpointer", None),
            "graph_hash": reflection.graph_hash,
        }

    def _watch(self, episode: OpenEpisode, kwargs: Mapping[str, Any]) -> Callable[[Any], Any] | None:
        """What is done with each chunk of the stream before it is passed on; nothing for most streams."""
        if not self._is_local():
            return partial(_note_output, episode, kwargs.get("stream_mode"))
        modes = kwargs.get("stream_mode") or cast("Any", self).stream_mode
        if not _TELL_INPUTS.isdisjoint([modes] if isinstance(modes, str) else modes):
            return lambda chunk: restore(chunk, episode.placement) if episode.placement.used else chunk
        return None


_TELL_INPUTS: Final = frozenset({"tasks", "debug"})
"""Stream modes that tell what `@task` functions are called with: a view's messages, if an `@entrypoint` passes them on."""


def _note_output(episode: OpenEpisode, mode: object, chunk: Any) -> Any:
    """A remote graph calls no local callbacks; its output is the last chunk of values."""
    content = chunk
    if isinstance(chunk, tuple):
        *_, mode, content = chunk if len(chunk) > 1 else ("", *chunk)
    if mode in ("values", ["values"]):
        episode.tape.output = content
    return chunk


_CLASSES: Final[dict[type, type]] = {}


def _reflected_class(base: type) -> type:
    """The subclass of a graph's class, made once; it goes by the same name."""
    if base not in _CLASSES:
        _CLASSES[base] = type(base.__name__, (Reflected, base), {"__module__": base.__module__, "__doc__": base.__doc__})
    return _CLASSES[base]


def _bare(wrapped: Any) -> Any:
    """What a wrapped object was made from, with what has been bound to it since."""
    if isinstance(wrapped, Reflected):
        return wrapped._as_bare()  # noqa: SLF001 - our own mixin
    if "reflection" in getattr(wrapped, "model_fields_set", ()):
        return wrapped.bound
    return wrapped.model_copy(update={"bound": _bare(wrapped.bound)})


def _with_handler(callbacks: Any, handler: BaseCallbackHandler) -> Any:
    """The callbacks and ours, in a new list or manager."""
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
        manager.add_handler(handler, inherit=True)
        return manager
    if callbacks is None or isinstance(callbacks, list):
        return [*(callbacks or ()), handler]
    return callbacks  # LangChain will say what is wrong with it


def _check(graph: object, where: object) -> None:
    if not isinstance(graph, Runnable):
        hint = "; call .compile() first" if hasattr(graph, "compile") else ""
        raise InvalidInput(f"cannot wrap {type(graph).__name__!r}: expected a compiled graph or another Runnable{hint}")
    if where not in ("system", "human"):
        raise InvalidInput(f"where={where!r} is unknown; expected 'system' or 'human'")
