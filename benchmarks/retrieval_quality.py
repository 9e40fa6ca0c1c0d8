"""Does recall find the lesson that fits, and does it know when none does? Measured on recorded tasks and lessons, without a model.

The texts are other people's and not part of this project: `REFLECT_DATA` names their folder (default `../shared/data`). Tables:

    domains     nDCG@10 of nearness alone, of plain BM25, and of both together, searching the lessons of all domains; difference to
                reciprocal rank fusion
    abstention  how well tasks that some lesson answers are told from those that none does, and what the default floor does
    similar     tasks like a task, by labels of their own data sets; difference to the better of nearness alone and plain BM25
    halves      the difference on random halves of the queries, which tells whether one half would have decided otherwise
    latency     of each step at 1,000 and 10,000 lessons, the embedding excluded

    python benchmarks/retrieval_quality.py [--data DIR] [--vectors DIR]
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sections import DATA, Table, lines

from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.index.exact import first
from langchain_reflect.lessons.floors import MEASURED
from langchain_reflect.recall.fusion import POOL, fit, fused_scores, pool
from langchain_reflect.recall.lexical import K1, B, LexicalIndex, words

Numbers = NDArray[np.floating]
LESSONS = "retrieval/dev/lessons.jsonl.gz"
QUERIES = "retrieval/dev/queries.jsonl.gz"
TASKS = "similar_tasks/dev/tasks.jsonl.gz"
DEPTH = 10
SHOWN = 2
"""Lessons that recall shows by default."""
DRAWS = 2000


@dataclass(frozen=True)
class Scored:
    """Scores of all lessons for all queries, shape `(queries, lessons)`, by name of the search."""

    dense: Numbers
    bm25: Numbers
    rrf: Numbers
    hybrid: Numbers
    fits: Numbers
    """How well the best lessons fit each query, shape `(queries,)`."""

    def searches(self) -> dict[str, Numbers]:
        """Those that rank."""
        return {"dense": self.dense, "BM25": self.bm25, "plain RRF": self.rrf, "hybrid": self.hybrid}


@dataclass(frozen=True)
class Quality:
    """The recorded queries and what was found for them."""

    domains: NDArray[np.str_]
    """Of each query."""
    grades: Numbers
    """Shape `(queries, lessons)`, 0 if a lesson does not fit."""
    scored: Scored

    @property
    def answerable(self) -> NDArray[np.bool_]:
        """Whether some lesson fits."""
        return np.asarray(self.grades.any(axis=1))

    def names(self) -> list[str]:
        """Domains of answerable queries, in the order of the file."""
        return list(dict.fromkeys(self.domains[self.answerable]))

    def by_domain(self, scores: Numbers) -> dict[str, float]:
        """Mean nDCG@10."""
        gains = ndcg(scores, self.grades)
        return {name: float(gains[self.domains == name].mean()) for name in self.names()}

    def auroc(self, values: Numbers) -> float:
        """Chance that an answerable query gets a higher value than one without an answer."""
        high, low = values[self.answerable], values[~self.answerable]
        return float(np.mean((high[:, None] > low) + (high[:, None] == low) / 2))

    def shown(self, floor: float) -> list[NDArray[np.intp]]:
        """The lessons that each query would be shown, best first."""
        order = np.argsort(-self.scored.hybrid, axis=1, kind="stable")[:, :DEPTH]
        near = np.take_along_axis(self.scored.dense, order, axis=1) >= floor
        fits = self.scored.fits >= floor
        return [row[is_near & is_fit][:SHOWN] for row, is_near, is_fit in zip(order, near, fits, strict=True)]


def ndcg(scores: Numbers, grades: Numbers) -> Numbers:
    """nDCG@10 of each query with linear gains; NaN where nothing fits."""
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    ideal = -np.sort(-grades, axis=1)[:, :DEPTH] @ discounts
    return np.divide(np.take_along_axis(grades, order, axis=1) @ discounts, ideal, out=np.full(len(scores), np.nan), where=ideal > 0)


def scored(
    lessons: Sequence[str], queries: Sequence[str], lesson_vectors: Numbers, query_vectors: Numbers, *, itself: bool = False
) -> Scored:
    """Search for each query.

    Args:
        lessons: Texts.
        queries: Texts.
        lesson_vectors: One per lesson, of length 1.
        query_vectors: One per query, of length 1.
        itself: The queries are the lessons, and no query may find itself.
    """
    dense = query_vectors @ lesson_vectors.T
    index = LexicalIndex((str(n), words(text)) for n, text in enumerate(lessons))
    lexical = np.zeros_like(dense)
    for row, query in zip(lexical, queries, strict=True):
        for name, score in index.best(query, len(lessons)):
            row[int(name)] = score
    bm25 = plain_bm25(lessons, queries)
    kept = [np.flatnonzero(np.arange(len(lessons)) != n) if itself else np.arange(len(lessons)) for n in range(len(queries))]
    rrf, hybrid, fits = np.full_like(dense, -1), np.full_like(dense, -1), np.zeros(len(queries))
    for n, at in enumerate(kept):
        known = _only_best(lexical[n, at])
        rrf[n, at] = reciprocal_ranks(dense[n, at], bm25[n, at])
        chosen = pool(first(dense[n, at], POOL), np.flatnonzero(known), len(at))
        hybrid[n, at[chosen]] = fused_scores(dense[n, at[chosen]], known[chosen], lesson_vectors[at[chosen]])
        fits[n] = fit(dense[n, at[chosen]], known[chosen])
    if itself:
        np.fill_diagonal(dense, -1)
        np.fill_diagonal(bm25, -1)
    return Scored(dense, bm25, rrf, hybrid, fits)


def plain_bm25(lessons: Sequence[str], queries: Sequence[str]) -> Numbers:
    """BM25 as `LexicalIndex` has it, but that each word counts in full: what `fused_scores` is compared with.

    Args:
        lessons: Texts.
        queries: Texts.
    """
    said = [Counter(words(text)) for text in lessons]
    lengths = np.array([each.total() for each in said])
    norms = K1 * (1 - B + B * lengths / lengths.mean())
    places: dict[str, list[int]] = {}
    for n, each in enumerate(said):
        for word in each:
            places.setdefault(word, []).append(n)
    scores = np.zeros((len(queries), len(lessons)), np.float32)
    for row, query in zip(scores, queries, strict=True):
        for word in places.keys() & words(query):
            at = places[word]
            times = np.array([said[n][word] for n in at])
            row[at] += math.log(1 + (len(lessons) - len(at) + 0.5) / (len(at) + 0.5)) * times / (times + norms[at])
    return scores


def _only_best(scores: Numbers) -> Numbers:
    """Scores of the lessons that the search hands over; 0 for others."""
    return np.where(scores >= -np.sort(-scores)[min(POOL, len(scores)) - 1], scores, 0)


def vectors_of(embedder: Embedder, texts: Sequence[str], kept: Path | None) -> Numbers:
    """Vectors, from a file if they were kept there."""
    if kept is not None and kept.exists():
        held: Numbers = np.load(kept)
        return held
    made = embedder.embed_documents(list(texts))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, made)
    return made


def measured(data: Path, embedder: Embedder, vectors: Path | None = None) -> Quality:
    """Search the recorded lessons for the recorded queries.

    Args:
        data: Folder of the recorded data.
        embedder: Makes the vectors.
        vectors: Folder that keeps them for the next time; None keeps nothing.
    """
    lessons, queries = list(lines(data / LESSONS)), list(lines(data / QUERIES))
    place = {each["id"]: n for n, each in enumerate(lessons)}
    grades = np.zeros((len(queries), len(lessons)))
    for row, query in zip(grades, queries, strict=True):
        for lesson_id, grade in query["relevant"].items():
            row[place[lesson_id]] = grade
    texts, asked = _texts(lessons), _texts(queries)
    held = (
        vectors_of(embedder, texts, vectors and vectors / "lessons.npy"),
        vectors_of(embedder, asked, vectors and vectors / "queries.npy"),
    )
    return Quality(np.array([query["domain"] for query in queries]), grades, scored(texts, asked, *held))


def domains(quality: Quality) -> Table:
    """nDCG@10 by domain."""
    head = ["nDCG@10", *quality.names(), "macro"]
    rows = []
    for name, scores in quality.scored.searches().items():
        found = quality.by_domain(scores)
        rows.append([name, *(f"{value:.3f}" for value in found.values()), f"{np.mean(list(found.values())):.4f}"])
    difference = gain(quality)
    means = [float(difference[quality.domains == name].mean()) for name in quality.names()]
    low, high = np.quantile(resampled(quality, difference), [0.025, 0.975])
    rows.append(["hybrid - RRF", *(f"{mean:+.3f}" for mean in means), f"{np.mean(means):+.4f}"])
    return Table("domains", head, rows, note=f"95 % bootstrap interval of the macro difference to plain RRF: {low:+.4f} to {high:+.4f}")


def gain(quality: Quality) -> Numbers:
    """nDCG@10 of the hybrid search minus that of reciprocal rank fusion, for each query."""
    return ndcg(quality.scored.hybrid, quality.grades) - ndcg(quality.scored.rrf, quality.grades)


def resampled(quality: Quality, values: Numbers, *, share: float = 1.0, replace: bool = True) -> Numbers:
    """Macro means over queries drawn anew within each domain."""
    random = np.random.default_rng(0)
    groups = [values[quality.domains == name] for name in quality.names()]

    def draw(group: Numbers) -> float:
        return float(random.choice(group, max(1, round(share * len(group))), replace=replace).mean())

    return np.array([np.mean([draw(group) for group in groups]) for _ in range(DRAWS)])


def halves(quality: Quality) -> Table:
    """How the difference varies between random halves."""
    drawn = resampled(quality, gain(quality), share=0.5, replace=False)
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    rows = [[f"{middle:+.4f}", f"{low:+.4f}", f"{high:+.4f}", f"{np.mean(drawn > 0):.3f}"]]
    return Table("halves: hybrid - RRF on a random half", ["median", "2.5 %", "97.5 %", "halves in which it is better"], rows)


def abstention(quality: Quality, floor: float) -> Table:
    """What tells that no lesson fits."""
    best = quality.scored.dense.max(axis=1)
    rows = [["AUROC of the best cosine", f"{quality.auroc(best):.4f}"], ["AUROC of fit", f"{quality.auroc(quality.scored.fits):.4f}"]]
    rows += [[name, f"{value:.3f}"] for name, value in at_floor(quality, floor).items()]
    return Table(f"abstention, floor {floor:.3f}", ["", ""], rows)


def reciprocal_ranks(*scores: Numbers, k: int = 60) -> Numbers:
    """Reciprocal rank fusion, what `fused_scores` is compared with.

    Args:
        scores: One array of numbers per search, higher is better.
        k: How little the first places stand out.

    Source: Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009.
    """
    ranks = (np.argsort(np.argsort(-each, kind="stable"), kind="stable") for each in scores)
    total: Numbers = np.sum([1.0 / (k + 1 + rank) for rank in ranks], axis=0)
    return total


def at_floor(quality: Quality, floor: float) -> Mapping[str, float]:
    """What the floor does: shares of queries."""
    shown, free = quality.shown(floor), quality.shown(-1.0)
    answerable = quality.answerable
    anything = np.array([len(row) > 0 for row in shown])
    right = [np.array([quality.grades[n, row].any() for n, row in enumerate(found)]) for found in (shown, free)]
    best = np.array([free[n][0] in shown[n] for n in range(len(shown))])
    first = np.array([quality.grades[n, row[0]] > 0 for n, row in enumerate(free)])
    return {
        "no lesson fits: nothing shown": float(1 - anything[~answerable].mean()),
        "some lesson fits: something shown": float(anything[answerable].mean()),
        "a right lesson among the first two: one still is": float(right[0][right[1]].mean()),
        "the first lesson is right: it stays": float(best[first].mean()),
        "precision of what is shown": float(
            np.mean([(quality.grades[n, shown[n]] > 0).mean() for n in np.flatnonzero(answerable & anything)])
        ),
    }


def similar(data: Path, embedder: Embedder, vectors: Path | None = None) -> dict[str, dict[str, float]]:
    """nDCG@10 of each search, by set of tasks; a task is like another if they have a label in common."""
    tasks = list(lines(data / TASKS))
    made = vectors_of(embedder, _texts(tasks), vectors and vectors / "tasks.npy")
    found = {}
    for name in dict.fromkeys(each["domain"] for each in tasks):
        at = [n for n, each in enumerate(tasks) if each["domain"] == name]
        labels = [set(tasks[n]["labels"]) for n in at]
        same = np.array([[float(bool(a & b)) for b in labels] for a in labels])
        np.fill_diagonal(same, 0)
        texts = _texts([tasks[n] for n in at])
        searches = scored(texts, texts, made[at], made[at], itself=True).searches()
        found[str(name)] = {search: float(np.nanmean(ndcg(scores, same))) for search, scores in searches.items()}
    return found


def alike(found: Mapping[str, Mapping[str, float]]) -> Table:
    """The table of `similar`."""
    rows = []
    for name, by in found.items():
        better = max(by["dense"], by["BM25"])
        rows.append([name, *(f"{value:.3f}" for value in by.values()), f"{by['hybrid'] - better:+.3f}"])
    return Table("similar tasks, nDCG@10", ["set", "dense", "BM25", "plain RRF", "hybrid", "hybrid - better"], rows)


def latency(data: Path, quality_vectors: Numbers) -> Table:
    """Milliseconds of each step, median."""
    texts = _texts(list(lines(data / LESSONS)))
    queries = _texts(list(lines(data / QUERIES)))[:200]
    rows = [[f"{size:,}", *(f"{1000 * t:.3f}" for t in _timed(texts, queries, quality_vectors, size))] for size in (1_000, 10_000)]
    return Table("latency, ms (median)", ["lessons", "cosines", "BM25", "fusion", "fit", "together", "a change", "BM25 after it"], rows)


def _timed(texts: Sequence[str], queries: Sequence[str], vectors: Numbers, size: int) -> list[float]:
    """Seconds of each step; lessons and their vectors are repeated, with some noise, to make a large book."""
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(texts), size)
    matrix = vectors[chosen] + 0.01 * random.standard_normal((size, vectors.shape[1]))
    matrix = np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
    index = LexicalIndex((str(n), words(texts[at])) for n, at in enumerate(chosen))
    steps = [_steps(index, query, matrix, matrix[n * 7 % size]) for n, query in enumerate(queries)]
    changes, after = [], []
    for n, query in enumerate(queries[:50]):
        start = time.perf_counter()
        index.put(str(n), words(texts[chosen[n]]))
        changes.append(time.perf_counter() - start)
        after.append(_steps(index, query, matrix, matrix[n])[1])
    return [*(float(step) for step in np.median(steps, axis=0)), float(np.median(changes)), float(np.median(after))]


def _steps(index: LexicalIndex, query: str, matrix: Numbers, vector: Numbers) -> tuple[float, ...]:
    """Seconds of cosines, BM25, fusion, fit, and of all."""
    marks = [time.perf_counter()]
    cosines = matrix @ vector
    marks.append(time.perf_counter())
    lexical = np.zeros(len(matrix), np.float32)
    for name, score in index.best(query, POOL):
        lexical[int(name)] = score
    marks.append(time.perf_counter())
    at = pool(first(cosines, POOL), np.flatnonzero(lexical), len(matrix))
    fused_scores(cosines[at], lexical[at], matrix[at])
    marks.append(time.perf_counter())
    fit(cosines[at], lexical[at])
    marks.append(time.perf_counter())
    return (*np.diff(marks), marks[-1] - marks[0])


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(row["text"]) for row in rows]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--vectors", type=Path, help="folder that keeps the vectors for the next time")
    given = parser.parse_args()
    embedder = resolve_embedder(None)
    quality = measured(given.data, embedder, given.vectors)
    lessons = vectors_of(embedder, _texts(list(lines(given.data / LESSONS))), given.vectors and given.vectors / "lessons.npy")
    tables = [domains(quality), halves(quality), abstention(quality, MEASURED[embedder.id].fit)]
    for table in (*tables, alike(similar(given.data, embedder, given.vectors)), latency(given.data, lessons)):
        print(f"\n{table.title}")
        for row in (table.head, *table.rows):
            print("  ".join(f"{cell:>12}" for cell in row))
        if table.note:
            print(table.note)


if __name__ == "__main__":
    main()
