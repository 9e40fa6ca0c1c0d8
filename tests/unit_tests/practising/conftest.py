"""A learner with a simulated model, for practice."""

import pytest

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.simulated import SimulatedModel
from tests.unit_tests.words import Words


@pytest.fixture
def open_learner(tmp_path):
    opened = []

    def open_(**given):
        usual = {"path": tmp_path, "embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "model": SimulatedModel()}
        learner = Learner(**(usual | {"holdout": 0.0, "withhold": 0.0, "floor": 0.0} | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()
