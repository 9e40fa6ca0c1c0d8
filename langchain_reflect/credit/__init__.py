"""What lessons are worth: trials of single lessons, uplift of all of them, and what follows from the evidence. Pure numpy, no I/O.

```text
difficulty   how much reward was to be expected of each run
trials       what each wording of each lesson does, by runs in which chance showed it or withheld it
uplift       what all lessons of a namespace and graph do together, by runs with lessons and without
shrunken     what each lesson is probably worth, given all the others
race         which number of lessons is best
```

`betting` has the evidence that all of them rest on, and says why one may look at it at any time.
"""

from langchain_reflect.credit.betting import DECIDED
from langchain_reflect.credit.comparing import Verdict
from langchain_reflect.credit.hardness import difficulty
from langchain_reflect.credit.racing import Race, race
from langchain_reflect.credit.shrinking import shrunken
from langchain_reflect.credit.store import Uplift, uplift
from langchain_reflect.credit.trials import Trial, trials

__all__ = ["DECIDED", "Race", "Trial", "Uplift", "Verdict", "difficulty", "race", "shrunken", "trials", "uplift"]
