"""What happened, for good: the SQL record of episodes, outcomes, exposures and lessons."""

from langchain_reflect.ledger.ledger import Ledger
from langchain_reflect.ledger.vectors import LessonVectors

__all__ = ["Ledger", "LessonVectors"]
