"""Counting letters: the lesson that started it all is "write the letters with commas between them, then count one by one".

Three teachers, the same words. One only says how many it should have been; one states that trick; one knows this agent and tells it to let
Python count. A lesson is text in a prompt: it can move work to where it can be done, but it cannot make a model spell that does not spell.

    python examples/letter_counting.py [--model small|simulated|provider:name]
"""

import random
import re
from collections.abc import Iterable
from typing import Any

from example_model import ExampleModel, Measured, run
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import measure_uplift, practice
from langchain_reflect.practising import PracticeTask
from langchain_reflect.verifiers import Verdict, answer_text

SYSTEM = "You are a precise assistant. If your answer is one line of Python, it is run, and what it prints becomes your answer."
WORDS = (  # so many times in each word: once, twice, three or four times
    "puzzle u, lantern t, volcano c, summary r, kitten k, garden d, planet p, monkey y",
    "committee m, address d, barrel r, coffee f, grammar m, raccoon c, vacuum u, letter t",
    "strawberry r, banana a, parallel l, pepper p, tomorrow o, bookkeeper e, cheese e, lollipop l",
    "assessment s, mississippi s, referee e, successful s, tennessee e, possessive s, assassin s, sleeplessness e",
)
LONG = ("sleeplessness s", "possessiveness s", "senselessness s", "indivisibility i", "defenselessness e")  # five or six times
PRINT = re.compile(r"print\(\s*([\"'])(\w+)\1\.count\(\s*([\"'])(\w)\3\s*\)\s*\)")


def trick(word: str, letter: str) -> Verdict:
    """A person who knows how people do it."""
    spelled = f"{', '.join(word)}: the letter {letter} occurs {word.count(letter)} times."
    return Verdict(0.0, "Write the letters of the word with commas between them, then count one by one.", {"expected": spelled})


def python(word: str, letter: str) -> Verdict:
    """A person who knows what this agent has."""
    rule = (
        "Do not count yourself: answer with one line of Python, which is print of the word in quotes and its method count with the letter."
    )
    return Verdict(0.0, rule, {"expected": f'print("{word}".count("{letter}"))'})


def number(word: str, letter: str) -> Verdict:
    """Only the right number."""
    return Verdict(0.0, f"expected {word.count(letter)}, got another number")


TEACHERS = {"only the right number": number, "the trick": trick, "let Python count": python}


def judge(teacher: Any) -> Any:
    """A verifier: the last number in the answer counts, and what else there is to say the teacher says."""

    def verify(*, inputs: Any, outputs: Any, reference_outputs: tuple[str, str]) -> Verdict:
        del inputs
        word, letter = reference_outputs
        said = re.findall(r"\d+", answer_text(outputs))
        return Verdict(1.0) if said and int(said[-1]) == word.count(letter) else teacher(word, letter)

    return verify


def tasks_of(words: Iterable[str], seed: int) -> list[PracticeTask]:
    """A task for each word, in the order of the seed."""
    pairs = [tuple(word.split()) for word in words]
    random.Random(seed).shuffle(pairs)  # noqa: S311 - an order to repeat, no secret
    return [PracticeTask(f"How many times does the letter {x} occur in the word {word}?", (word, x), family="letters") for word, x in pairs]


def main(folder: str, model: ExampleModel, seed: int = 0) -> Measured:
    """Each teacher has a learner of its own."""

    def answer(state: MessagesState, config: RunnableConfig) -> MessagesState:
        return {"messages": [model.ask([("system", SYSTEM), *state["messages"]], config)]}

    def run_python(state: MessagesState) -> MessagesState:
        """The whole of the Python that this agent may run."""
        found = PRINT.search(state["messages"][-1].text)
        return {"messages": [AIMessage(str(found[2].count(found[4])))] if found else []}

    graph = (
        StateGraph(MessagesState)
        .add_sequence([("answer", answer), ("python", run_python)])
        .add_edge(START, "answer")
        .compile(name="counter")
    )
    practised = tasks_of(LONG, seed)[:3]  # no guess is right by luck there: what was right would be shown as an example, and teach guessing
    others = tasks_of([word for line in WORDS for word in line.split(", ")], seed)
    measured = {}
    for name, teacher in TEACHERS.items():
        with model.learner(f"{folder}/{name}") as learner:
            agent = learner.wrap(graph, where="human")
            # One run at a time, so that the same prompt gets the same answer.
            same: dict[str, Any] = {"learner": learner, "seed": seed, "concurrency": 1}
            print(practice(agent, practised, judge(teacher), rollouts=1, validation=others[:6], **same))
            measured[name] = measure_uplift(agent, others[6:14], judge(teacher), leak="task", **same)
    return measured


if __name__ == "__main__":
    run(main)
