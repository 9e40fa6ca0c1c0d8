"""What a learner does with the evidence about its lessons: promote, retire, ask, pause, and choose doses."""

from langchain_reflect.crediting.learner import Crediting
from langchain_reflect.crediting.pacing import BackgroundCredit
from langchain_reflect.crediting.pausing import Pausing
from langchain_reflect.crediting.running import credit
from langchain_reflect.crediting.terms import CreditReport, Decided, Paused
from langchain_reflect.crediting.utilities import KnownUtilities

__all__ = ["BackgroundCredit", "CreditReport", "Crediting", "Decided", "KnownUtilities", "Paused", "Pausing", "credit"]
