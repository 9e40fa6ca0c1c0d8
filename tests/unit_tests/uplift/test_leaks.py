"""A lesson that has seen a held-out task is found by the task's key, its text, its examples, or its group."""

from uuid import uuid4

import numpy as np
import pytest

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.runs import PracticeTask
from langchain_reflect.types import Episode, Example
from langchain_reflect.uplift.leaks import Source, leaking, plain, sources_of
from tests.unit_tests.words import Words


def never(_):
    raise AssertionError("nothing needs to be embedded")


def seen(source, task, leak="task", embed=never, similar=0.9):
    return leaking({"L-1": [source]}, [task], leak=leak, similar=similar, embed=embed)


def vectors(**by_text):
    def embed(texts):
        return np.array([by_text[text] for text in texts], dtype=np.float32)

    return embed


@pytest.mark.parametrize("text", ["Pay the bill", "  pay THE\n bill.", "Pay: the - bill!"])
def test_a_task_is_known_by_its_text_but_for_case_space_and_punctuation(text):
    assert seen(Source(text), PracticeTask("Pay the bill")) == {"L-1": "Pay the bill"}


def test_another_word_or_number_is_another_task():
    assert seen(Source("Pay bill 17"), PracticeTask("Pay bill 18")) == {}
    assert seen(Source("Pay the bill"), PracticeTask("Pay no bill")) == {}


def test_texts_of_punctuation_alone_are_told_apart():
    assert plain("+") != plain("-")


def test_a_task_is_known_by_its_key_whatever_its_text():
    assert seen(Source("other words", key="bill"), PracticeTask("Pay the bill", key="bill")) == {"L-1": "Pay the bill"}
    assert seen(Source("other words", key=None), PracticeTask("Pay the bill")) == {}


def test_a_family_is_no_task_but_it_is_a_group():
    practised, held_out = Source("Pay bill 17", key="bills"), PracticeTask("Pay bill 18", family="bills")
    assert seen(practised, held_out) == {}
    near = vectors(**{"Pay bill 17": [1, 0], "Pay bill 18": [0, 1]})
    assert seen(practised, held_out, leak="group", embed=near) == {"L-1": "Pay bill 18"}


def test_paraphrases_are_one_group_from_the_likeness_on_that_reflection_groups_by():
    near = vectors(**{"Settle it": [0.8, 0.6], "Pay the bill": [1.0, 0.0]})
    assert seen(Source("Settle it"), PracticeTask("Pay the bill"), leak="group", embed=near, similar=0.8) == {"L-1": "Pay the bill"}
    assert seen(Source("Settle it"), PracticeTask("Pay the bill"), leak="group", embed=near, similar=0.81) == {}
    assert seen(Source("Settle it"), PracticeTask("Pay the bill")) == {}


@pytest.fixture
def learner(tmp_path):
    with Learner(tmp_path, embeddings=Words(), index=ExactIndex(), reflect="manual") as opened:
        yield opened


def test_sources_are_the_tasks_of_all_evidence_and_the_examples(learner):
    judged, unjudged, gone = uuid4(), uuid4(), uuid4()
    learner.ledger.save_episode(Episode(id=judged, task="judged", task_key="k"))
    learner.ledger.save_episode(Episode(id=unjudged, task="unjudged"))
    learner.ledger.record_outcome(judged, reward=0.0)
    added = learner.lessons.add(when="asked", do="answer", examples=(Example(input="example", output="x"),))
    lesson = added.model_copy(update={"evidence": (judged, unjudged, gone), "tasks": ("kept text",)})
    found = sources_of(learner.ledger, [lesson])[lesson.id]
    assert found == [Source("kept text"), Source("example"), Source("judged", "k"), Source("unjudged")]


def test_a_lesson_of_another_namespace_has_its_own_evidence(learner):
    at = uuid4()
    learner.ledger.save_episode(Episode(id=at, task="theirs", namespace=("b",)))
    added = learner.lessons.add(when="asked", do="answer")
    assert sources_of(learner.ledger, [added.model_copy(update={"evidence": (at,)})])[added.id] == []
    theirs = added.model_copy(update={"evidence": (at,), "namespace": ("b",)})
    assert sources_of(learner.ledger, [theirs])[added.id] == [Source("theirs")]
