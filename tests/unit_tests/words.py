"""A tiny embedder for tests: texts are near if they share words."""

import hashlib

import numpy as np
from langchain_core.embeddings import Embeddings


class Words(Embeddings):
    """Texts are near if they share words; `shift` makes another model under the same name."""

    model = "words"

    def __init__(self, shift=0):
        self.shift = shift
        self.embedded = []

    def embed_documents(self, texts):
        self.embedded += texts
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        vector = np.full(64, 1e-3)
        for word in text.lower().split():
            vector[(int(hashlib.sha256(word.encode()).hexdigest(), 16) + self.shift) % 64] += 1
        return vector.tolist()
