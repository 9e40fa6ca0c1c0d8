import pytest

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import EmbedderTag


def test_the_same_embedder_with_rounding_noise_is_accepted():
    EmbedderTag("m", 2, (1.0, 0.01)).check(EmbedderTag("m", 2, (1.0, 0.0)))


@pytest.mark.parametrize(
    "other",
    [
        EmbedderTag("n", 2, (1.0, 0.0)),
        EmbedderTag("m", 3, (1.0, 0.0, 0.0)),
        EmbedderTag("m", 2, (0.9, 0.4)),
        EmbedderTag("m", 2, (0.0, 0.0)),
    ],
    ids=["another name", "another dimension", "other vectors", "no vector"],
)
def test_another_vector_space_is_refused_with_the_way_out(other):
    with pytest.raises(EmbedderChanged, match="reflect reindex"):
        other.check(EmbedderTag("m", 2, (1.0, 0.0)))
