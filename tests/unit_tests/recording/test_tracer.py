import copy
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.callbacks.base import BaseCallbackHandler
from langchain_core.language_models.fake import FakeListLLM
from langgraph.errors import GraphInterrupt, ParentCommand

from langchain_reflect.recording.tracer import EVENT_LIMIT, AsyncEpisodeHandler, EpisodeHandler, Tape, snapshot


def test_control_flow_leaves_no_step():
    tape = Tape(uuid4())
    for error in (GraphInterrupt(()), ParentCommand(None)):
        run = uuid4()
        tape.start("tool", run, None, name="t", metadata=None, given=None)
        tape.end(run, error=error)
    assert tape.events == []


def test_a_muted_run_and_all_below_it_are_left_out():
    tape, child, node, call = Tape(uuid4()), uuid4(), uuid4(), uuid4()
    tape.mute(child)
    handler = EpisodeHandler(tape)
    handler.on_chain_start({}, {}, run_id=child, parent_run_id=uuid4())
    handler.on_chain_start({}, {}, run_id=node, parent_run_id=child, metadata={"langgraph_node": "n"}, name="n")
    handler.on_chat_model_start({}, [[]], run_id=call, parent_run_id=node)
    handler.on_chain_end({}, run_id=node)
    tape.end(call)
    assert tape.events == []


def test_an_endless_run_keeps_its_beginning_and_its_end():
    tape = Tape(None)
    for number in range(EVENT_LIMIT + 10):
        run = uuid4()
        tape.start("tool", run, None, name=str(number), metadata=None, given=None)
        tape.end(run)
    assert len(tape.events) == EVENT_LIMIT
    assert (tape.events[0].name, tape.events[-1].name) == ("0", str(EVENT_LIMIT + 9))


def test_a_handler_is_never_copied():
    handler = EpisodeHandler(Tape(None))
    assert copy.copy(handler) is handler
    assert copy.deepcopy([handler])[0] is handler


def test_a_snapshot_does_not_see_later_changes():
    result = {"messages": [1]}
    kept = snapshot(result)
    result["messages"].append(2)
    assert kept == {"messages": [1]}


async def test_other_handlers_still_hear_of_text_models():
    heard = []

    class Theirs(BaseCallbackHandler):
        def on_llm_start(self, *args, **kwargs):
            heard.append("start")

    ours = AsyncEpisodeHandler(Tape(None))
    manager = AsyncCallbackManager(handlers=[], inheritable_handlers=[])
    for handler in (Theirs(), ours):
        manager.add_handler(handler, inherit=True)
    await FakeListLLM(responses=["a"]).ainvoke("q", {"callbacks": manager})
    assert heard == ["start"]
    assert [(e.kind, e.input, e.output) for e in ours.tape.events] == [("model", "q", "a")]
