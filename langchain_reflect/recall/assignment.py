"""Which runs get lessons, and which lessons they get: chance that can be repeated. Pure.

Lessons prove themselves by comparison with runs that did without, so who goes without must not depend on anything about the run. Draws are
hashes of (namespace, unit, salt), so that a retry or a replay of the same unit agrees with the first try, also in another process.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from langchain_reflect.types import Namespace


def draw(*key: object) -> float:
    """A number in [0, 1), uniform over keys and always the same for one key.

    Args:
        key: Anything that JSON can write; tuples and lists of equal content are equal.
    """
    digest = hashlib.sha256(json.dumps(key, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * (1 - 2**-53)


def arm_of(
    namespace: Namespace, unit: str, *, salt: str = "", holdout: float, placebo: float = 0.0
) -> Literal["treated", "holdout", "placebo"]:
    """The arm of one run.

    Args:
        namespace: Whose lessons are recalled.
        unit: What is assigned as a whole: the run's id, or a thread or user that should always be treated alike.
        salt: Changes the assignment of all units.
        holdout: Probability of getting no lessons, 0 to 1.
        placebo: Probability of getting neutral text, 0 to 1; it takes units of the treated, so that raising it moves nobody else.
    """
    drawn = draw("arm", namespace, unit, salt)
    if drawn < holdout:
        return "holdout"
    return "placebo" if drawn < holdout + placebo else "treated"


def dose_of(namespace: Namespace, unit: str, *, salt: str = "", doses: Mapping[int, float]) -> int:
    """The most lessons that one treated run is shown; independent of its arm and of what is withheld.

    Args:
        namespace: Whose lessons are recalled.
        unit: As for `arm_of`.
        salt: Changes the assignment of all units.
        doses: Probability of each; they sum to 1.
    """
    if len(doses) == 1:
        return next(iter(doses))
    drawn, below = draw("dose", namespace, unit, salt), 0.0
    for dose in sorted(doses):
        below += doses[dose]
        if drawn < below:
            return dose
    return max(doses)  # the sum may be a hair below 1


def is_withheld(namespace: Namespace, unit: str, lesson_id: str, *, salt: str = "", probability: float) -> bool:
    """Whether a treated run goes without one lesson; independent of the arm and of other lessons.

    Args:
        namespace: Whose lessons are recalled.
        unit: As for `arm_of`.
        lesson_id: The lesson.
        salt: Changes the assignment of all units.
        probability: Of being withheld, 0 to 1.
    """
    return draw("withhold", namespace, unit, lesson_id, salt) < probability
