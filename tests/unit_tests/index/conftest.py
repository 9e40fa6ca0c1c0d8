import numpy as np
import pytest

from langchain_reflect.index.base import EmbedderTag, IndexEntry
from langchain_reflect.index.embeddings import resolve_embedder

DIMENSION = 8


def unit(*numbers):
    vector = np.zeros(DIMENSION, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def entry(lesson_id, *vectors, namespace=("default",), revision=1):
    return IndexEntry(lesson_id, revision, namespace, np.stack(vectors))


def tag_of(embedder_id="fake", dimension=DIMENSION, first=1.0):
    return EmbedderTag(embedder_id, dimension, (first, 1.0, *[0.0] * (dimension - 2)))


@pytest.fixture
def tag():
    return tag_of()


@pytest.fixture(scope="session")
def minilm():
    return resolve_embedder(None)
