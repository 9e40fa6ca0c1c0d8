"""Many runs, a few at a time, each with its own lessons, seed and verdict."""

import asyncio
import threading
import time
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.runs import Job, PracticeTask, Runner, seeds, wants_async
from langchain_reflect.types import LessonText
from tests.unit_tests.naming_agent import agent, async_agent, house_rule, naming

LESSON = LessonText(when="naming a function", do="Start with the prefix acme_.")


def jobs(count=4, **more):
    return [Job(task=PracticeTask.of(naming("list")), seed=n, **more) for n in range(count)]


def counting(seconds=0.02):
    """An agent that knows how many of it ran at once."""
    lock, now, most = threading.Lock(), [0], [0]

    def run(_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(seconds)
        with lock:
            now[0] -= 1
        return "done"

    return RunnableLambda(run), most


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_runs_at_a_time_than_allowed(concurrency):
    graph, most = counting()
    runs = Runner(graph, lambda **_: True, concurrency).run(jobs(6))
    assert len(runs) == 6
    assert most[0] <= concurrency


def test_batches_from_several_threads_share_the_bound():
    graph, most = counting()
    runner = Runner(graph, lambda **_: True, 2)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: runner.run(jobs(4)), range(3)))
    assert most[0] <= 2


def test_results_come_in_the_order_of_the_jobs():
    slow_first = RunnableLambda(lambda given: time.sleep(0.05 if given == 0 else 0) or given)
    made = Runner(slow_first, lambda *, inputs, outputs: inputs == outputs, 3).run([Job(task=PracticeTask(n), seed=n) for n in range(5)])
    assert [run.job.seed for run in made] == [0, 1, 2, 3, 4]
    assert {run.reward for run in made} == {1.0}


@pytest.mark.parametrize(("lessons", "reward"), [((LESSON,), 1.0), ((), 0.0), (None, 0.0)])
def test_a_job_gets_exactly_its_lessons(lessons, reward):
    wrapped = reflected(agent(), AgentService())
    (run,) = Runner(wrapped, house_rule).run(jobs(1, lessons=lessons, record=False))
    assert (run.reward, run.shown) == (reward, lessons or ())
    assert run.usage.calls == 1
    assert run.usage.tokens_in > 0


async def test_async_jobs_get_their_lessons_and_the_bound_holds():
    runner = Runner(reflected(async_agent(), AgentService()), house_rule, 2)
    told = []
    made = await runner.arun([*jobs(3, lessons=(LESSON,), record=False), *jobs(1, record=False)], told.append)
    assert [run.reward for run in made] == [1.0, 1.0, 1.0, 0.0]
    assert len(told) == 4


async def test_a_thread_gets_runs_made_in_the_agents_own_loop():
    runner = Runner(reflected(async_agent(), AgentService()), house_rule, loop=asyncio.get_running_loop())
    made = await asyncio.to_thread(runner.run_from_thread, jobs(2, lessons=(LESSON,), record=False))
    assert [run.reward for run in made] == [1.0, 1.0]


def test_runs_inside_a_node_are_no_part_of_that_graph():
    made = []

    def node(_: MessagesState):
        made.extend(Runner(agent(), house_rule).run(jobs(1)))
        return {"messages": [("ai", "done")]}

    outer = StateGraph(MessagesState).add_node("outer", node).add_edge(START, "outer").compile()
    chunks = list(outer.stream({"messages": [("user", "go")]}, stream_mode="updates", subgraphs=True))
    assert len(chunks) == 1
    assert made[0].error is None


def test_an_error_of_the_verifier_stops_the_batch():
    graph, _ = counting()
    begun = []

    def broken(**_):
        begun.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Runner(graph, broken, 1).run(jobs(50))
    time.sleep(0.1)
    assert len(begun) < 10


async def _raises():
    raise asyncio.CancelledError


async def _cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def _waits_for_what_is_cancelled():
    waiting = asyncio.create_task(asyncio.sleep(9))
    asyncio.get_running_loop().call_soon(waiting.cancel)
    await waiting


async def _waits_for_a_cancelled_future():
    await asyncio.to_thread(_raise, futures.CancelledError())


def _raise(error):
    raise error


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("cancel", [_raises, _cancels_itself, _waits_for_what_is_cancelled, _waits_for_a_cancelled_future])
async def test_an_agent_that_is_cancelled_without_its_caller_has_failed_and_the_others_run(cancel, concurrency):
    async def run(given):
        return await cancel() if given == 1 else "done"

    async def judged(**_):
        await asyncio.sleep(0)
        return True

    runner = Runner(reflected(RunnableLambda(run), AgentService()), judged, concurrency)
    made = await runner.arun([Job(task=PracticeTask(n), seed=n, record=False) for n in range(4)])
    assert [run.reward for run in made] == [1.0, 0.0, 1.0, 1.0]
    assert isinstance(made[1].error, asyncio.CancelledError)
    assert made[1].verdict.feedback == "the run failed: CancelledError"


@pytest.mark.parametrize("error", [asyncio.CancelledError, futures.CancelledError])
def test_a_sync_agent_that_waited_for_what_was_cancelled_has_failed_and_the_others_run(error):
    graph = RunnableLambda(lambda given: _raise(error()) if given == 1 else "done")
    made = Runner(graph, lambda **_: True, 1).run([Job(task=PracticeTask(n), seed=n) for n in range(3)])
    assert [run.reward for run in made] == [1.0, 0.0, 1.0]
    assert isinstance(made[1].error, error)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_caller_that_is_cancelled_cancels_its_runs(concurrency):
    begun, cancelled = asyncio.Event(), []

    async def run(given):
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(given)
            raise

    runner = Runner(RunnableLambda(run), lambda **_: True, concurrency)
    batch = asyncio.create_task(runner.arun(jobs(5)))
    await begun.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert 1 <= len(cancelled) <= concurrency


async def test_a_verifier_that_is_cancelled_is_an_error_of_the_verifier():
    async def broken(**_):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Runner(RunnableLambda(lambda given: given), broken, 2).arun(jobs(3))


def test_seeds_are_repeatable_and_differ():
    assert seeds(3, 50) == seeds(3, 50)
    assert seeds(3, 50) != seeds(4, 50)
    assert len(set(seeds(3, 50))) == 50
    assert len({*seeds(3, 50), *seeds(-3, 50)}) == 100


def test_a_string_becomes_a_message_and_keeps_what_goes_with_it():
    task = PracticeTask.of(PracticeTask("hello", reference=1, key="k", family="f"))
    assert (task.inputs, task.reference, task.key, task.family) == ({"messages": [("user", "hello")]}, 1, "k", "f")
    assert task.text == "hello"
    assert PracticeTask.of({"question": "why?"}).text == "{'question': 'why?'}"


def only_async_tool():
    async def look_up(word: str) -> str:
        """Look it up."""
        return word

    return StructuredTool.from_function(coroutine=look_up)


@pytest.mark.parametrize("call", [lambda: async_agent().invoke({"messages": []}), lambda: only_async_tool().invoke({"word": "x"})])
def test_what_is_only_async_is_known_by_its_error(call):
    with pytest.raises((TypeError, NotImplementedError)) as raised:
        call()
    assert wants_async(raised.value)


@pytest.mark.parametrize(
    "error", [None, TypeError("asynchronous calls are not supported"), ValueError("use ainvoke"), NotImplementedError()]
)
def test_other_errors_do_not_want_async(error):
    assert not wants_async(error)
