from uuid import UUID, uuid4

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.rendering import estimate_tokens
from langchain_reflect.types import Lesson

from .conftest import FLIGHTS, LETTERS

HERE = ("default",)
TASK = "Move my basic economy flight to next Friday"
ALWAYS = RecallPolicy(holdout=0.0, withhold=0.0)


def reasons(recalled):
    return {match.lesson.id: match.reason for match in recalled.matches}


def test_the_lesson_that_fits_is_in_the_block_and_the_others_say_why_not(recaller):
    recalled = recaller.recall(TASK, namespace=HERE, policy=ALWAYS)
    assert FLIGHTS.do in recalled.block
    assert recalled.lessons[0].id == "L-flights"
    assert reasons(recalled)["L-letters"] == "below floor"
    assert recalled.note == ""


@pytest.mark.parametrize("task", [None, 5, b"text", ["text"]], ids=str)
def test_a_task_that_is_no_text_is_named(recaller, task):
    with pytest.raises(InvalidInput, match=r"task=.*expected a text"):
        recaller.recall(task, namespace=HERE, policy=ALWAYS)
    with pytest.raises(InvalidInput, match=r"task=.*expected a text"):
        recaller.explain(task, namespace=HERE, policy=ALWAYS)


async def test_async_says_the_same(recaller):
    given = {"namespace": HERE, "policy": RecallPolicy(), "unit": "u", "episode_id": UUID(int=1)}
    assert await recaller.arecall(TASK, **given) == recaller.recall(TASK, **given)


def test_a_source_task_finds_a_lesson_whose_advice_is_far(recaller_of):
    plain = Lesson(id="L-void", when="Rows of the table orders are added up", do="Leave out those whose status is void.")
    sourced = plain.model_copy(update={"tasks": ("What was our revenue in May?",)})
    task = "What was our revenue in March?"
    assert recaller_of(plain).recall(task, namespace=HERE, policy=ALWAYS).note == "below floor"
    assert plain.do in recaller_of(sourced).recall(task, namespace=HERE, policy=ALWAYS).block


def test_an_unrelated_task_gets_nothing(recaller):
    recalled = recaller.recall("Write a haiku about rain", namespace=HERE, policy=ALWAYS)
    assert (recalled.block, recalled.note) == ("", "below floor")
    assert recalled.matches


def test_floor_zero_or_less_never_abstains(recaller):
    assert recaller.recall("Write a haiku about rain", namespace=HERE, policy=RecallPolicy(floor=-1.0)).block


@pytest.mark.parametrize("task", ["", "  \n"])
async def test_an_empty_task_gets_nothing(recaller, task):
    assert recaller.recall(task, namespace=HERE, policy=ALWAYS).note == "no lessons"
    assert (await recaller.arecall(task, namespace=HERE, policy=ALWAYS)).note == "no lessons"


def test_another_namespace_gets_nothing(recaller):
    recalled = recaller.recall(TASK, namespace=("somebody", "else"), policy=ALWAYS)
    assert (recalled.block, recalled.note, recalled.matches) == ("", "no lessons", ())


def test_a_person_who_asks_sees_everything(recaller):
    recalled = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(holdout=1.0, withhold=1.0))
    assert recalled.block
    assert recalled.exposures == ()


def test_a_holdout_run_gets_no_block_but_its_exposures(recaller):
    run = uuid4()
    recalled = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(holdout=1.0), unit=str(run), episode_id=run)
    assert (recalled.block, recalled.arm, recalled.note) == ("", "holdout", "holdout")
    first = recalled.exposures[0]
    assert (first.lesson_id, first.episode_id, first.shown, first.probability, first.arm) == ("L-flights", run, False, 0.0, "holdout")
    assert reasons(recalled)["L-flights"] == "holdout"


def test_a_withheld_lesson_is_not_in_the_block_and_nobody_takes_its_place(recaller):
    policy = RecallPolicy(k=1, floor=-1.0, holdout=0.0, withhold=1.0)
    run = uuid4()
    recalled = recaller.recall(TASK, namespace=HERE, policy=policy, unit="u", episode_id=run)
    assert (recalled.block, recalled.note, recalled.arm) == ("", "withheld", "treated")
    assert [(e.lesson_id, e.shown, e.probability) for e in recalled.exposures] == [("L-flights", False, 0.0)]


