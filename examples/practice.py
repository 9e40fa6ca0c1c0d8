"""Practise where code can judge, and measure what the lessons are worth on tasks held out.

Runs offline: the model is simulated, so nothing here says how much a real one gains.
"""

from tempfile import TemporaryDirectory
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner, measure_uplift, practice
from langchain_reflect.charts import learning_curve_text
from langchain_reflect.practising import PracticeTask
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.verifiers import Verdict, answer_text

model = SimulatedModel(slip=0.1)


def call_model(state: MessagesState) -> MessagesState:
    """The only node of the graph."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile(name="catalog")


def task(good: str, number: int) -> PracticeTask:
    """A task with the answer that only the verifier sees."""
    text = f"Give the product code of {good} number {number}. Answer with the code only."
    return PracticeTask(text, reference=f"{good[:3].upper()}-{number:04d}", family="codes")


def house_rule(*, inputs: Any, outputs: Any, reference_outputs: str) -> Verdict:
    """Judges as a reviewer would: says what the rule is."""
    del inputs
    if answer_text(outputs) == reference_outputs:
        return Verdict(1.0)
    return Verdict(0.0, "A code is the first three letters in capitals, a dash, and the number with zeros in front to four digits.")


def main(folder: str) -> None:
    """Practise, then measure."""
    tasks = [task(good, number) for number, good in enumerate(["lamp", "chair", "table", "shelf", "carpet", "mirror"] * 4, 11)]
    with Learner(folder, model=model, reflect="manual") as learner:
        report = practice(graph, tasks[:4], house_rule, learner=learner, rollouts=3, epochs=2, validation=tasks[4:8])
        print(report)
        print("learning curve:", learning_curve_text(report.curve))
        print(measure_uplift(graph, tasks[8:], house_rule, learner=learner))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
