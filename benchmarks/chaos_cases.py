"""The cases of `chaos_index.py`: each gets a home of its own with a filled ledger and index, and tells how its queries were answered."""

# ruff: noqa: SLF001 - whoever breaks things has to look inside

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import chromadb  # here, so that no forked child has to load it
import numpy as np
from damaging import KINDS, LIVE, Damage
from langchain_core.embeddings import Embeddings

from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.chroma_collections import collection_name
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import Rows, nearest
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import SERVABLE, LessonEdit, LessonText

logging.getLogger("langchain_reflect").setLevel(logging.ERROR)
HERE = ("default",)
LESSONS = 1100
"""More than Chroma keeps in its log before it writes its graph to files."""
QUERIES = 20
LIMIT = 5
DEADLINE = 0.3
"""Of a recall, by default."""


class Hashed(Embeddings):
    """A made-up model: each text is a point of its own. It counts the texts whose vectors the ledger had from the beginning."""

    model = "hashed"

    def __init__(self) -> None:
        self.embedded = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_query`."""
        self.embedded += sum(text.startswith("case ") for text in texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """A point that depends on nothing but the text."""
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).standard_normal(64).tolist()


@dataclass
class Answers:
    """How the queries of one case were answered."""

    asked: int = 0
    wrong: int = 0
    unseen: int = 0
    slowest: float = 0.0
    embedded: int = 0
    note: str = ""


@dataclass
class Home:
    """A book of lessons in a folder, and what has been found out about it."""

    book: LessonBook
    model: Hashed
    answers: Answers

    def ask(self, count: int = QUERIES) -> None:
        """Queries of which the ledger's vectors tell the right answer."""
        held = self.book.ledger.vectors(self.book.embedder.id, namespace=HERE, statuses=SERVABLE)
        rows = Rows.of((each.lesson_id, each.vectors) for each in held)
        for number in range(count):
            vector = self.book.embedder.embed_query(f"query {number}")
            begun = time.perf_counter()
            found = [lesson.id for lesson, _ in self.book.candidates(vector, HERE, LIMIT)]
            self.answers.slowest = max(self.answers.slowest, time.perf_counter() - begun)
            self.answers.asked += 1
            # A graph search is approximate: the best one must be there, and most of the others.
            right = [hit.lesson_id for hit in nearest(rows, vector, LIMIT)]
            self.answers.wrong += found[:1] != right[:1] or len(set(found) & set(right)) < LIMIT - 1

    def add(self, name: str) -> None:
        """A lesson that must be found by its own vector at the next recall."""
        lesson = self.book.add(when=f"{name} happens", do=f"do as {name} wants")
        self.see(lesson.id, lesson.key_text())

    def see(self, lesson_id: str, text: str) -> None:
        """Look for a lesson by its own text."""
        found = self.book.candidates(self.book.embedder.embed_query(text), HERE, 1)
        self.answers.unseen += not found or found[0][0].id != lesson_id

    def come_back(self, seconds: float = 30.0) -> bool:
        """Wait until the index is used again; a pause after a failure is cut short."""
        follower, deadline = self.book._finder._follower, time.monotonic() + seconds
        while time.monotonic() < deadline:
            follower._next_try = 0.0
            self.ask(1)
            if follower._is_current(self.book.ledger.lessons_version()):
                return True
            time.sleep(0.02)
        return False


@contextmanager
def opened(home: Path, index: ChromaIndex | None = None) -> Iterator[Home]:
    """The book of a home, with the index that lies there or another."""
    model, answers = Hashed(), Answers()
    embedder = resolve_embedder(model)
    with Ledger(home, durability="fast") as ledger:
        book = LessonBook(ledger, index or ChromaIndex(home / "chroma"), embedder)
        _ = embedder.tag
        model.embedded = 0
        yield Home(book, model, answers)
        answers.embedded = model.embedded
        book.close()
        book.index.close()


def make_template(home: Path) -> None:
    """A home with lessons and a filled index, closed."""
    with opened(home) as made:
        texts = [LessonText(when=f"case {n} comes up", do=f"do what case {n} needs") for n in range(LESSONS)]
        done = made.book.commit([LessonEdit(kind="add", text=text) for text in texts], namespace=HERE, actor="maker")
        assert all(each.applied for each in done), done[0]
        made.book.reindex()
        made.ask()
        assert not made.answers.wrong, made.answers


def generation(home: Path) -> Path:
    """The folder that Chroma wrote to."""
    return next((home / "chroma").glob("reflect-index-*"))


def undamaged(home: Path) -> Answers:
    """Nothing is wrong: the folder is opened as it is."""
    before = generation(home)
    with opened(home) as here:
        return _asked(here, "kept" if here.come_back() and generation(home) == before else "NOT KEPT")


def damaged(home: Path, change: Damage) -> Answers:
    """The folder was damaged after it was closed."""
    before = generation(home)
    change(before)
    with opened(home) as here:
        here.ask()
        back = here.come_back()
        return _asked(here, "rebuilt" if back and generation(home) != before else "NOT REBUILT")


def damaged_while_open(home: Path, change: Damage) -> Answers:
    """The folder is damaged under the process that has it open."""
    with opened(home) as here:
        here.come_back()
        change(generation(home))
        here.ask()
        for number in range(3):
            here.add(f"number {number}")
        here.ask()
        return _asked(here, "used again" if here.come_back() else "not used again")


def _asked(here: Home, note: str) -> Answers:
    here.ask()
    here.answers.embedded = here.model.embedded
    here.answers.note = note
    here.add("the newcomer")
    return here.answers


def chroma_alone(home: Path, change: Damage) -> Answers:
    """What a process gets that opens the damaged folder directly."""
    place = generation(home)
    change(place)
    model = Hashed()
    name = collection_name("reflect", resolve_embedder(model).id)
    vectors = np.array(model.embed_documents([f"query {n}" for n in range(QUERIES)]))
    with Ledger(home, durability="fast") as ledger:
        held = ledger.vectors(resolve_embedder(model).id, namespace=HERE, statuses=SERVABLE)
    rows = Rows.of((each.lesson_id, each.vectors) for each in held)
    right = [nearest(rows, v / np.linalg.norm(v), 1)[0].lesson_id for v in vectors]
    try:
        collection = chromadb.PersistentClient(str(place)).get_collection(name, embedding_function=None)
        found = collection.query(query_embeddings=vectors.tolist(), n_results=1, include=[])["ids"]
    except BaseException as error:  # noqa: BLE001 - a panic is no Exception
        return Answers(note=f"{type(error).__name__}: {str(error)[:60]}")
    wrong = sum(not ids or ids[0].partition(":")[2].rpartition("#")[0] != best for ids, best in zip(found, right, strict=True))
    return Answers(note=f"{wrong} of {QUERIES} answers wrong" if wrong else "no visible effect")


DAMAGE: dict[tuple[str, str], Callable[[Path], Answers]] = {
    ("damage", "nothing"): undamaged,
    **{("damage", name): partial(damaged, change=change) for name, change in KINDS.items()},
    **{("live", name): partial(damaged_while_open, change=KINDS[name]) for name in LIVE},
}
NAIVE = {name: partial(chroma_alone, change=change) for name, change in KINDS.items() if name != "garble marker"}
