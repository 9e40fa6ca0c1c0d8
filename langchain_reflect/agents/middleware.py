"""Lessons for `create_agent`, as middleware: they go into the prompt of each model call and never into the thread.

Inside a wrapped graph the middleware only shows the lessons of that graph's episode. Alone it opens an episode before the agent and closes
it after it. What it then cannot see: `after_agent` does not run when a tool raises, when the recursion limit is reached or when a run is
abandoned at an interrupt. Such episodes keep the status `running` (those whose model call failed: `error`). Where failures matter, wrap
the agent.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, NotRequired
from uuid import UUID

from langchain.agents.middleware import AgentMiddleware, AgentState, ExtendedModelResponse, ModelRequest, ModelResponse
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_reflect.agents.episodes import METADATA_KEY, OpenEpisode, current_episode, new_id
from langchain_reflect.agents.opening import AboutFields, TaskReader
from langchain_reflect.agents.placement import Where, append_block, has_block, place
from langchain_reflect.agents.service import AgentService
from langchain_reflect.recording.tracer import snapshot

_AGENT: Final = "agent"


class ReflectState(AgentState[Any]):
    """Only the episode's id is kept in the thread, so that a resumed run goes on with its lessons."""

    reflect_episode_id: NotRequired[Annotated[str, PrivateStateAttr]]


class ReflectMiddleware(AgentMiddleware[ReflectState, Any, Any]):
    """Shows lessons to the model of `create_agent` and, outside of a wrapped graph, records the run.

    Put it behind middleware that marks the static prompt for a provider's cache, so that the lessons come after the mark.

    Args:
        service: Where lessons come from and episodes go.
        graph: Name of the agent in its episodes.
        task: Reads the task's text from the state; default: the last message of the user.
        where: `system`: after the system prompt, as a content block of its own if the prompt has blocks. `human`: in front of the last
            human message.
    """

    state_schema = ReflectState

    def __init__(self, service: AgentService, *, graph: str = _AGENT, task: TaskReader | None = None, where: Where = "system") -> None:
        super().__init__()
        self.service = service
        self.graph = graph
        self.task = task
        self.where: Where = where

    @property
    def name(self) -> str:
        """Part of the names of its nodes; tells the middleware of several agents apart."""
        kind = type(self).__name__
        return kind if self.graph == _AGENT else f"{kind}[{self.graph}]"

    def before_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Open an episode, unless a wrapped graph has one."""
        if current_episode() is not None:
            return None
        return self._opened(self.service.open(state, _config_of(runtime), **self._about()))

    async def abefore_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Async `before_agent`."""
        if current_episode() is not None:
            return None
        return self._opened(await self.service.aopen(state, _config_of(runtime), **self._about()))

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage | ExtendedModelResponse[Any]:
        """Show the lessons to the model."""
        if (episode := current_episode()) is not None:
            return handler(self._with_lessons(request, episode))
        episode_id = _episode_id(request.state)
        episode = self.service.shared.kept(episode_id)
        if episode is None and episode_id is not None:
            episode = self.service.shared.keep(self.service.open(request.state, None, **self._about(episode_id)))
        if episode is None:
            return handler(request)
        call = self._call_begins(request, episode)
        try:
            response = handler(self._with_lessons(request, episode))
        except BaseException as error:
            self._call_failed(episode, call, error)
            raise
        episode.tape.end(call, output=_answer(response))
        return response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | AIMessage | ExtendedModelResponse[Any]:
        """Async `wrap_model_call`."""
        if (episode := current_episode()) is not None:
            return await handler(self._with_lessons(request, episode))
        episode_id = _episode_id(request.state)
        episode = self.service.shared.kept(episode_id)
        if episode is None and episode_id is not None:
            episode = self.service.shared.keep(await self.service.aopen(request.state, None, **self._about(episode_id)))
        if episode is None:
            return await handler(request)
        call = self._call_begins(request, episode)
        try:
            response = await handler(self._with_lessons(request, episode))
        except BaseException as error:
            self._call_failed(episode, call, error)
            raise
        episode.tape.end(call, output=_answer(response))
        return response

    def after_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Close the episode."""
        del runtime
        self._closed(state)
        return None

    async def aafter_agent(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Async `after_agent`."""
        del runtime
        if self._closed(state):
            await self.service.asettle()
        return None

    def _about(self, episode_id: UUID | None = None) -> AboutFields:
        return {"graph": self.graph, "task": self.task, "owner": self, "traced": False, "episode_id": episode_id}

    def _opened(self, episode: OpenEpisode | None) -> dict[str, Any] | None:
        if episode is None:
            return {METADATA_KEY: ""}  # not the id of the thread's run before
        self.service.shared.keep(episode)
        self.service.begin(episode)
        return {METADATA_KEY: str(episode.id)}

    def _closed(self, state: Any) -> bool:
        episode = None if current_episode() is not None else self.service.shared.kept(_episode_id(state))
        if episode is None:
            return False
        _note_tools(episode, state["messages"])
        episode.tape.output = snapshot({key: value for key, value in state.items() if key != METADATA_KEY})
        self.service.finish(episode)
        self.service.shared.let_go(episode.id)
        return True

    def _with_lessons(self, request: ModelRequest[Any], episode: OpenEpisode) -> ModelRequest[Any]:
        block = episode.shown.block
        system = request.system_message
        placed = episode.placement
        episode.reached = True
        if not block or any(has_block(m, placed) for m in ([system] if system else []) + request.messages):
            return request
        try:
            if self.where == "human":
                id_ = f"lessons-{episode.id}"
                return request.override(messages=place(request.messages, episode.block, where="human", placement=placed, message_id=id_))
            return request.override(system_message=_after(system, episode.block))
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self.service.health.note("view failed", f"lessons could not be shown: {type(error).__name__}: {error}", error=error)
            return request

    def _call_begins(self, request: ModelRequest[Any], episode: OpenEpisode) -> UUID:
        _note_tools(episode, request.messages)
        call = new_id()
        name = getattr(request.model, "model_name", None) or getattr(request.model, "model", None) or type(request.model).__name__
        given = [*([request.system_message] if request.system_message else []), *request.messages]
        episode.tape.start("model", call, None, name=str(name), metadata=None, given=given, tools=request.tools)
        return call

    def _call_failed(self, episode: OpenEpisode, call: UUID, error: BaseException) -> None:
        """Close it as failed; a retry further out may yet succeed, and then it is closed again."""
        episode.tape.end(call, error=error)
        self.service.finish(episode, error)


