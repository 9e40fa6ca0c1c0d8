"""Thresholds calibrated on the built-in lessons decide about recorded pairs of other people's."""

import gzip
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.calibration import likeness_of

pytestmark = pytest.mark.recorded
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "curation.py"


@pytest.fixture(scope="module")
def curation():
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARK.parent)  # for its siblings
        yield importlib.import_module("curation")


def test_calibrated_thresholds_tell_recorded_items_apart(curation, recorded_data, tmp_path):
    with gzip.open(recorded_data / "curation/dev/item_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    bags = curation.Made(lambda texts: [curation._hashed(re.findall(r"\w+", t.lower()), 4096) for t in texts])
    embedder = Embedder("bags of words", lambda: bags)
    with Ledger(tmp_path) as ledger:
        likeness = likeness_of(embedder, ledger)

    seen = curation.measured(pairs, embedder)
    assert seen.accuracy(likeness.alike) >= 0.96
    assert not np.any((seen.cosines >= likeness.same) & seen.agree & ~seen.same), "nothing is merged that differs"
