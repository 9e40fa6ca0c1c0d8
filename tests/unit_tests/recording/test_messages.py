import json
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_reflect.errors import InvalidInput
from langchain_reflect.recording.messages import read_messages, read_row
from langchain_reflect.types import Fingerprint, Step

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is order 7?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"order": 7}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "in Lyon"},
    {"role": "assistant", "content": "It is in Lyon."},
]
STEPS = (
    Step(kind="message", name="system", output="Be brief."),
    Step(kind="message", name="user", output="Where is order 7?"),
    Step(kind="model", name="m", output={"content": "", "tool_calls": [{"name": "find", "args": {"order": 7}, "id": "c1"}]}),
    Step(kind="tool", name="find", input={"order": 7}, output="in Lyon"),
    Step(kind="model", name="m", output={"content": "It is in Lyon.", "tool_calls": []}),
)


def test_openai_dicts_become_steps():
    assert read_messages(CHAT, model="m") == (STEPS, ())


def test_langchain_messages_become_the_same_steps():
    messages = [
        SystemMessage("Be brief."),
        HumanMessage("Where is order 7?"),
        AIMessage("", tool_calls=[{"name": "find", "args": {"order": 7}, "id": "c1"}]),
        ToolMessage("in Lyon", tool_call_id="c1"),
        AIMessage("It is in Lyon."),
    ]
    assert read_messages(messages, model="m") == (STEPS, ())


def test_arguments_that_are_no_json_are_kept_as_text():
    (step,), defects = read_messages([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{order: 7"}}]}])
    assert step.output == {"content": "", "tool_calls": [{"name": "f", "args": "{order: 7", "id": None}]}
    assert defects == ("args-not-json",)


def test_unknown_role_is_kept_as_a_message():
    assert read_messages([{"role": "checker", "content": "ok?"}]) == ((Step(kind="message", name="checker", output="ok?"),), ("role",))


def test_result_without_id_answers_the_oldest_waiting_call():
    called, result = CHAT[2], {"role": "tool", "content": "in Lyon"}
    steps, defects = read_messages([called, result])
    assert steps[1] == STEPS[3]
    assert defects == ("tool_call_id",)


def test_failed_tool_carries_its_error():
    (step,), _ = read_messages([{"role": "tool", "tool_call_id": "x", "name": "f", "content": "boom", "status": "error"}])
    assert step.error == "boom"


def test_our_own_block_is_left_out():
    (step,), _ = read_messages([{"role": "user", "content": 'hi <lessons id="1">Do: x</lessons> there'}])
    assert "lessons" not in str(step.output)


@pytest.mark.parametrize("messages", [None, 3, "text", {"role": "user"}])
def test_what_is_no_list_is_a_defect(messages):
    assert read_messages(messages) == ((), ("messages",))


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("content", "tool_calls", "function_call", "tool_call_id", "name", "status", "error", "type")
MESSAGE = st.builds(
    lambda role, rest: {"role": role, **rest},
    JUNK | st.sampled_from(["user", "assistant", "tool"]),
    st.dictionaries(st.sampled_from(FIELDS), JUNK),
)


@given(st.lists(JUNK | MESSAGE, max_size=5))
def test_no_message_raises(messages):
    steps, _ = read_messages(messages)
    assert all(json.loads(step.model_dump_json()) for step in steps)


def test_row_becomes_episode_and_outcome():
    row = {
        "id": "run-1",
        "messages": CHAT,
        "reward": 1,
        "feedback": "good",
        "task_id": 4,
        "model": "m",
        "namespace": ["acme", "support"],
        "metadata": {"ticket": "T-1"},
        "at": "2025-01-01T00:00:00+00:00",
        "info": {"gold": "secret"},
    }
    episode, outcome = read_row(row)

    assert (episode.task, episode.task_key, episode.result, episode.model) == ("Where is order 7?", "4", "It is in Lyon.", "m")
    assert (episode.namespace, episode.graph, episode.metadata) == (("acme", "support"), "agent", {"ticket": "T-1"})
    assert episode.steps == STEPS
    assert outcome is not None
    assert (outcome.episode_id, outcome.reward, outcome.feedback, outcome.source) == (episode.id, 1.0, "good", "import")
    assert outcome.observed_at == episode.started_at
    assert "secret" not in episode.model_dump_json()


def test_row_without_judgement_has_no_outcome():
    assert read_row({"messages": CHAT})[1] is None


def test_same_row_gives_the_same_id_whatever_the_reward():
    first, again = read_row({"messages": CHAT, "reward": 0}), read_row({"messages": CHAT, "reward": 1})
    assert first[0].id == again[0].id
    assert first[0].id != read_row({"messages": CHAT[:3], "reward": 0})[0].id


def test_given_id_is_kept_if_it_is_a_uuid_and_else_belongs_to_the_namespace():
    known = uuid5(UUID(int=0), "x")
    assert read_row({"id": str(known), "messages": CHAT})[0].id == known
    assert read_row({"id": "1", "messages": CHAT})[0].id == read_row({"id": 1, "messages": CHAT[:2]})[0].id
    assert read_row({"id": "1", "messages": CHAT})[0].id != read_row({"id": "1", "messages": CHAT, "namespace": "b"})[0].id


def test_defects_stand_in_the_metadata():
    episode, _ = read_row({"messages": [*CHAT, {"role": "checker", "content": "?"}]})
    assert episode.metadata == {"defects": ["role"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 3 is list"),
        ({"messages": "hello"}, "row 3, field 'messages': expected a list"),
        ({"messages": []}, "row 3, field 'task': missing"),
        ({"messages": CHAT, "reward": 1.5}, "row 3, field 'reward': expected a number from 0 to 1"),
        ({"messages": CHAT, "reward": float("nan")}, "field 'reward'"),
        ({"messages": CHAT, "reward": "1"}, "field 'reward'"),
        ({"messages": CHAT, "feedback": ["x"]}, "field 'feedback': expected text, got list"),
        ({"messages": CHAT, "namespace": [""]}, "field 'namespace'"),
        ({"messages": CHAT, "metadata": "x"}, "field 'metadata': expected an object"),
        ({"messages": CHAT, "at": "yesterday"}, "is not an ISO 8601 time"),
        ({"messages": CHAT, "at": "2025-01-01"}, "has no time zone"),
    ],
)
def test_bad_rows_name_row_and_field(row, message):
    with pytest.raises(InvalidInput, match="row 3") as caught:
        read_row(row, number=3)
    assert message in str(caught.value)


def test_texts_are_cleaned_before_they_are_kept():
    episode, outcome = read_row({"messages": CHAT, "feedback": "order 7 lost"}, clean=lambda text: text.replace("7", "#"))
    assert "order 7" not in episode.model_dump_json()
    assert outcome is not None
    assert outcome.feedback == "order # lost"


def test_of_an_imported_agent_only_the_model_is_known():
    row = {"messages": [{"role": "user", "content": "Which?"}]}
    assert read_row({**row, "model": "m"})[0].fingerprint == Fingerprint(model="m")
    assert read_row(row)[0].fingerprint is None
