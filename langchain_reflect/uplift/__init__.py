"""Uplift: the same held-out tasks without lessons, with neutral text in their place, and with lessons."""

from langchain_reflect.uplift.measuring import ameasure_uplift, measure_uplift
from langchain_reflect.uplift.power import detectable_effect, tasks_needed
from langchain_reflect.uplift.report import ArmResult, Difference, UpliftReport

__all__ = [
    "ArmResult",
    "Difference",
    "UpliftReport",
    "ameasure_uplift",
    "detectable_effect",
    "measure_uplift",
    "tasks_needed",
]
