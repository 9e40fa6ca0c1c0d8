"""Every check that makes sense for any graph, on graphs of every kind."""

import pytest

from langchain_reflect.testing.conformance import SUBJECTS, Subject
from langchain_reflect.testing.conformance.suite import DropInTests


class TestEveryKindOfGraph(DropInTests):
    @pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.name)
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return request.param
