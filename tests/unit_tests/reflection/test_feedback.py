from uuid import UUID

import pytest

from langchain_reflect.reflection.feedback import advice_of, examples_of, family
from langchain_reflect.types import Example, Outcome

RULE = "Tool names begin with acme_."


def test_feedback_becomes_advice_for_the_family(rollout):
    draft = advice_of([rollout(1, 0.0, RULE), rollout(2, 0.0, RULE, task="Name the tool that lists users"), rollout(3, 1.0)])
    assert draft is not None
    assert (draft.when, draft.do) == ("tasks like: Name the tool that …", RULE)
    assert draft.cites == (UUID(int=1), UUID(int=2))


def test_sentences_about_one_task_are_left_out(rollout):
    draft = advice_of([rollout(1, 0.0, f"{RULE} Expected 'acme_delete_invoices', got 'delete_invoices'.")])
    assert draft is not None
    assert draft.do == RULE


def test_feedback_that_only_tells_the_answer_is_no_advice(rollout):
    assert advice_of([rollout(1, 0.0, "Expected 'acme_delete_invoices'.")]) is None


def test_word_of_a_judge_is_no_advice(rollout):
    assert advice_of([rollout(1, 0.0, RULE, source="judge:gpt")]) is None


def test_advice_is_capped_at_whole_sentences(rollout):
    long = " ".join(f"Rule number {'x' * n} must hold in each case." for n in range(20))
    draft = advice_of([rollout(1, 0.0, long)])
    assert draft is not None
    assert len(draft.do) <= 240
    assert draft.do.endswith(".")


def test_examples_come_from_successes_then_from_judges(rollout):
    right = rollout(1, 1.0, answer="acme_delete_invoices")
    wrong = rollout(2, 0.0, "Expected 'acme_list_users', got 'list'", task="Name the tool that lists users")
    assert examples_of([wrong, right]) == (
        Example(input=right.episode.task, output="acme_delete_invoices"),
        Example(input=wrong.episode.task, output="acme_list_users"),
    )


@pytest.mark.parametrize("feedback", ['should be "42"', "expected: `42`", "Expected 42 but got 41", "The correct answer is '42'"])
def test_expected_answers_are_read_from_feedback(rollout, feedback):
    assert [e.output for e in examples_of([rollout(1, 0.0, feedback)])] == ["42"]


def test_expected_answer_is_read_from_a_verifiers_detail(rollout):
    failed = rollout(1, 0.0)
    outcome = Outcome(episode_id=failed.episode.id, reward=0.0, source="test", detail={"expected": 42})
    assert [e.output for e in examples_of([failed.model_copy(update={"outcomes": (outcome,)})])] == ["42"]


def test_long_texts_make_no_examples(rollout):
    assert examples_of([rollout(1, 1.0, answer="x" * 200), rollout(2, 1.0, task="y" * 200)]) == ()


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (["Count the r in 'strawberry'"], "tasks like: Count the r in …"),
        (["Cancel order #W2417020 of mia_li_3668 by 5 pm"], "tasks like: Cancel order … of … by … pm"),
        (["Sum 3 and 4", "Sum 12 and 9"], "tasks like: Sum … and …"),
        (["Delete the user Ann", "Delete the group Bee now"], "tasks like: Delete the …"),
        (["alpha beta", "gamma delta"], "tasks like: alpha beta"),
    ],
)
def test_family_has_no_names_and_numbers(tasks, words):
    assert family(tasks) == words
