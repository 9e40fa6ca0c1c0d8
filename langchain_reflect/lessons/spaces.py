"""Which embedder the lessons of a ledger are compared by, and how another one takes over.

The new embedder's vectors are put beside those in use, batch by batch, so a second try goes on where the first was killed. Until the last
of them is there nothing else changes; then one transaction makes them count. Other processes notice at their next recall, because the
book gets a new version. The former vectors stay, so that going back embeds nothing; `prune` drops them.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import TypeAdapter

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import EmbedderTag
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.types import Lesson

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Told how many of how many texts are embedded."""

BATCH: Final = 64
"""Texts that are embedded and kept at a time: what a killed process loses."""
_KEY: Final = "embedder_tag"
_TAG: Final = TypeAdapter(EmbedderTag)


def tag_in_use(ledger: Ledger) -> EmbedderTag | None:
    """The embedder that the lessons are compared by; None while none has been used."""
    return _read(ledger, _KEY)


def check_in_use(ledger: Ledger, tag: EmbedderTag) -> None:
    """Refuse vectors of another space than the ledger's; the first embedder that comes is taken.

    Args:
        ledger: Has the lessons.
        tag: Of the embedder that asks.

    Raises:
        EmbedderChanged: The lessons were embedded by another.
    """
    stored = tag_in_use(ledger)
    if stored is None:
        ledger.set_meta(_KEY, _text(tag))
    else:
        tag.check(stored)


def take_over(ledger: Ledger, embedder: Embedder, progress: Progress | None = None) -> None:
    """Make the lessons be compared by this embedder; only texts without a vector by it are embedded. It is calibrated, too.

    Args:
        ledger: Has the lessons and their vectors.
        embedder: Takes over, or stays.
        progress: Called after each batch.
    """
    tag = embedder.tag
    name = _place(ledger, tag)
    if not is_like(tag, tag_in_use(ledger)):
        likeness_of(embedder, ledger)  # now, so that whoever chose it is warned if it is of no use
    while True:
        version = ledger.lessons_version()
        _embed(ledger, embedder, name, [x for x in ledger.lessons() if x.status != "superseded"], progress)
        if is_like(tag, tag_in_use(ledger)):
            return
        if ledger.adopt_vectors(embedder.id, made_as=name, since=version, meta=_said(tag, tag_in_use(ledger))):
            return
        logger.info("lessons changed while they were embedded; the new ones are embedded as well")


def prune(ledger: Ledger) -> int:
    """Drop the vectors of all embedders but the one in use.

    Returns:
        Number of vectors that were dropped.
    """
    tag = tag_in_use(ledger)
    return 0 if tag is None else ledger.drop_vectors(but=tag.id)


def is_like(tag: EmbedderTag, other: EmbedderTag | None) -> bool:
    """Whether two embedders make vectors of one space."""
    try:
        if other is not None:
            tag.check(other)
    except EmbedderChanged:
        return False
    return other is not None


def _place(ledger: Ledger, tag: EmbedderTag) -> str:
    """The name under which the vectors are put: the embedder's own, unless another model under that name is in use."""
    used = tag_in_use(ledger)
    if is_like(tag, used):
        return tag.id
    name = f"{tag.id} (new)" if used is not None and used.id == tag.id else tag.id
    if not is_like(tag, _read(ledger, _key_of(name))):
        ledger.drop_vectors(name)  # of another model that once had this name
        ledger.set_meta(_key_of(name), _text(tag))
    return name


def _said(tag: EmbedderTag, former: EmbedderTag | None) -> dict[str, str]:
    """What the ledger notes when an embedder takes over: also by which model the former vectors were made, as it may come back."""
    kept = {} if former is None else {_key_of(former.id): _text(former)}
    return kept | {_KEY: _text(tag), _key_of(tag.id): _text(tag)}


def _key_of(name: str) -> str:
    return f"vectors_by:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _embed(ledger: Ledger, embedder: Embedder, name: str, lessons: Sequence[Lesson], progress: Progress | None) -> None:
    texts = sorted(ledger.missing_texts(name, lessons), key=len)
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        ledger.put_vectors(name, dict(zip(some, embedder.embed_documents(some), strict=True)))
        if progress is not None:
            progress(start + len(some), len(texts))


def _read(ledger: Ledger, key: str) -> EmbedderTag | None:
    stored = ledger.meta(key)
    return None if stored is None else _TAG.validate_json(stored)


def _text(tag: EmbedderTag) -> str:
    return _TAG.dump_json(tag).decode()
