"""Verifiers judge a result; whatever they return is read into one `Verdict`.

A verifier is called as openevals calls its evaluators, `verifier(inputs=..., outputs=..., reference_outputs=...)`, so those can be used as
they are. It may be a coroutine function. The reference is passed only to verifiers that take one.
"""

from langchain_reflect.verifiers.judges import as_judge, judge_by
from langchain_reflect.verifiers.nodes import pytest_node
from langchain_reflect.verifiers.verdicts import ABSTAINED, Verdict, Verifier, ajudge, answer_text, coerce, exact_match, judge

__all__ = [
    "ABSTAINED",
    "Verdict",
    "Verifier",
    "ajudge",
    "answer_text",
    "as_judge",
    "coerce",
    "exact_match",
    "judge",
    "judge_by",
    "pytest_node",
]
