"""Every error that langchain-reflect raises.

```text
ReflectError
├── InvalidInput (ValueError)            a value that cannot be meant
│   └── TaskNotFound                     a graph input in which no task can be found
├── NotFound (LookupError)               an id that the ledger does not know (in this namespace)
│   ├── EpisodeNotFound
│   │   └── EpisodeErased                it was there, and was erased on request
│   ├── LessonNotFound
│   ├── ReviewNotFound
│   └── ReflectionNotFound
├── OutcomeConflict (ValueError)         the same (episode, source, key) was reported with another content
├── LedgerError (RuntimeError)           the SQL record cannot be opened, read or written
│   ├── LedgerTooNew                     its schema was written by a newer release
│   ├── LedgerDamaged                    its file is damaged
│   ├── RevisionConflict                 somebody else changed the same lesson meanwhile
│   ├── BookChanged                      somebody else changed the lessons that new ones were compared with
│   └── ClaimLost                        somebody else took over the reflection meanwhile
├── IndexUnavailable (RuntimeError)      the vector index cannot be used now (down, owned by another process)
├── EmbedderChanged (ValueError)         the embedder does not reproduce the vectors the index was built with
├── ReflectionFailed (RuntimeError)      the model's replies cannot be used
├── ModelMissing (ValueError)            a step that needs a model was asked for without one
└── MissingExtra (ImportError)           an optional dependency is not installed
```

One `except ReflectError` catches them all, and each is also the builtin that a reader expects. Messages name the value with
`repr`, say what was expected, and show the way out. Inside the user's agent run nothing is raised: the run goes on without
lessons and a warning is logged.
"""


def shown(value: object, most: int = 80) -> str:
    """The value's `repr`, cut, for a message about it: whatever the value is, this returns."""
    try:
        return repr(value)[:most]
    except Exception:  # noqa: BLE001 - an int of thousands of digits, lists nested too deeply, a class whose own `repr` fails
        return f"<{type(value).__name__} object>"


class ReflectError(Exception):
    """Base of all errors raised by langchain-reflect."""


class InvalidInput(ReflectError, ValueError):
    """A value is out of range, of the wrong shape, or contradicts another."""


class TaskNotFound(InvalidInput):
    """No task text can be read from a graph's input and no `task=` was given."""


class NotFound(ReflectError, LookupError):
    """An id is unknown in the ledger, or belongs to another namespace (the two look the same on purpose)."""


class EpisodeNotFound(NotFound):
    """No such episode."""


class EpisodeErased(EpisodeNotFound):
    """The episode (or what this source said of it) was erased on request; what comes in again stays out."""


class LessonNotFound(NotFound):
    """No such lesson."""


class ReviewNotFound(NotFound):
    """No such review."""


class ReflectionNotFound(NotFound):
    """No such reflection or consolidation."""


class OutcomeConflict(ReflectError, ValueError):
    """An outcome with the same (episode, source, key) and another content exists, and `strict=True` was asked for."""


class LedgerError(ReflectError, RuntimeError):
    """The ledger cannot be opened, read or written."""


class LedgerTooNew(LedgerError):
    """The ledger's schema was written by a newer release of this package; the file is left untouched."""


class LedgerDamaged(LedgerError):
    """The ledger's file is damaged, or is no database."""


class RevisionConflict(LedgerError):
    """Another process changed the same lesson between reading and writing it; nothing was written."""


class BookChanged(LedgerError):
    """Lessons of the namespace changed since those that are to be written were compared with them; nothing was written."""


class ClaimLost(LedgerError):
    """A reflection took longer than its lease and another worker has taken its group over; nothing was written."""


class IndexUnavailable(ReflectError, RuntimeError):
    """The vector index cannot be used now. Recall then answers from the ledger's own vectors."""


class EmbedderChanged(ReflectError, ValueError):
    """The embedder in use does not reproduce the vectors that the index was built with."""


class ReflectionFailed(ReflectError, RuntimeError):
    """A reflection could not be finished; nothing was changed."""


class ModelMissing(ReflectError, ValueError):
    """A step needs a chat model and none was given."""


class MissingExtra(ReflectError, ImportError):
    """An optional dependency is not installed; the message has the command."""
