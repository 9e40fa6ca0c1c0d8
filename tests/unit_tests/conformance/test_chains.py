"""Check 109, what is no graph: chains and the classic agent executor keep their interface."""

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool

from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import AGENT_SCRIPT, TellingModel, normal

classic = pytest.importorskip("langchain_classic.agents", reason="langchain-classic is not installed")
GIVEN = {"input": "How is the weather in Rome?", "lessons": ""}
OPTIONS = {"task": lambda i: i["input"], "inject": lambda i, text: {**i, "lessons": text}}


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return f"sunny in {city}"


def executor(model):
    prompt = ChatPromptTemplate.from_messages([("system", "{lessons}"), ("human", "{input}"), ("placeholder", "{agent_scratchpad}")])
    return classic.AgentExecutor(agent=classic.create_tool_calling_agent(model, [weather], prompt), tools=[weather])


async def test_109_an_agent_executor(service, ledger, recorder):
    model = TellingModel(script=AGENT_SCRIPT)
    bare, wrapped = executor(TellingModel(script=AGENT_SCRIPT)), reflected(executor(model), service, **OPTIONS)
    assert wrapped.invoke(GIVEN)["output"] == bare.invoke(GIVEN)["output"] == "sunny it is"
    assert (await wrapped.ainvoke(GIVEN))["output"] == "sunny it is"
    assert ["".join(str(m.content) for m in p).count("<lessons") for p in model.prompts] == [1] * 4
    recorder.flush()
    assert [[s.kind for s in e.steps].count("tool") for e in ledger.episodes()] == [1, 1]


async def test_109_a_chain_of_prompt_model_and_parser(service):
    prompt = ChatPromptTemplate.from_messages([("system", "Be short. {lessons}"), ("human", "{input}")])
    model = TellingModel()
    bare, chain = prompt | TellingModel() | StrOutputParser(), prompt | model | StrOutputParser()
    wrapped = reflected(chain, service, **OPTIONS)
    assert normal(wrapped.get_input_jsonschema()) == normal(bare.get_input_jsonschema())
    assert wrapped.invoke(GIVEN) == bare.invoke(GIVEN)
    assert list(wrapped.stream(GIVEN)) == list(bare.stream(GIVEN))
    assert wrapped.batch([GIVEN, GIVEN]) == bare.batch([GIVEN, GIVEN])
    assert await wrapped.ainvoke(GIVEN) == await bare.ainvoke(GIVEN)
    assert all("<lessons" in str(p) for p in model.prompts)
