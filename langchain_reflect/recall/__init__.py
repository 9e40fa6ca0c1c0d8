"""Lessons come back: a task becomes ranked lessons and a block for the prompt."""
