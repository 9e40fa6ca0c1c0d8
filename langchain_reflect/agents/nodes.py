"""Plain nodes for people who build their own `StateGraph`: one that gets lessons, one that records.

```python
class State(MessagesState):
    lessons: str        # written by retrieve, put into the prompt by your own node
    episode_id: str     # written by retrieve, read by record; give it to whoever judges the run

builder.add_node("retrieve", retrieve_node(service)).add_node("record", record_node(service))
```

`record` is a node like any other: it does not run when a node before it raises, at an interrupt, or at the recursion limit. Such an
episode stays `running` in the ledger. Wrapping the compiled graph records those as well.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.runtime import get_runtime

from langchain_reflect.agents.episodes import OpenEpisode, current_episode
from langchain_reflect.agents.opening import AboutFields, TaskReader
from langchain_reflect.agents.service import AgentService
from langchain_reflect.recording.tracer import snapshot

_KEYS = ("lessons", "episode_id")


def retrieve_node(service: AgentService, *, graph: str = "agent", task: TaskReader | None = None) -> RunnableLambda[Any, dict[str, Any]]:
    """A node that returns `{"lessons": text, "episode_id": id}`; both are empty if there is nothing to show or something failed.

    Args:
        service: Where lessons come from.
        graph: Name of the graph in its episodes.
        task: Reads the task's text from the state; default: the last message of the user.
    """
    about: AboutFields = {"graph": graph, "task": task, "traced": False}

    def retrieve(state: Any) -> dict[str, Any]:
        episode = current_episode()
        return _result(service, episode, service.open(state, _run_config(), **about) if episode is None else None)

    async def aretrieve(state: Any) -> dict[str, Any]:
        episode = current_episode()
        return _result(service, episode, await service.aopen(state, _run_config(), **about) if episode is None else None)

    return RunnableLambda(retrieve, afunc=aretrieve, name="retrieve")


def record_node(service: AgentService, *, graph: str = "agent", task: TaskReader | None = None) -> RunnableLambda[Any, dict[str, Any]]:
    """A node that records the run from the state's messages; it changes nothing.

    Args:
        service: Where episodes go.
        graph: As for `retrieve_node`.
        task: As for `retrieve_node`.
    """

    def record(state: Any) -> dict[str, Any]:
        _finish(service, state, graph, task)
        return {}

    async def arecord(state: Any) -> dict[str, Any]:
        _finish(service, state, graph, task)
        await service.asettle()
        return {}

    return RunnableLambda(record, afunc=arecord, name="record")


def _result(service: AgentService, outer: OpenEpisode | None, opened: OpenEpisode | None) -> dict[str, Any]:
    """Inside a wrapped graph the lessons and the episode are that graph's."""
    episode = outer or opened
    if episode is None:
        return {"lessons": "", "episode_id": ""}
    text = episode.block
    episode.in_state = True
    episode.placement.blocks.clear()  # the text belongs into the state now; only what views put among messages is taken out again
    if opened is not None:
        service.shared.keep(opened)
        service.begin(opened)
    return {"lessons": text, "episode_id": str(episode.id)}


def _finish(service: AgentService, state: Any, graph: str, task: TaskReader | None) -> None:
    if current_episode() is not None:
        return
    values = state if isinstance(state, Mapping) else {key: getattr(state, key) for key in getattr(state, "__dict__", {})}
    try:
        episode_id = UUID(str(values.get("episode_id")))
    except ValueError:
        service.health.note("no episode_id", "nothing recorded: the state has no 'episode_id'; retrieve_node writes it")
        return
    episode = service.shared.kept(episode_id) or service.continued(state, graph=graph, task=task, traced=False, episode_id=episode_id)
    if episode is not None:
        episode.tape.output = snapshot({key: value for key, value in values.items() if key not in _KEYS})
        service.finish(episode)
        service.shared.let_go(episode_id)


def _run_config() -> RunnableConfig:
    try:
        info = get_runtime().execution_info
        return {"run_id": UUID(info.run_id)} if info is not None and info.run_id else {}
    except (RuntimeError, KeyError, ValueError):
        return {}
