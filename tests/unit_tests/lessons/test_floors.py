"""Floors of embedders that nobody has measured."""

import numpy as np
import pytest

from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.index.minilm import DEFAULT_ID
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import floors_of, known_floors
from langchain_reflect.lessons.floors import MEASURED, UNCALIBRATED, Floors, floors_from
from langchain_reflect.lessons.paraphrases import TRIOS

HERE = ("default",)


class Bent:
    """MiniLM in other spaces: fewer numbers, or all vectors near to one direction, as in many models."""

    def __init__(self, dimension=384, pull=0.0, *, flat=False):
        self.model, self.dimension, self.pull, self.flat = resolve_embedder(None), dimension, pull, flat
        self.batches = []

    def embed_documents(self, texts):
        self.batches.append(len(texts))
        if self.flat:
            return np.ones((len(texts), 8))
        made = self.model.embed_documents(texts)[:, : self.dimension]
        return made / np.linalg.norm(made, axis=1, keepdims=True) + self.pull / np.sqrt(self.dimension)

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def embedder_of(bent, name="bent"):
    return Embedder(name, lambda: bent)


@pytest.mark.parametrize(
    ("given", "words", "floor"), [(0.0, True, (0.0, "given")), (None, True, (0.2, "calibrated")), (None, False, (0.3, "calibrated"))]
)
def test_the_floor_is_the_users_or_else_the_embedders(given, words, floor):
    assert Floors(fit=0.2, cosine=0.3).in_force(given, words=words) == floor


def test_the_measured_floors_are_what_a_calibration_finds():
    texts = [text for trio in TRIOS for text in (trio.lesson, trio.other)]
    found = floors_from(resolve_embedder(None).embed_documents(texts).reshape(len(TRIOS), 2, -1))
    assert found.fit == pytest.approx(MEASURED[DEFAULT_ID].fit, abs=0.005)
    assert found.cosine == pytest.approx(MEASURED[DEFAULT_ID].cosine, abs=0.01)


@pytest.mark.parametrize("bent", [{"dimension": 64}, {"dimension": 256}, {"pull": 0.7}, {"pull": 1.5}])
def test_floors_lie_between_what_fits_and_what_does_not_in_any_space(bent, ledger):
    embedder = embedder_of(Bent(**bent))
    floors = floors_of(embedder, ledger)
    lesson = embedder.embed_documents(["A user wants to change a basic economy flight\nSay that basic economy cannot be changed."])[0]
    fits, does_not = (float(embedder.embed_query(text) @ lesson) for text in ("Move my basic economy flight", "Write a haiku about rain"))
    assert does_not < floors.fit <= floors.cosine < fits


def test_floors_are_found_when_lessons_are_written_with_one_batch_and_never_by_a_recall(ledger):
    bent = Bent(pull=0.7)
    book = LessonBook(ledger, ExactIndex(), embedder_of(bent))
    assert book.floors is UNCALIBRATED
    book.add(when="naming a tool", do="begin with acme_")
    assert book.floors.source == "calibrated"
    assert max(bent.batches) == 3 * len(TRIOS)
    made = len(bent.batches)
    other = LessonBook(ledger, ExactIndex(), embedder_of(bent))
    assert other.floors == book.floors
    assert len(bent.batches) <= made + 1  # the probe of the other embedder object


def test_the_default_embedder_needs_no_calibration(ledger):
    assert known_floors(resolve_embedder(None), ledger) is MEASURED[DEFAULT_ID]


def test_an_embedder_that_sees_no_difference_keeps_the_default(ledger):
    embedder = embedder_of(Bent(flat=True), "flat")
    assert floors_of(embedder, ledger) == UNCALIBRATED
    assert known_floors(embedder, ledger) == UNCALIBRATED


def test_another_model_of_the_same_name_has_no_floors_yet(ledger):
    floors_of(embedder_of(Bent(pull=0.7)), ledger)
    assert known_floors(embedder_of(Bent(pull=1.5)), ledger) is None
