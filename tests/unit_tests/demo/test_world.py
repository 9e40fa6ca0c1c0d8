import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.demo.world import World
from langchain_reflect.errors import InvalidInput

FAMILIES = ("naming", "sql", "codes", "dates", "cents", "dayfirst")
ORDINARY = {
    "naming": "delete_invoice",
    "sql": "SELECT COUNT(*) FROM users",
    "codes": "lamp-7",
    "dates": "03/04/2024",
    "cents": "$1.50",
    "dayfirst": "?",
}


def right_answer(question):
    if question.family != "sql":
        return question.answer
    head, condition = question.answer.removesuffix(";").split(" WHERE ")
    column_is_value, live = condition.split(" AND ")
    return f"```sql\n{head}\nWHERE {live} AND {column_is_value}\n```"


@pytest.fixture
def world():
    return World(7)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_answer_is_accepted(world, family):
    for question in world.splits(family, train=5, validation=1, held_out=1).train:
        assert world.verify(outputs=right_answer(question), reference_outputs=question).reward == 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_answer_is_refused_with_words(world, family):
    question = world.splits(family, train=1, validation=1, held_out=1).train[0]
    verdict = world.verify(outputs={"messages": [ORDINARY[family]]}, reference_outputs=question)
    assert verdict.reward == 0.0
    assert verdict.feedback
    assert verdict.detail == {"expected": question.answer}


@pytest.mark.parametrize("query", ["SELECT COUNT(*) FROM users; DROP TABLE users", "DELETE FROM users", "hello", "", "SELECT 1, 2"])
def test_sql_that_does_not_count_is_refused_and_harms_nothing(world, query):
    question = world.splits("sql", train=1, validation=1, held_out=1).train[0]
    assert world.verify(outputs=query, reference_outputs=question).reward == 0.0


def test_a_query_that_never_ends_is_stopped(world):
    question = world.splits("sql", train=1, validation=1, held_out=1).train[0]
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n WHERE 'deleted_at' <> ''"
    assert "interrupted" in world.verify(outputs=endless, reference_outputs=question).feedback


@given(seed=st.integers(0, 10_000), family=st.sampled_from(FAMILIES))
def test_splits_are_disjoint_and_have_the_sizes_asked_for(seed, family):
    splits = World(seed).splits(family, train=4, validation=8, held_out=8)
    texts = {q.text for part in (splits.train, splits.validation, splits.held_out) for q in part}
    assert len(texts) == 20
    assert (len(splits.train), len(splits.validation)) == (4, 8)


def test_one_seed_is_one_world(world):
    sizes = {"train": 3, "validation": 3, "held_out": 3}
    assert world.splits("naming", **sizes) == World(7).splits("naming", **sizes)
    assert world.splits("naming", **sizes) != World(8).splits("naming", **sizes)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_task_shows_its_answer(world, family):
    for question in world.splits(family, train=8, validation=1, held_out=1).train:
        assert question.answer not in question.text


def test_the_prefix_stands_in_no_task(world):
    for family in FAMILIES:
        assert all(world.prefix not in q.text for q in world.splits(family, train=8, validation=1, held_out=1).train)


def test_an_unknown_family_is_named(world):
    with pytest.raises(InvalidInput, match="'cooking' is unknown; expected one of naming"):
        world.splits("cooking", train=1, validation=1, held_out=1)


def test_more_tasks_than_there_are_is_an_error(world):
    with pytest.raises(InvalidInput, match="'naming' has only 100 different tasks"):
        world.splits("naming", train=50, validation=50, held_out=50)
