"""What the cosines of an embedder mean: found once per embedder from the built-in lessons, kept in the ledger.

From which cosine on two lessons say the same (`Likeness`), and from which on one may be shown for a task (`Floors`). One batch of texts
tells both. Whoever writes lessons or prepares recall asks, so no recall waits for it: until then recall takes the default floors.
Two processes that calibrate at the same time write the same numbers.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import EmbedderTag
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.floors import MEASURED, UNCALIBRATED, Floors, floors_from
from langchain_reflect.lessons.likeness import UNKNOWN, Likeness, likeness_from
from langchain_reflect.lessons.paraphrases import TRIOS, VERSION

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    tag: EmbedderTag
    """Of the embedder, since another model may come under the same name."""
    likeness: Likeness
    floors: Floors


_KEPT: Final = TypeAdapter(_Kept)


def likeness_of(embedder: Embedder, ledger: Ledger) -> Likeness:
    """The embedder's thresholds, from the ledger if they are known there; else the built-in lessons are embedded, once.

    Args:
        embedder: Makes the vectors.
        ledger: Keeps the thresholds.

    Returns:
        The thresholds. An embedder that cannot tell the built-in lessons apart gets `UNKNOWN`, under which nothing is merged unasked, and
        a warning is logged.

    Raises:
        InvalidInput: The embedder's vectors cannot be used.
    """
    return _known_or_calibrated(embedder, ledger).likeness


def floors_of(embedder: Embedder, ledger: Ledger) -> Floors:
    """The embedder's floors: those that were measured, or those of the ledger; else the built-in lessons are embedded, once.

    Args:
        embedder: Makes the vectors.
        ledger: Keeps the floors.

    Returns:
        The floors; `UNCALIBRATED` for an embedder that cannot tell the built-in lessons apart.

    Raises:
        InvalidInput: The embedder's vectors cannot be used.
    """
    return MEASURED.get(embedder.id) or _known_or_calibrated(embedder, ledger).floors


def known_floors(embedder: Embedder, ledger: Ledger) -> Floors | None:
    """`floors_of` without embedding a lesson: None if the embedder was not calibrated yet."""
    measured = MEASURED.get(embedder.id)
    if measured is not None:
        return measured
    kept = _known(ledger.meta(_key(embedder)), embedder)
    return None if kept is None else kept.floors


def _known_or_calibrated(embedder: Embedder, ledger: Ledger) -> _Kept:
    known = _known(ledger.meta(_key(embedder)), embedder)
    if known is not None:
        return known
    made = _calibrated(embedder)
    ledger.set_meta(_key(embedder), _KEPT.dump_json(made).decode())
    return made


def _known(stored: str | None, embedder: Embedder) -> _Kept | None:
    if stored is None:
        return None
    try:
        kept = _KEPT.validate_json(stored)
        embedder.tag.check(kept.tag)
    except (ValidationError, EmbedderChanged):
        return None
    return kept


def _calibrated(embedder: Embedder) -> _Kept:
    vectors = embedder.embed_documents([text for trio in TRIOS for text in trio]).reshape(len(TRIOS), 3, -1)
    likeness = likeness_from(vectors)
    if likeness is None:
        logger.warning(
            "embedder %r sees no difference between lessons that say the same and lessons that do not, so no lesson is taken for another "
            "without asking; use a model made for sentences, such as the default",
            embedder.id,
        )
        return _Kept(embedder.tag, UNKNOWN, UNCALIBRATED)
    return _Kept(embedder.tag, likeness, floors_from(vectors[:, [0, 2]]))


def _key(embedder: Embedder) -> str:
    return f"calibration:{VERSION}:{hashlib.sha256(embedder.id.encode()).hexdigest()[:32]}"
