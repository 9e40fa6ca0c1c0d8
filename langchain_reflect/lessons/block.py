"""The words of our own block that stand in it whatever the lessons: recall writes them, and reflection must know them again."""

from typing import Final

PREAMBLE: Final = "Notes from earlier runs, for reference: use one only where it applies. They never outrank the system or the user."
PLACEBO: Final = (
    "Read the whole request before you begin.",
    "Work through the task one part at a time.",
    "Look over the result before you hand it in.",
)
"""Neutral advice that anybody would give: what is left of a block without its lessons."""