def _after(system: SystemMessage | None, block: str) -> SystemMessage:
    if system is None:
        return SystemMessage(content=block)
    return system.model_copy(update={"content": append_block(system.content, block)})


def _config_of(runtime: Runtime[Any]) -> RunnableConfig:
    info = runtime.execution_info
    try:
        return {"run_id": UUID(info.run_id)} if info is not None and info.run_id else {}
    except ValueError:
        return {}


def _episode_id(state: Any) -> UUID | None:
    text = state.get(METADATA_KEY)
    return UUID(text) if text else None


def _answer(response: Any) -> Any:
    if isinstance(response, ExtendedModelResponse):
        response = response.model_response
    if isinstance(response, ModelResponse):
        return next((m for m in response.result if isinstance(m, AIMessage)), None)
    return response


def _note_tools(episode: OpenEpisode, messages: list[Any]) -> None:
    """Tool calls that were answered since the last model call; a hook of our own around tools would change what agents may call."""
    start = partial(episode.tape.start, "tool", parent=None, metadata=None)
    known = {e.output.tool_call_id for e in episode.tape.events if isinstance(e.output, ToolMessage)}
    last_question = max((i for i, m in enumerate(messages) if m.type == "human"), default=-1)
    asked = {c["id"]: c for m in messages[last_question + 1 :] if isinstance(m, AIMessage) for c in m.tool_calls}
    for message in messages[last_question + 1 :]:
        if isinstance(message, ToolMessage) and message.tool_call_id not in known:
            call = asked.get(message.tool_call_id)
            run = new_id()
            start(run_id=run, name=message.name or (call["name"] if call else "tool"), given=call["args"] if call else None)
            episode.tape.end(run, output=message)
