"""Wrapping Runnables that are no graphs: chains, models, agent executors."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AbstractContextManager, aclosing, closing
from typing import Any, ClassVar

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs
from pydantic import SkipValidation

from langchain_reflect.agents.episodes import OpenEpisode
from langchain_reflect.agents.placement import restore
from langchain_reflect.agents.view import see
from langchain_reflect.agents.wrap import Reflection
from langchain_reflect.recording.tracer import AsyncEpisodeHandler, EpisodeHandler, snapshot


class ReflectedRunnable(RunnableBindingBase[Any, Any]):  # type: ignore[no-redef]  # langchain-core declares the base twice
    """A Runnable with lessons and episodes; its schemas, its batches and its streams are those of what it is bound to.

    Lessons enter the input: by `inject=`, or among its messages. What comes out is restored, because some chains echo their input.
    """

    reflection: SkipValidation[Reflection]

    def __getattr__(self, name: str) -> Any:
        """What the bound object has beyond a Runnable."""
        if name.startswith("_") or name in ("bound", "reflection"):
            return super().__getattribute__(name)
        return getattr(self.bound, name)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
        """Run with lessons, leave an episode."""
        config = merge_configs(self.config, config)
        episode = self.reflection.service.open(input, config, **self._about())
        if episode is None:
            return self.bound.invoke(input, config, **self.kwargs, **kwargs)
        with self._finishing(episode):
            given, config = self._enter(input, config, episode, EpisodeHandler(episode.tape, episode, episode.depth))
            return self._leave(self.bound.invoke(given, config, **self.kwargs, **kwargs), episode)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - as above
        """Async `invoke`."""
        config = merge_configs(self.config, config)
        episode = await self.reflection.service.aopen(input, config, **self._about())
        if episode is None:
            return await self.bound.ainvoke(input, config, **self.kwargs, **kwargs)
        with self._finishing(episode):
            given, config = self._enter(input, config, episode, AsyncEpisodeHandler(episode.tape, episode, episode.depth))
            result = self._leave(await self.bound.ainvoke(given, config, **self.kwargs, **kwargs), episode)
        await self.reflection.service.asettle()
        return result

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - as above
        """Stream with lessons, leave an episode."""
        config = merge_configs(self.config, config)
        episode = self.reflection.service.open(input, config, **self._about())
        if episode is None:
            yield from self.bound.stream(input, config, **self.kwargs, **kwargs)
            return
        with self._finishing(episode):
            given, config = self._enter(input, config, episode, EpisodeHandler(episode.tape, episode, episode.depth))
            with closing(_iterator(self.bound.stream(given, config, **self.kwargs, **kwargs))) as chunks:
                for chunk in chunks:
                    yield self._leave(chunk, episode, whole=False)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 - as above
        """Async `stream`."""
        config = merge_configs(self.config, config)
        episode = await self.reflection.service.aopen(input, config, **self._about())
        if episode is None:
            async for chunk in self.bound.astream(input, config, **self.kwargs, **kwargs):
                yield chunk
            return
        with self._finishing(episode):
            given, config = self._enter(input, config, episode, AsyncEpisodeHandler(episode.tape, episode, episode.depth))
            async with aclosing(_aiterator(self.bound.astream(given, config, **self.kwargs, **kwargs))) as chunks:
                async for chunk in chunks:
                    yield self._leave(chunk, episode, whole=False)
        await self.reflection.service.asettle()

    # The binding would hand these to what it is bound to, past the four above; Runnable's own go through them.
    batch: ClassVar[Any] = Runnable.batch
    abatch: ClassVar[Any] = Runnable.abatch
    batch_as_completed: ClassVar[Any] = Runnable.batch_as_completed
    abatch_as_completed: ClassVar[Any] = Runnable.abatch_as_completed
    transform: ClassVar[Any] = Runnable.transform
    atransform: ClassVar[Any] = Runnable.atransform
    astream_events: ClassVar[Any] = Runnable.astream_events

    def _finishing(self, episode: OpenEpisode) -> AbstractContextManager[None]:
        return self.reflection.service.finishing(episode, verifier=self.reflection.verifier)

    def _about(self) -> dict[str, Any]:
        reflection = self.reflection
        return {"graph": reflection.name or self.get_name(), "task": reflection.task, "owner": reflection.options}

    def _enter(self, given: Any, config: RunnableConfig, episode: OpenEpisode, handler: EpisodeHandler) -> tuple[Any, RunnableConfig]:
        config = self.reflection.config_for(config, episode, handler, run_id=True)
        try:
            return see(given, episode, self.reflection.options), config
        except Exception as error:  # noqa: BLE001 - `inject=` is the user's code, and the run must go on
            message = f"lessons could not be shown: {type(error).__name__}: {error}"
            self.reflection.service.health.note("view failed", message, error=error)
            return given, config

    def _leave(self, result: Any, episode: OpenEpisode, *, whole: bool = True) -> Any:
        if episode.placement.used:
            result = restore(result, episode.placement)
        if whole:
            episode.tape.output = snapshot(result)
        return result


def _iterator(chunks: Iterator[Any]) -> Generator[Any, None, None]:
    """The chunks as a generator, which can be closed."""
    yield from chunks


async def _aiterator(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk
