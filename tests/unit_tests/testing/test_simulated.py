"""The simulated model closes the loop: as an agent, as a reflector and as a curator."""

from langchain_core.messages import HumanMessage, SystemMessage

from langchain_reflect.recall.rendering import render
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.prompts import Prompts, curate_messages
from langchain_reflect.reflection.schemas import CurateAnswer, DraftsAnswer
from langchain_reflect.reflection.structured import ask
from langchain_reflect.runs import SEED_KEY
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import LessonText

QUESTION = "Give the snake_case name of the tool function that can delete an invoice. Answer with the name only."
LESSON = LessonText(when="naming a function", do="Names start with the prefix acme_.")
BLOCK = render([LESSON], ids=["L-1"])
CONTRAST = """<data-1a2b>
TASK: Give the name of the function that can list an order.

R1 (bad, score 0)
answer: list_order
feedback: Names start with the prefix acme_. Expected 'acme_list_order'.

R2 (good, score 1)
answer: acme_list_order
</data-1a2b>

Answer with JSON only: {"lessons": [{"do": "..."}]}"""


def test_lessons_are_found_in_the_system_message_and_beside_the_question():
    model = SimulatedModel(slip=0.0)
    assert model.invoke([HumanMessage(QUESTION)]).text == "delete_invoice"
    assert model.invoke([SystemMessage(BLOCK), HumanMessage(QUESTION)]).text == "acme_delete_invoice"
    assert model.invoke([HumanMessage(f"{BLOCK}\n\n{QUESTION}")]).text == "acme_delete_invoice"


async def test_async_calls_say_the_same():
    assert (await SimulatedModel(slip=0.0).ainvoke([SystemMessage(BLOCK), HumanMessage(QUESTION)])).text == "acme_delete_invoice"


def test_it_slips_at_its_rate_and_repeatably():
    model = SimulatedModel(slip=0.25)
    prompt = [SystemMessage(BLOCK), HumanMessage(QUESTION)]
    answers = [model.invoke(prompt, {"metadata": {SEED_KEY: n}}).text for n in range(300)]
    again = [SimulatedModel(slip=0.25).invoke(prompt, {"metadata": {SEED_KEY: n}}).text for n in range(300)]
    assert answers == again
    assert 0.15 < answers.count("delete_invoice") / 300 < 0.35
    other = [SimulatedModel(slip=0.25, seed=1).invoke(prompt, {"metadata": {SEED_KEY: n}}).text for n in range(300)]
    assert other != answers


def test_as_a_reflector_it_makes_the_feedback_a_rule():
    reply = ask(SimulatedModel(), DraftsAnswer, [HumanMessage(CONTRAST)])
    (draft,) = reply.value.lessons
    assert draft.do == "Names start with the prefix acme_."
    assert draft.cites == ["R1"]
    assert "expected" not in draft.model_dump_json().lower()
    assert reply.usage.tokens_in > 0


def test_without_feedback_it_has_nothing_to_say():
    silent = CONTRAST.replace("feedback: Names start with the prefix acme_. Expected 'acme_list_order'.\n", "")
    assert ask(SimulatedModel(), DraftsAnswer, [HumanMessage(silent)]).value.lessons == []
    assert ask(SimulatedModel(), DraftsAnswer, [HumanMessage('{"lessons"')]).value.lessons == []


def test_as_a_curator_it_merges_what_says_the_same_and_adds_the_rest():
    same = [Neighbour("L-1", LESSON, 0.9, related=True)]
    other = [Neighbour("L-2", LessonText(when="writing a date", do="Write it as YYYY-MM-DD."), 0.8, related=False)]
    model = SimulatedModel()
    assert ask(model, CurateAnswer, curate_messages(Prompts(), LESSON, [*other, *same])).value.ids == ["L-1"]
    assert ask(model, CurateAnswer, curate_messages(Prompts(), LESSON, other)).value.action == "ADD"


def test_it_says_what_it_is():
    assert SimulatedModel()._llm_type == "simulated"
    assert SimulatedModel()._get_ls_params()["ls_model_name"] == "simulated"
