"""The ways into an agent: a wrapped graph, middleware, a model that knows lessons, or two nodes. `Learner` has them as methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.settings import PerGraph

if TYPE_CHECKING:
    from langchain_reflect.agents.middleware import ReflectMiddleware
    from langchain_reflect.recall.tool import LessonSearch

R = TypeVar("R", bound=Runnable[Any, Any])
M = TypeVar("M", bound=BaseChatModel)


class WaysIn(ABC):
    """What a learner offers to those who build agents."""

    def wrap(
        self,
        graph: R,
        *,
        name: str | None = None,
        task: Callable[[Any], str] | None = None,
        view: Callable[[Any, Any], Any] | None = None,
        inject: Callable[[Any, str], Any] | None = None,
        where: Literal["system", "human"] = "system",
        nodes: Any = None,
        verifier: Callable[..., Any] | None = None,
        metadata: bool = True,
        **per_graph: Unpack[PerGraph],
    ) -> R:
        """The same kind of object as `graph`, with lessons arriving and episodes recorded.

        Where lessons exist already, the embedder is loaded now, so that no run has to wait for it.

        Args:
            graph: A compiled graph, an `@entrypoint`, or any other Runnable. It stays as it is.
            name: Name of the graph in its episodes; default its own.
            task: Reads the task's text from the input; default the last message of the user.
            view: `view(state, lessons)` returns what a node sees instead of its state.
            inject: `inject(state, text)` likewise, with the lessons as text; for graphs without `messages`.
            where: `system`: lessons stand at the end of the system message; `human`: before the last human message, for small models.
            nodes: Names of the nodes that see lessons, or a function of the name; default all that may call a model.
            verifier: Judges each run as it ends, in place of the learner's.
            metadata: Whether checkpoints carry the episode's id.
            **per_graph: `namespace`, `k`, `max_tokens`, `floor`, `holdout`, `placebo`, `withhold`, `unit`, `deadline`,
                `durable_start`, `block` for this graph.

        Raises:
            InvalidInput: An option cannot be meant, or does not exist.
        """
        service = self._service(self.wrap, per_graph, verifier)
        self._prepare()
        return reflected(
            graph, service, name=name, task=task, view=view, inject=inject, where=where, nodes=nodes, verifier=verifier, metadata=metadata
        )

    def middleware(
        self, *, name: str = "agent", where: Literal["system", "human"] = "system", **per_graph: Unpack[PerGraph]
    ) -> "ReflectMiddleware":
        """Middleware for `create_agent`: lessons go into each model call, never into the thread. `name` is the agent's in its episodes."""
        from langchain_reflect.agents.middleware import ReflectMiddleware

        service = self._service(self.middleware, per_graph)
        self._prepare()
        return ReflectMiddleware(service, graph=name, where=where)

    def lesson_aware(self, model: M, *, where: Literal["system", "human"] = "system") -> M:
        """The same chat model, which shows the lessons of the wrapped run it is called in; for nodes that make their own prompts."""
        from langchain_reflect.agents.aware import lesson_aware

        return lesson_aware(model, where=where)

    def search_tool(self, **per_graph: Unpack[PerGraph]) -> "LessonSearch":
        """A tool `search_lessons(query, k)` for models that look lessons up themselves; it never raises into the agent.

        A search makes no exposures, since no chance decides what a model looks for. In a wrapped run it searches the run's namespace; a
        run that is held out finds nothing, and lessons that were withheld from the run stay so.

        Args:
            **per_graph: `namespace`, `floor`, `block`, and `max_tokens` (default 600), as for `wrap`.
        """
        from langchain_reflect.agents.searching import reach_of
        from langchain_reflect.recall.tool import LessonSearch

        service = self._service(self.search_tool, {"max_tokens": 600, **per_graph})
        own = per_graph.get("namespace")
        return LessonSearch(recaller=self.recaller, policy=service.policy, reach=partial(reach_of, own, service.namespace))

    def retrieve_node(self, *, graph: str = "agent", task: Callable[[Any], str] | None = None, **per_graph: Unpack[PerGraph]) -> Any:
        """A node for a hand-made `StateGraph` that writes `lessons` (text) and `episode_id` into the state."""
        from langchain_reflect.agents.nodes import retrieve_node

        return retrieve_node(self._service(self.retrieve_node, per_graph), graph=graph, task=task)

    def record_node(self, *, graph: str = "agent", task: Callable[[Any], str] | None = None, **per_graph: Unpack[PerGraph]) -> Any:
        """A node for the end of a hand-made `StateGraph` that records the episode; it does not run when the graph fails."""
        from langchain_reflect.agents.nodes import record_node

        return record_node(self._service(self.record_node, per_graph), graph=graph, task=task)

    recaller: Recaller
    """Finds lessons for a task."""

    @abstractmethod
    def _service(self, way: Callable[..., Any], per_graph: Mapping[str, Any], verifier: Callable[..., Any] | None = None) -> AgentService:
        """What a way in works with, with the settings of one graph; raises `InvalidInput` for those that do not exist."""

    @abstractmethod
    def _prepare(self) -> None:
        """Load what the first run would otherwise wait for."""
