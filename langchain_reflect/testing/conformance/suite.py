"""All checks that make sense for any graph, for a graph of yours.

```python
from langchain_reflect.testing.conformance import Subject
from langchain_reflect.testing.conformance.suite import DropInTests


class TestMyGraph(DropInTests):
    @pytest.fixture
    def subject(self):
        return Subject("mine", build=lambda model, **compiled: make_graph(model, **compiled), given={"messages": [("user", "hello")]})
```

The graph must do the same each time it gets the same input. `build` may ignore the model it is given; then the checks that read its prompts
are skipped. Async checks need pytest-asyncio.
"""

from langchain_reflect.testing.conformance.identity import IdentityChecks
from langchain_reflect.testing.conformance.lessons import LessonChecks
from langchain_reflect.testing.conformance.persistence import PersistenceChecks
from langchain_reflect.testing.conformance.running import RunChecks


class DropInTests(IdentityChecks, RunChecks, PersistenceChecks, LessonChecks):
    """Derive from it and give it a fixture `subject`."""
