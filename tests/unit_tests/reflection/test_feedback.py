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


def test_what_a_judge_told_comes_before_a_success_that_may_have_been_luck(rollout):
    lucky = rollout(1, 1.0, answer="acme_delete_invoices")
    wrong = rollout(2, 0.0, "Expected 'acme_list_users', got 'list'", task="Name the tool that lists users")
    assert examples_of([lucky, wrong]) == (
        Example(input=wrong.episode.task, output="acme_list_users"),
        Example(input=lucky.episode.task, output="acme_delete_invoices"),
    )


def test_where_enough_was_told_no_guess_is_an_example(rollout):
    lucky = rollout(1, 1.0, answer="7", task="Count the e in 'cheese'")
    told = [rollout(n, 0.0, f"Expected '{n}'.", task=f"Count the letters, case {n}") for n in (2, 3)]
    assert [e.output for e in examples_of([lucky, *told])] == ["2", "3"]


def test_of_one_task_the_told_answer_stands_and_not_what_happened_to_pass(rollout):
    passed, told = rollout(1, 1.0, answer="about 7"), rollout(2, 0.0, "Expected '7'.")
    assert passed.episode.task == told.episode.task
    assert [e.output for e in examples_of([passed, told])] == ["7"]


def test_a_success_that_says_what_was_expected_comes_first(rollout):
    told = rollout(1, 0.0, "Expected 'acme_list_users'.", task="Name the tool that lists users")
    right = rollout(2, 1.0, "Expected 'acme_delete_invoices'.", answer="acme_delete_invoices")
    assert [e.output for e in examples_of([told, right])] == ["acme_delete_invoices", "acme_list_users"]


def test_without_a_told_answer_successes_are_the_examples(rollout):
    assert [e.output for e in examples_of([rollout(1, 1.0, answer="acme_delete_invoices"), rollout(2, 0.0)])] == ["acme_delete_invoices"]


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
