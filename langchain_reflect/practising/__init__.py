"""Practice: run tasks that code can judge several times, reflect on the tries, and keep what proves itself.

The package is not named after its function, because a module of that name would hide it.
"""

from langchain_reflect.practising.budget import Budget, Prices
from langchain_reflect.practising.flow import apractice, practice
from langchain_reflect.practising.gate import EditTrial, ReplayGate, Trial
from langchain_reflect.practising.reading import practice_report
from langchain_reflect.practising.report import Epoch, PracticeReport, Twins
from langchain_reflect.runs import PracticeTask

__all__ = [
    "Budget",
    "EditTrial",
    "Epoch",
    "PracticeReport",
    "PracticeTask",
    "Prices",
    "ReplayGate",
    "Trial",
    "Twins",
    "apractice",
    "practice",
    "practice_report",
]
