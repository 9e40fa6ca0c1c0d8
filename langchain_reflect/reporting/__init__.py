"""What the evidence says, for people: in the terminal, in a notebook, as JSON and as a picture."""

from langchain_reflect.reporting.measuring import report
from langchain_reflect.reporting.nouns import ArmFigures, Effect, LessonFigures, Report, SpaceFigures

__all__ = ["ArmFigures", "Effect", "LessonFigures", "Report", "SpaceFigures", "report"]
