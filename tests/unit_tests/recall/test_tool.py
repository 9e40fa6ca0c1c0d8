import pytest
from langchain_core.messages import ToolCall
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.tool import NOTHING, LessonSearch, Reach

FLIGHT = "Move my basic economy flight to Friday"


def search_in(recaller, *, floor=None, max_tokens=600, **reach):
    return LessonSearch(
        recaller=recaller, policy=RecallPolicy(floor=floor, max_tokens=max_tokens), reach=lambda _: Reach(("default",), **reach)
    )


class _Standard:
    """LangChain's own contract of a tool."""

    @pytest.fixture(autouse=True)
    def _with_lessons(self, recaller):
        self.recaller = recaller

    @property
    def tool_constructor(self):
        return LessonSearch

    @property
    def tool_constructor_params(self):
        return {"recaller": self.recaller, "reach": lambda _: Reach(("default",))}

    @property
    def tool_invoke_params_example(self):
        return {"query": FLIGHT, "k": 2}


class TestUnit(_Standard, ToolsUnitTests):
    pass


class TestIntegration(_Standard, ToolsIntegrationTests):
    pass


def call(**args):
    return ToolCall(name="search_lessons", args=args, id="1", type="tool_call")


def test_a_search_gives_the_model_a_block_and_the_program_the_ids(recaller):
    message = search_in(recaller).invoke(call(query=FLIGHT, k=1))
    assert message.text.startswith("<lessons id=")
    assert "basic economy cannot be changed" in message.text
    assert [(found["id"], found["revision"]) for found in message.artifact] == [("L-flights", 1)]
    assert message.artifact[0]["similarity"] > 0.9


async def test_async_finds_the_same(recaller):
    tool = search_in(recaller)
    assert (await tool.ainvoke(call(query=FLIGHT))).content == tool.invoke(call(query=FLIGHT)).content


def test_it_shows_the_model_query_and_k_only(recaller):
    assert set(search_in(recaller).args) == {"query", "k"}
    assert search_in(recaller).args["k"]["maximum"] == 10


def test_it_says_so_where_nothing_fits(recaller):
    message = search_in(recaller).invoke(call(query="Write a haiku about rain"))
    assert (message.content, message.artifact) == (NOTHING, [])
    assert search_in(recaller, max_tokens=5).invoke(call(query=FLIGHT)).content == NOTHING


def test_a_held_out_run_finds_nothing_and_a_withheld_lesson_stays_away(recaller):
    assert search_in(recaller, is_held_out=True).invoke(call(query=FLIGHT)).content == NOTHING
    message = search_in(recaller, floor=-1.0, withheld=frozenset({"L-flights"})).invoke(call(query=FLIGHT, k=1))
    assert [found["id"] for found in message.artifact] == ["L-refunds"]


@pytest.mark.parametrize("args", [{}, {"query": FLIGHT, "k": 0}, {"query": FLIGHT, "k": "many"}, {"query": None}])
def test_arguments_that_cannot_be_meant_are_answered(recaller, args):
    message = search_in(recaller).invoke(call(**args))
    assert message.status == "error"
    assert "`query`, a text" in message.text


async def test_whatever_fails_the_model_gets_a_message(caplog):
    class Failing:
        def recall(self, *_, **__):
            raise OSError("disk")

        arecall = recall

    tool = LessonSearch.model_construct(recaller=Failing(), reach=lambda _: Reach(("default",)))
    message = tool.invoke(call(query=FLIGHT))
    assert (message.content, message.artifact) == ("Lessons cannot be searched now. Go on without them.", [])
    assert (await tool.ainvoke(call(query=FLIGHT))).content == message.content
    assert "OSError: disk" in caplog.text
