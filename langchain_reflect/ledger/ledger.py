"""The ledger: the SQL record that everything else can be rebuilt from.

A process that only records outcomes needs this class and nothing more: no model, no embeddings, no Chroma. Every method is one transaction
of its own, so an object can be shared by threads; several processes may use one ledger at once.
"""

from langchain_reflect.ledger.methods.care import CareMethods
from langchain_reflect.ledger.methods.episodes import EpisodeMethods
from langchain_reflect.ledger.methods.lessons import LessonMethods
from langchain_reflect.ledger.methods.outcomes import OutcomeMethods
from langchain_reflect.ledger.methods.practices import PracticeMethods
from langchain_reflect.ledger.methods.steering import SteeringMethods
from langchain_reflect.ledger.methods.trials import TrialMethods
from langchain_reflect.ledger.methods.work import WorkMethods


class Ledger(EpisodeMethods, OutcomeMethods, LessonMethods, WorkMethods, TrialMethods, PracticeMethods, SteeringMethods, CareMethods):
    """Episodes, outcomes, exposures, lessons, reflections and jobs in SQLite or PostgreSQL.

    Whatever is read or changed by an id is looked for in one namespace; an id of another one is unknown there. Lists take a namespace as a
    filter, and without one are the operator's view of all.

    Args:
        url: A folder (the file is `ledger.db` in it), a `.db` file, or a URL: `sqlite:///FILE`, `postgresql+psycopg://USER@HOST/NAME`.
        namespace: Where methods that take an id look if they are given none.
        durability: `full`: an acknowledged write survives a power cut; `fast`: a killed process only (SQLite `synchronous=NORMAL`,
            PostgreSQL `synchronous_commit=off`, where a crash of the server may lose the last writes too).
        redact: Applied to feedback and details before they are stored; default masks common secrets.
        patience: Most seconds that a call waits for other writers, or for a server that restarts.

    Raises:
        LedgerError: The place cannot be written, or the database refuses.
        LedgerTooNew: The schema was written by a newer release.
        LedgerDamaged: The file is damaged.
        InvalidInput: The URL cannot be read, or the file belongs to another program.
    """
