import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_reflect import BlockTemplate
from langchain_reflect.errors import InvalidInput
from langchain_reflect.recall.retriever import LessonRetriever


class TestStandard(RetrieversIntegrationTests):
    """LangChain's own contract of a retriever; the fixtures make the recaller that the constructor needs."""

    @pytest.fixture(autouse=True)
    def _with_lessons(self, recaller):
        self.recaller = recaller

    @property
    def retriever_constructor(self):
        return LessonRetriever

    @property
    def retriever_constructor_params(self):
        return {"recaller": self.recaller, "floor": -1.0}

    @property
    def retriever_query_example(self):
        return "Move my flight to Friday"


def test_a_document_says_which_lesson_it_is_and_how_near(recaller):
    (document,) = LessonRetriever(recaller=recaller, k=1).invoke("Move my basic economy flight to Friday")
    assert document.id == "L-flights"
    assert document.page_content.startswith("When: A user wants to change a basic economy flight\n   Do: Say")
    assert document.metadata["status"] == "active"
    assert document.metadata["revision"] == 1
    assert document.metadata["similarity"] > 0.9


GERMAN = BlockTemplate(lesson="Wenn: {when}\nDann: {do}")


async def test_a_document_has_the_form_of_the_template(recaller):
    task = "Move my basic economy flight to Friday"
    retriever = LessonRetriever(recaller=recaller, k=1, block=GERMAN)
    for (document,) in (
        retriever.invoke(task),
        await retriever.ainvoke(task),
        LessonRetriever(recaller=recaller, k=1).invoke(task, block=GERMAN),
    ):
        assert document.page_content.startswith("Wenn: A user wants to change a basic economy flight\n   Dann: Say")


def test_it_abstains_below_the_floor(recaller):
    assert LessonRetriever(recaller=recaller).invoke("Write a haiku about rain") == []


async def test_it_works_in_a_chain(recaller):
    chain = LessonRetriever(recaller=recaller) | (lambda documents: [document.metadata["id"] for document in documents])
    assert (await chain.ainvoke("Move my basic economy flight to Friday"))[0] == "L-flights"


def test_a_bad_override_names_itself(recaller):
    with pytest.raises(InvalidInput, match="k=0"):
        LessonRetriever(recaller=recaller).invoke("x", k=0)
