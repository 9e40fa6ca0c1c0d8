"""The collections of a Chroma index: one holds the vectors of one embedder, and says which in its metadata."""

import hashlib
import json
from typing import TYPE_CHECKING, Final

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import EmbedderTag

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

FORMAT: Final = 2
EF_SEARCH: Final = 200
"""Rows that a query looks at in the graph. With Chroma's own 100, about one query in a thousand missed the nearest lesson once rows had
been written again, as several processes do with one server; with 200, none of 2,400 did."""


def attach(client: "ClientAPI", prefix: str, tag: EmbedderTag, *, is_shared: bool) -> "Collection":
    """The collection of an embedder: found and checked, or made.

    Args:
        client: Where it is.
        prefix: Begins the collection's name.
        tag: Of the embedder.
        is_shared: Whether others may use collections of other embedders there; else one that is found is this index's own.

    Raises:
        EmbedderChanged: The collection was filled by another embedder.
    """
    own, present = collection_name(prefix, tag.id), names(client, prefix)
    if own in present:
        collection = client.get_collection(own, embedding_function=None)
        tag.check(_stored_tag(collection))
        return collection
    if not is_shared and present:
        tag.check(_stored_tag(client.get_collection(present[0], embedding_function=None)))
    return client.create_collection(
        own,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_search": EF_SEARCH}},
        metadata=_metadata(tag),
        get_or_create=True,
    )


def drop(client: "ClientAPI", prefix: str, tag: EmbedderTag, *, is_shared: bool) -> None:
    """Delete the collection of an embedder, and those of others unless somebody may still be asking them."""
    for name in names(client, prefix):
        if not is_shared or name == collection_name(prefix, tag.id):
            client.delete_collection(name)


def prune(client: "ClientAPI", prefix: str, tag: EmbedderTag) -> int:
    """Delete the collections of all other embedders; how many there were."""
    others = [name for name in names(client, prefix) if name != collection_name(prefix, tag.id)]
    for name in others:
        client.delete_collection(name)
    return len(others)


def names(client: "ClientAPI", prefix: str) -> list[str]:
    """Names of the collections that begin with a prefix, in order."""
    return sorted(c.name for c in client.list_collections() if c.name.startswith(f"{prefix}-"))


def collection_name(prefix: str, embedder_id: str) -> str:
    """Name of the collection of an embedder."""
    return f"{prefix}-{hashlib.sha256(embedder_id.encode()).hexdigest()[:16]}"


def _metadata(tag: EmbedderTag) -> dict[str, str | int]:
    probe = json.dumps([round(x, 7) for x in tag.probe])
    return {"embedder": tag.id, "dimension": tag.dimension, "probe": probe, "format": FORMAT}


def _stored_tag(collection: "Collection") -> EmbedderTag:
    stored = collection.metadata or {}
    try:
        if stored["format"] == FORMAT:
            return EmbedderTag(str(stored["embedder"]), int(stored["dimension"]), tuple(json.loads(stored["probe"])))
    except (KeyError, ValueError):
        pass
    raise EmbedderChanged(
        f"The Chroma collection {collection.name!r} was written by another release of this package. "
        "Make it anew with `reflect reindex` (learner.lessons.reindex())."
    )