def test_every_shown_lesson_has_an_exposure_with_its_probability(recaller):
    units = [str(n) for n in range(40)]
    runs = [recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1.0), unit=unit, episode_id=UUID(int=7)) for unit in units]
    treated = [run for run in runs if run.arm == "treated"]
    assert 0 < len(treated) < 40
    for run in treated:
        assert [e.lesson_id for e in run.exposures if e.shown] == [lesson.id for lesson in run.lessons]
        assert {e.lesson_id: e.probability for e in run.exposures}["L-flights"] == 0.95
    assert any(not e.shown for run in treated for e in run.exposures)


def test_a_retry_of_the_same_unit_gets_the_same(recaller):
    given = {"namespace": HERE, "policy": RecallPolicy(holdout=0.5, withhold=0.5), "unit": "run-1", "episode_id": UUID(int=1)}
    assert recaller.recall(TASK, **given) == recaller.recall(TASK, **given)


def test_the_block_keeps_to_the_budget_and_what_does_not_fit_says_so(recaller):
    for budget in range(0, 300, 10):
        recalled = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(k=3, floor=-1.0, max_tokens=budget))
        assert estimate_tokens(recalled.block) <= budget
        assert all(match.kept or match.reason == "over budget" for match in recalled.matches)
    assert recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(max_tokens=5)).note == "over budget"


def test_a_withheld_lesson_leaves_its_room_to_the_others_ornaments(recaller_of):
    twin = FLIGHTS.model_copy(update={"id": "L-other", "do": "Name the fare class. " * 6, "tasks": (), "examples": ()})
    recaller = recaller_of(FLIGHTS, twin)
    together = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1, max_tokens=175, withhold=0.0)).block
    assert together.count("When:") == 2
    assert "Example" not in together
    alone = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1, max_tokens=175, k=1, withhold=0.0)).block
    assert "Example" in alone


def test_a_counter_that_disagrees_with_itself_never_leaves_a_lesson_both_shown_and_missing(book, minilm):
    recaller = Recaller(book, minilm, count_tokens=lambda text: 10_000 if "L-" in text or len(text) % 2 else 1)
    recalled = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1.0))
    assert recalled.block.count("When:") == len(recalled.lessons)


def test_the_tokens_of_a_lesson_are_counted_once(book, minilm):
    counted = []
    recaller = Recaller(book, minilm, count_tokens=lambda text: counted.append(text) or len(text))
    first, again = (recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1.0, max_tokens=2000)) for _ in range(2))
    assert first == again
    single = [text for text in counted if not text.startswith("<lessons")]
    assert sorted(single) == sorted(set(single))


def test_a_withheld_lesson_tells_the_tokens_that_it_would_have_taken(recaller):
    shown = recaller.recall(TASK, namespace=HERE, policy=RecallPolicy(floor=-1.0, withhold=0.0)).matches[0]
    policy = RecallPolicy(floor=-1.0, holdout=0.0, withhold=1.0)
    withheld = recaller.recall(TASK, namespace=HERE, policy=policy, unit="u", episode_id=uuid4())
    assert (withheld.matches[0].reason, withheld.matches[0].tokens) == ("withheld", shown.tokens)
    assert withheld.exposures[0].tokens == shown.tokens


@pytest.mark.parametrize("kind", ["exact", "chroma"])
def test_a_lesson_that_was_retired_is_not_shown_again(recaller_of, tmp_path, kind):
    index = ChromaIndex(tmp_path / "chroma") if kind == "chroma" else ExactIndex()
    recaller = recaller_of(FLIGHTS, LETTERS, index=index)
    assert recaller.recall(TASK, namespace=HERE, policy=ALWAYS).block
    recaller._book.retire("L-flights")
    assert recaller.recall(TASK, namespace=HERE, policy=ALWAYS).block == ""
    index.close()


def test_recall_goes_on_when_the_chroma_folder_cannot_be_used(recaller_of, tmp_path):
    (tmp_path / "file").write_text("")
    recaller = recaller_of(FLIGHTS, LETTERS, index=ChromaIndex(tmp_path / "file" / "chroma"))
    assert FLIGHTS.do in recaller.recall(TASK, namespace=HERE, policy=ALWAYS).block


def test_reindexing_mends_a_damaged_folder(recaller_of, tmp_path):
    index = ChromaIndex(tmp_path / "chroma")
    recaller = recaller_of(FLIGHTS, LETTERS, index=index)
    recaller.recall(TASK, namespace=HERE, policy=ALWAYS)
    index.close()
    next((tmp_path / "chroma").rglob("chroma.sqlite3")).write_bytes(b"damaged" * 1000)
    assert recaller._book.reindex() == 2
    assert index.count() == 3
    index.close()
