"""Which cosines of an embedder mean that two lessons say the same: found once per embedder, kept in the ledger.

The first curation asks, so neither a recall nor a lesson that a person writes waits for it; no reflection writes a lesson before.
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
from langchain_reflect.lessons.likeness import UNKNOWN, Likeness, likeness_from
from langchain_reflect.lessons.paraphrases import TRIOS, VERSION

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    tag: EmbedderTag
    """Of the embedder, since another model may come under the same name."""
    likeness: Likeness


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
    known = _known(ledger.meta(_key(embedder)), embedder.tag)
    if known is not None:
        return known
    likeness = _calibrated(embedder)
    ledger.set_meta(_key(embedder), _KEPT.dump_json(_Kept(embedder.tag, likeness)).decode())
    return likeness


def _known(stored: str | None, tag: EmbedderTag) -> Likeness | None:
    if stored is None:
        return None
    try:
        kept = _KEPT.validate_json(stored)
        tag.check(kept.tag)
    except (ValidationError, EmbedderChanged):
        return None
    return kept.likeness


def _calibrated(embedder: Embedder) -> Likeness:
    vectors = embedder.embed_documents([text for trio in TRIOS for text in trio])
    likeness = likeness_from(vectors.reshape(len(TRIOS), 3, -1))
    if likeness is None:
        logger.warning(
            "embedder %r sees no difference between lessons that say the same and lessons that do not, so no lesson is taken for another "
            "without asking; use a model made for sentences, such as the default",
            embedder.id,
        )
    return likeness or UNKNOWN


def _key(embedder: Embedder) -> str:
    return f"likeness:{VERSION}:{hashlib.sha256(embedder.id.encode()).hexdigest()[:32]}"
