"""A ledger with runs in which chance decided about lessons, and a book of those lessons."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from langchain_reflect import Ledger
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.types import Episode, Exposure, Lesson, LessonEdit, LessonText
from tests.unit_tests.words import Words

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SPACE = ("acme",)
MODEL = "R-00000000000a"


class World:
    """Runs whose reward lessons raise or lower."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.book = LessonBook(ledger, ExactIndex(), resolve_embedder(Words()), namespace=SPACE)
        self.policy = RecallPolicy(holdout=0.2)
        self.count = 0

    def lesson(self, do: str, *, actor: str = MODEL, status: str | None = None, space: Sequence[str] = SPACE) -> Lesson:
        edit = LessonEdit(kind="add", text=LessonText(when=f"asked to {do}", do=do), status=status)
        (done,) = self.book.commit([edit], namespace=tuple(space), actor=actor)
        return self.ledger.lesson(done.lesson_id, namespace=tuple(space))

    def runs(
        self,
        number: int,
        effects: Mapping[str, float],
        *,
        seed: int = 0,
        base: float = 0.5,
        source: str = "verifier",
        judged: bool = True,
        at: datetime | None = None,
        graph: str = "agent",
        rewards: dict[UUID, float] | None = None,
    ) -> list[UUID]:
        """Runs in which all these lessons fitted; returns their ids.

        Args:
            number: How many.
            effects: What each lesson adds to the chance of success where it is shown.
            seed: Of chance.
            base: Chance of success without lessons.
            source: Who judges.
            judged: Whether outcomes are recorded.
            at: When the first began; each later one a second after.
            graph: Whose runs.
            rewards: Gets the reward of each, recorded or not.
        """
        chance, made = random.Random(seed), []
        rewards = {} if rewards is None else rewards
        heads = {lesson.id: lesson for lesson in self.ledger.lessons(ids=list(effects))}
        for _ in range(number):
            self.count += 1
            began = (at or NOON) + timedelta(seconds=self.count)
            holdout, kept = chance.random() < self.policy.holdout, dict.fromkeys(effects, False)
            for lesson_id in effects:
                kept[lesson_id] = chance.random() < 0.75 and not holdout
            arm = "holdout" if holdout else "treated"
            space = next(iter(heads.values())).namespace
            told = {"namespace": space, "task": "a task", "task_key": "k", "arm": arm, "graph": graph, "started_at": began}
            episode = Episode(id=UUID(int=self.count), **told)
            made.append((episode, [self._exposure(episode, heads[i], shown=shown) for i, shown in kept.items()]))
            won = chance.random() < base + sum(effects[i] for i, shown in kept.items() if shown)
            rewards[episode.id] = float(won)
        self.ledger.save_episodes(made)
        for episode, _ in made if judged else ():
            told = {"reward": rewards[episode.id], "source": source, "observed_at": episode.started_at + timedelta(minutes=1)}
            self.ledger.record_outcome(episode.id, **told, namespace=episode.namespace)
        return [episode.id for episode, _ in made]

    def _exposure(self, episode: Episode, lesson: Lesson, *, shown: bool) -> Exposure:
        return Exposure(
            episode_id=episode.id,
            lesson_id=lesson.id,
            revision=lesson.revision,
            shown=shown,
            probability=0.0 if episode.arm == "holdout" else 0.75,
            arm=episode.arm,
            tokens=30,
            unit=str(episode.id),
            policy=self.policy.version,
            dose=2,
        )


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(ledger)


@pytest.fixture
def either_world(either: Ledger) -> World:
    return World(either)
