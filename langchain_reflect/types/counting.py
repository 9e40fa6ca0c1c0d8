"""Numbers with their nouns, for people. Pure."""


def count(number: int, noun: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def every(number: int, noun: str) -> str:
    """`the only run`, `all 2,000 runs`."""
    return f"the only {noun}" if number == 1 else f"all {count(number, noun)}"
