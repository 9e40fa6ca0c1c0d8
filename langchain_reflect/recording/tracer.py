"""Callback handlers that watch one run and keep what its trajectory needs.

`stream()` gets the plain handler, `astream()` the one with coroutine methods: a plain handler under asyncio would be sent to a thread for
every event, and one that runs inline makes other plain handlers miss `on_llm_start`; a handler with coroutines in a plain run would start
an event loop for every event. Both write on the same `Tape`. The episode itself travels on the handler (see
`langchain_reflect.agents.episodes`), because callbacks are what LangChain hands down to every node, tool and nested graph, and they are
never serialised.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Self
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent
from langgraph.errors import GraphBubbleUp

from langchain_reflect.recording.fingerprint import FirstCall, offered
from langchain_reflect.recording.plain import describe_error
from langchain_reflect.recording.trajectory import Event, EventKind

EVENT_LIMIT: Final = 5_000
"""Most events that are kept of one run; the first and the newest."""


class Tape:
    """What happened in one run, written by its handler.

    Appending to a list and setting a key are atomic, so nodes that run in parallel threads need no lock.

    Args:
        root: Run id of the run itself; None if callbacks will not show it.
    """

    def __init__(self, root: UUID | None) -> None:
        self.root = root
        self.events: list[Event] = []
        self.output: Any = None
        self.interrupted = False
        self.first: FirstCall | None = None
        """What the run's first model call was given: it tells which version of the agent acts."""
        self.left_out = 0
        """Events from the middle of a very long run that were dropped."""
        self._open: dict[UUID, Event] = {}
        self._muted: set[UUID] = set()

    def mute(self, run_id: UUID) -> None:
        """Leave out a run and everything below it, because an episode of its own records it."""
        self._muted.add(run_id)

    def start(
        self,
        kind: EventKind,
        run_id: UUID,
        parent: UUID | None,
        *,
        name: str,
        metadata: Mapping[str, Any] | None,
        given: Any,
        tools: Sequence[Any] | None = None,
    ) -> None:
        """A call begins."""
        if self.is_muted(run_id, parent):
            return
        if kind == "model" and self.first is None:
            self.first = FirstCall(name, given, tools)
        place = str((metadata or {}).get("langgraph_checkpoint_ns") or "")
        self._open[run_id] = Event(kind, run_id, name, place, perf_counter(), given)

    def end(self, run_id: UUID, *, output: Any = None, error: BaseException | None = None) -> None:
        """A call ended; a control-flow exception (interrupt, handoff, drain) is no result and leaves nothing."""
        event = self._open.pop(run_id, None)
        if event is None or isinstance(error, GraphBubbleUp):
            return
        event.output, event.ended = output, perf_counter()
        event.error = None if error is None else describe_error(error)  # not the exception: its traceback keeps the run's frames
        if len(self.events) >= EVENT_LIMIT:
            del self.events[EVENT_LIMIT // 2]
            self.left_out += 1
        self.events.append(event)

    def is_muted(self, run_id: UUID, parent: UUID | None) -> bool:
        """Whether a run belongs to an episode of its own."""
        if not self._muted:
            return False
        if run_id in self._muted or parent in self._muted:
            self._muted.add(run_id)
            return True
        return False


class EpisodeHandler(GraphCallbackHandler):
    """Watches a run that goes through `invoke`, `stream` or `batch`.

    Args:
        tape: Where it writes.
        episode: The open episode, for whoever finds this handler in a config; opaque here.
        depth: How many wrapped graphs enclose this one; the deepest handler in a config is the current episode's.
    """

    def __init__(self, tape: Tape, episode: Any = None, depth: int = 0) -> None:
        self.tape = tape
        self.episode = episode
        self.depth = depth

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    ignore_retriever = True
    ignore_retry = True
    ignore_custom_event = True

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, metadata: Any = None, **kwargs: Any
    ) -> Any:
        """A graph, a node or a part of one begins; only nodes are kept."""
        del serialized
        name = kwargs.get("name")
        if metadata and name and name == metadata.get("langgraph_node") and run_id != self.tape.root:
            self.tape.start("node", run_id, parent_run_id, name=name, metadata=metadata, given=None)
        else:
            self.tape.is_muted(run_id, parent_run_id)
        del inputs

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> Any:
        """A node ended, or the run itself."""
        if run_id == self.tape.root:
            self.tape.output = snapshot(outputs)
        else:
            self.tape.end(run_id, output=outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> Any:
        """A node failed."""
        self.tape.end(run_id, error=error)

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Any = None,
        **kwargs: Any,
    ) -> Any:
        """A chat model is called."""
        name = _model_name(serialized, metadata, kwargs)
        given, tools = list(messages[0]) if messages else [], offered(kwargs)
        self.tape.start("model", run_id, parent_run_id, name=name, metadata=metadata, given=given, tools=tools)

    def on_llm_start(
        self,
        serialized: Any,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Any = None,
        **kwargs: Any,
    ) -> Any:
        """A text model is called."""
        name = _model_name(serialized, metadata, kwargs)
        self.tape.start("model", run_id, parent_run_id, name=name, metadata=metadata, given="\n".join(prompts))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> Any:
        """A model answered."""
        self.tape.end(run_id, output=_answer(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> Any:
        """A model call failed."""
        self.tape.end(run_id, error=error)

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Any = None,
        inputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """A tool is called."""
        name = kwargs.get("name") or (serialized or {}).get("name") or "tool"
        given = input_str if inputs is None else inputs
        self.tape.start("tool", run_id, parent_run_id, name=name, metadata=metadata, given=given)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> Any:
        """A tool returned."""
        self.tape.end(run_id, output=output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> Any:
        """A tool failed."""
        self.tape.end(run_id, error=error)

    def on_interrupt(self, event: GraphInterruptEvent) -> Any:
        """A graph paused; it counts if it is the run itself."""
        if event.run_id == self.tape.root:
            self.tape.interrupted = True


class AsyncEpisodeHandler(EpisodeHandler):
    """Watches a run that goes through `ainvoke`, `astream` or `abatch`."""

    async def on_chain_start(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_chain_start(self, *args, **kwargs)

    async def on_chain_end(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_chain_end(self, *args, **kwargs)

    async def on_chain_error(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_chain_error(self, *args, **kwargs)

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_chat_model_start(self, *args, **kwargs)

    async def on_llm_start(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_llm_start(self, *args, **kwargs)

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_llm_end(self, *args, **kwargs)

    async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing, without the thread hop that the plain method of the base class would cost for each token."""

    async def on_llm_error(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_llm_error(self, *args, **kwargs)

    async def on_tool_start(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_tool_start(self, *args, **kwargs)

    async def on_tool_end(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_tool_end(self, *args, **kwargs)

    async def on_tool_error(self, *args: Any, **kwargs: Any) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_tool_error(self, *args, **kwargs)

    async def on_interrupt(self, event: GraphInterruptEvent) -> Any:
        """See `EpisodeHandler`."""
        EpisodeHandler.on_interrupt(self, event)

    async def on_resume(self, event: Any) -> Any:
        """Nothing, without a thread hop."""

    async def on_text(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing, without a thread hop."""


def snapshot(value: Any) -> Any:
    """The value with its outer containers copied, because the caller may go on to change what the graph returned."""
    if isinstance(value, Mapping):
        return {key: list(item) if isinstance(item, list) else item for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _model_name(serialized: Any, metadata: Any, kwargs: Mapping[str, Any]) -> str:
    name = (metadata or {}).get("ls_model_name") or kwargs.get("name")
    if not name and isinstance(serialized, Mapping):
        path: Sequence[str] = serialized.get("id") or ()
        name = serialized.get("name") or (path[-1] if path else "")
    return str(name or "")


def _answer(response: LLMResult) -> Any:
    if not response.generations or not response.generations[0]:
        return None
    first = response.generations[0][0]
    return getattr(first, "message", None) or first.text
