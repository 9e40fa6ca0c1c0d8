from dataclasses import dataclass, field

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from langchain_reflect.errors import TaskNotFound
from langchain_reflect.recording.task import task_of


@dataclass
class Data:
    messages: list = field(default_factory=lambda: [HumanMessage("hello")])


class Model(BaseModel):
    messages: list = [("user", "hello")]


@pytest.mark.parametrize(
    "given",
    [
        "hello",
        [HumanMessage("hello")],
        HumanMessage("hello"),
        {"messages": "hello"},
        {"messages": ["hello"]},
        {"messages": [HumanMessage("hello")]},
        {"messages": HumanMessage("hello")},
        {"messages": ("user", "hello")},
        {"messages": [("human", "hello")]},
        {"messages": [["user", "hello"]]},
        {"messages": [{"role": "user", "content": "hello"}]},
        {"messages": [{"type": "human", "content": "hello"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": "x"}]}]},
        {"messages": [HumanMessage("earlier"), AIMessage("yes?"), HumanMessage("hello"), AIMessage("hi"), SystemMessage("s")]},
        {"messages": [ChatMessage(role="user", content="hello")]},
        {"messages": [HumanMessage('<lessons id="1">\nold\n</lessons>\n\nhello')]},
        {"role": "user", "content": "hello"},
        Data(),
        Model(),
    ],
)
def test_the_task_is_what_the_user_said_last(given):
    assert task_of(given) == "hello"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "  ",
        None,
        3,
        {},
        {"question": "2+2?"},
        {"messages": []},
        {"messages": [AIMessage("hi")]},
        [],
        [1, 2],
        {"messages": None},
        object(),
    ],
)
def test_no_task_is_an_error_that_shows_the_way_out(given):
    with pytest.raises(TaskNotFound, match="task=lambda"):
        task_of(given)
