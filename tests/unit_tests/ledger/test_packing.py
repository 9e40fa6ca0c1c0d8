"""Trajectories of any size are kept within a limit."""

import json
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect import Episode
from langchain_reflect.ledger.packing import BYTE_LIMIT, LEFT_OUT, STEP_LIMIT, pack, unpack
from langchain_reflect.types import Step


def an_episode(steps, result=None):
    return Episode(id=uuid4(), task="t", steps=tuple(steps), result=result)


def kept(episode):
    return Episode.model_validate(episode.model_dump(exclude={"steps", "result"}) | unpack(pack(episode)))


@given(st.lists(st.text(max_size=30), max_size=20), st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=10))
def test_what_fits_comes_back_as_it_was(texts, result):
    episode = an_episode([Step(kind="model", name="m", output=text) for text in texts], result)
    assert kept(episode) == episode


def test_a_hundred_thousand_steps_keep_their_ends_and_say_what_is_missing():
    episode = an_episode([Step(kind="tool", name=str(n)) for n in range(100_000)])
    steps = kept(episode).steps
    assert len(steps) == STEP_LIMIT
    assert (steps[0].name, steps[-1].name) == ("0", "99999")
    (mark,) = [s for s in steps if s.name == LEFT_OUT]
    assert mark.output["steps"] == 100_000 - (STEP_LIMIT - 1)
    assert len(mark.output["sha256"]) == 64


def test_large_steps_are_cut_by_size_and_the_same_run_has_the_same_hash():
    episode = an_episode([Step(kind="tool", name=str(n), output="x" * 100_000) for n in range(100)])
    packed = pack(episode)
    steps = unpack(packed)["steps"]
    assert len(json.dumps(steps)) < BYTE_LIMIT * 1.1
    assert (steps[0]["name"], steps[-1]["name"]) == ("0", "99")
    assert pack(episode.model_copy(update={"id": uuid4()})) == packed


def test_one_step_that_is_too_large_leaves_only_the_mark():
    (step,) = kept(an_episode([Step(kind="tool", output="x" * (BYTE_LIMIT + 1))])).steps
    assert (step.name, step.output["steps"]) == (LEFT_OUT, 1)


def test_a_result_that_is_too_large_is_told_by_its_hash():
    assert "sha256" in kept(an_episode([], "y" * (BYTE_LIMIT + 1))).result
