"""House conventions that no model can guess: practise where code can judge, then measure on tasks held out.

python examples/house_conventions.py [--model small|simulated|provider:name]
"""

import random
from typing import Any

from example_model import ExampleModel, Measured, distinct, run
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import measure_uplift, practice
from langchain_reflect.charts import learning_curve_text
from langchain_reflect.practising import PracticeTask
from langchain_reflect.verifiers import Verdict, answer_text

GOODS = ("lamp", "chair", "table", "shelf", "carpet", "mirror", "pillow", "bottle", "kettle", "basket", "candle", "drawer")
VERBS = ("delete", "list", "create", "update", "archive", "export", "refund", "approve", "cancel", "print")
NOUNS = ("customer", "ticket", "shipment", "coupon", "report", "product", "payment")
RULES = {  # known to the verifier only
    "codes": (
        "A product code is the first three letters of the product in capitals, a dash, and the number with zeros in front to four digits."
    ),
    "names": "Tool names at this company start with the prefix acme_, then the verb, then the noun.",
}


def code(rng: random.Random) -> PracticeTask:
    """A product code, for example LAM-0042."""
    good, number = rng.choice(GOODS), rng.randrange(2, 100)
    text = f"Product code: give our product code of {good} number {number}. Answer with the product code only."
    return PracticeTask(text, reference=f"{good[:3].upper()}-{number:04d}", family="codes")


def tool_name(rng: random.Random) -> PracticeTask:
    """A tool's name, for example acme_delete_coupon."""
    verb, noun = rng.choice(VERBS), rng.choice(NOUNS)
    text = f"Tool naming: give the snake_case name of the tool function that can {verb} a {noun}. Answer with the name only."
    return PracticeTask(text, reference=f"acme_{verb}_{noun}", family="names")


def reviewer(family: str) -> Any:
    """A verifier that says what the rule is, as a colleague would who reviews the answer."""

    def judge(*, inputs: Any, outputs: Any, reference_outputs: str) -> Verdict:
        del inputs
        if answer_text(outputs).strip("`\"'. \n") == reference_outputs:
            return Verdict(1.0)
        return Verdict(0.0, RULES[family], {"expected": reference_outputs})

    return judge


def main(folder: str, model: ExampleModel, seed: int = 0) -> Measured:
    """Practise each family, then measure it."""

    def answer(state: MessagesState, config: RunnableConfig) -> MessagesState:
        return {"messages": [model.ask([("system", "You are a precise assistant."), *state["messages"]], config)]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(name="clerk")
    measured = {}
    with model.learner(folder) as learner:
        agent = learner.wrap(graph, where="human")  # beside the question: small models read what is near
        # One run at a time, so that the same prompt gets the same answer.
        same: dict[str, Any] = {"learner": learner, "seed": seed, "concurrency": 1}
        for family, make in (("codes", code), ("names", tool_name)):
            tasks = distinct(make, 13, seed)
            report = practice(agent, tasks[:3], reviewer(family), rollouts=2, validation=tasks[3:7], **same)
            print(f"{report}\nlearning curve: {learning_curve_text(report.curve)}")
            measured[family] = measure_uplift(agent, tasks[7:], reviewer(family), leak="task", **same)
    return measured


if __name__ == "__main__":
    run(main)
