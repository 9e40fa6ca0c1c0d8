"""Lessons for an agent made by `create_agent`: one line of middleware.

Runs offline: the model is simulated, so nothing here says how much a real one gains.
"""

from tempfile import TemporaryDirectory

from langchain.agents import create_agent

from langchain_reflect import Learner, collect_episodes
from langchain_reflect.testing.simulated import SimulatedModel

QUESTION = "Give the snake_case name of the tool function that can {} an invoice. Answer with the name only."


def main(folder: str) -> None:
    """Ask, correct, reflect, ask about another case."""
    model = SimulatedModel(slip=0.0)
    ours = {"reflect": "manual", "holdout": 0.0, "withhold": 0.0, "deadline": 30.0}  # the first recall loads the embeddings
    with Learner(folder, model=model, **ours) as learner:
        agent = create_agent(model, tools=[], system_prompt="You name things.", middleware=[learner.middleware()])

        with collect_episodes() as episodes:
            result = agent.invoke({"messages": [("user", QUESTION.format("cancel"))]})
        print("first answer: ", result["messages"][-1].text)

        learner.record_outcome(episodes[0].id, reward=0.0, feedback="Tool names start with the prefix acme_, then the verb, then the noun.")
        print("reflection:   ", learner.reflect())

        result = agent.invoke({"messages": [("user", QUESTION.format("approve"))]})
        print("second answer:", result["messages"][-1].text)
        print("messages:     ", [m.type for m in result["messages"]], "- lessons never enter the thread")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(folder)
