"""An agent with tools of an API whose quirks nobody wrote down: amounts are in cents, customers have a prefix, pages begin at 0.

The API itself says next to nothing (`422 Unprocessable Entity`) or takes what it gets and books the wrong amount. What judges is the end:
the row in the database, the page that was read. Tools are called by a line of JSON, so that models too small for tool calls can play.

    python examples/quirky_api.py [--model small|simulated|provider:name]
"""

import json
import operator
import random
import re
from typing import Annotated, Any

from example_model import ExampleModel, Measured, distinct, run
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import measure_uplift, practice
from langchain_reflect.practising import PracticeTask
from langchain_reflect.verifiers import Verdict

SYSTEM = """You work with a billing system by calling tools. Answer with one line of JSON and nothing else, one of:
{"tool": "create_payment", "customer": "...", "amount": ...}
{"tool": "list_payments", "page": ...}"""


class State(MessagesState):
    """The conversation and what it did to the billing system."""

    rows: Annotated[list[dict[str, Any]], operator.add]  # payments in the database
    pages: Annotated[list[int], operator.add]  # pages that were read


def create_payment(*, customer: Any, amount: Any) -> dict[str, Any]:
    """Book a payment. Quirks: the id begins with cust_; the amount is in cents, and what is after the point is cut off."""
    if not re.fullmatch(r"cust_\d+", str(customer)) or isinstance(amount, str):
        raise ValueError("422 Unprocessable Entity")
    return {"rows": [{"customer": str(customer), "cents": int(amount)}]}


def list_payments(*, page: Any) -> dict[str, Any]:
    """Read a page. Quirk: the first one is 0."""
    return {"pages": [int(page)]}


TOOLS = {"create_payment": create_payment, "list_payments": list_payments}


def use_tool(state: State) -> dict[str, Any]:
    """Run the call that the model wrote; what fails is told in the API's own words."""
    found = re.search(r"\{.*?\}", state["messages"][-1].text, re.DOTALL)
    try:
        call = json.loads(found[0] if found else "")
        return {**TOOLS[call.pop("tool")](**call), "messages": [("user", "200 OK")]}
    except (ValueError, TypeError, KeyError) as error:
        said = str(error) if str(error).startswith("422") else "400 Bad Request"
        return {"messages": [("user", said)]}


def payment(rng: random.Random) -> PracticeTask:
    """Book an amount for a customer."""
    customer, euros, rest = rng.randrange(10, 1000), rng.randrange(2, 90), rng.choice((5, 25, 50, 75, 99))
    text = f"Book a payment of {euros}.{rest:02d} euros by customer {customer}."
    return PracticeTask(text, {"rows": [{"customer": f"cust_{customer}", "cents": euros * 100 + rest}]}, family="payments")


def page(rng: random.Random) -> PracticeTask:
    """Read a page as people count them."""
    number, month = rng.randrange(1, 10), rng.choice(("January", "March", "May", "July", "August", "October"))
    return PracticeTask(f"For the report of {month}: read page {number} of the list of payments.", {"pages": [number - 1]}, family="pages")


CALLS = {
    "payments": lambda end: {"tool": "create_payment", "customer": end["rows"][0]["customer"], "amount": end["rows"][0]["cents"]},
    "pages": lambda end: {"tool": "list_payments", "page": end["pages"][0]},
}
RULES = {
    "payments": "The id of a customer starts with cust_ and then has the number. Amounts are integers in cents without a point.",
    "pages": "Pages are counted from 0, so the page to ask for is one less than the page in the task.",
}


def auditor(family: str) -> Any:
    """A verifier that looks at what is in the billing system in the end, not at what the agent said."""

    def verify(*, inputs: Any, outputs: State, reference_outputs: dict[str, Any]) -> Verdict:
        del inputs
        if {name: outputs.get(name) for name in reference_outputs} == reference_outputs:
            return Verdict(1.0)
        return Verdict(0.0, RULES[family], {"expected": json.dumps(CALLS[family](reference_outputs))})

    return verify


def main(folder: str, model: ExampleModel, seed: int = 0) -> Measured:
    """Practise each tool, then measure."""

    def call(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [model.ask([("system", SYSTEM), *state["messages"]], config)]}

    graph = StateGraph(State).add_sequence([("call", call), ("tool", use_tool)]).add_edge(START, "call").compile(name="billing")
    measured = {}
    with model.learner(folder) as learner:
        agent = learner.wrap(graph, where="human")
        # One run at a time, so that the same prompt gets the same answer.
        same: dict[str, Any] = {"learner": learner, "seed": seed, "concurrency": 1}
        for family, make in (("payments", payment), ("pages", page)):
            tasks = distinct(make, 13, seed)
            print(practice(agent, tasks[:3], auditor(family), rollouts=1, validation=tasks[3:7], **same))
            measured[family] = measure_uplift(agent, tasks[7:], auditor(family), leak="task", **same)
    return measured


if __name__ == "__main__":
    run(main)
