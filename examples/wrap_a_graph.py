"""Wrap a graph, tell it once what was wrong, and see the next run follow the lesson.

Runs offline: the model is simulated, so nothing here says how much a real one gains.
"""

from tempfile import TemporaryDirectory
from uuid import uuid4

from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.testing.simulated import SimulatedModel

model = SimulatedModel(slip=0.0)  # any chat model of yours, for example init_chat_model("openai:gpt-5.5")


def call_model(state: MessagesState) -> MessagesState:
    """The only node of the graph; it knows nothing of lessons."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile(name="assistant")


def main(folder: str) -> None:
    """Run, judge, reflect, run again."""
    ours = {"reflect": "manual", "holdout": 0.0, "withhold": 0.0, "deadline": 30.0}  # the first recall loads the embeddings
    with Learner(folder, model=model, **ours) as learner:
        agent = learner.wrap(graph)

        run_id = uuid4()
        result = agent.invoke({"messages": [("user", "Convert the price $12.50 to the form our API takes.")]}, {"run_id": run_id})
        print("first answer: ", result["messages"][-1].text)

        learner.record_outcome(run_id, reward=0.0, feedback="Amounts are integers in cents without a currency sign or point.")
        print("reflection:   ", learner.reflect())
        for lesson in learner.lessons.list():
            print("lesson:       ", lesson.do)

        result = agent.invoke({"messages": [("user", "Convert the price $7.99 to the form our API takes.")]})
        print("second answer:", result["messages"][-1].text)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
