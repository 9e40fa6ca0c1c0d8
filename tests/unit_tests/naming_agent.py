"""What tests of practice and uplift stand on: an agent with a simulated model, tasks under a house rule, and their verifier."""

from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.runs import PracticeTask
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.verifiers import Verdict, answer_text

RULE = "Tool names start with the prefix acme_, then the verb, then the noun."
VERBS = ("list", "create", "update", "archive", "export", "approve", "cancel", "print")


def naming(verb, noun="invoice", **more):
    text = f"Give the snake_case name of the tool function that can {verb} an {noun}. Answer with the name only."
    return PracticeTask(text, f"acme_{verb}_{noun}", **more)


def house_rule(*, inputs, outputs, reference_outputs):
    right = answer_text(outputs) == reference_outputs
    return Verdict(1.0) if right else Verdict(0.0, f"{RULE} Expected '{reference_outputs}'.")


def agent(model=None):
    model = model or SimulatedModel(slip=0.0)

    def name(state: MessagesState):
        return {"messages": [model.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("name", name).add_edge(START, "name").compile(name="namer")


def async_agent(model=None):
    model = model or SimulatedModel(slip=0.0)

    async def name(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("name", name).add_edge(START, "name").compile(name="namer")
