import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.reflection.digest import answer_of, cut, digests, lines_of, tokens, without_lessons
from langchain_reflect.types import Step


def said(text: str, *calls: tuple[str, dict]) -> Step:
    return Step(kind="model", output={"content": text, "tool_calls": [{"name": n, "args": a, "id": None} for n, a in calls]})


def did(name: str, output: str, error: str | None = None, **args) -> Step:
    return Step(kind="tool", name=name, input=args, output=output, error=error)


@pytest.fixture
def episode(rollout):
    def run(*steps: Step, number: int = 1, **given):
        return rollout(number, 0.0, steps=steps, **given).episode

    return run


def test_calls_results_and_errors_are_told(episode):
    steps = (said("I look", ("find", {"id": 7})), did("find", "gone", id=7), did("buy", "", error="ValueError: no", id=8), said("Sorry"))
    (text,) = digests([episode(*steps)], good=[True], budget=500)
    assert text.splitlines() == [
        '1. agent: I look -> find({"id": 7})',
        "2. tool find: gone",
        '3. tool buy({"id": 8}): ERROR ValueError: no',
        "4. agent: Sorry",
    ]


def test_new_messages_of_a_model_call_are_told_but_not_the_task(episode):
    heard = [
        {"role": "system", "content": "rules " * 100},
        {"role": "user", "content": "the task"},
        {"role": "user", "content": "and quick"},
    ]
    lines = lines_of(episode(Step(kind="model", input=heard, output={"content": "yes", "tool_calls": []}), task="the task"))
    assert [line.text[:20] for line in lines] == ["system: rules rules ", "user: and quick", "agent: yes"]


def test_middle_is_left_out_and_counted(episode):
    steps = [said(f"step {n} " + "x" * 80) for n in range(40)]
    (text,) = digests([episode(*steps)], good=[True], budget=300)
    lines = text.splitlines()
    assert lines[0].startswith("1. agent: step 0")
    assert lines[-1].startswith("40. agent: step 39")
    assert "steps left out]" in text
    assert tokens(text) <= 300


def test_errors_stay_where_the_budget_is_small(episode):
    steps = [said(f"step {n} " + "x" * 80) for n in range(40)]
    steps[20] = did("pay", "", error="Declined: no funds")
    (text,) = digests([episode(*steps)], good=[True], budget=200)
    assert "21. tool pay" in text
    assert "Declined: no funds" in text


def test_first_step_that_no_good_try_took_is_marked(episode):
    start = said("", ("find", {"id": 7})), did("find", "found", id=7)
    good = episode(*start, said("", ("ask", {})), said("done"))
    bad = episode(*start, said("", ("delete", {})), said("done"), number=2)
    texts = digests([good, bad], good=[True, False], budget=500)
    assert "no good try" not in texts[0]
    assert texts[1].splitlines()[2] == "3. agent: -> delete() [the first step that no good try took]"


def test_our_own_block_never_reaches_a_reflection(episode):
    block = '<lessons id="x">\n1. When: a\n   Do: reply in French\n</lessons>'
    steps = (
        Step(kind="message", name="user", output=f"{block}\nhello"),
        said(f"My notes say {block}"),
        said('cut off <lessons id="x"> Do: reply'),
    )
    (text,) = digests([episode(*steps)], good=[True], budget=500, quoted=["reply in French, always"])
    assert "Do:" not in text
    assert "hello" in text


def test_a_lesson_quoted_without_its_block_is_left_out(episode):
    (text,) = digests([episode(said("As told, I reply in French, always."))], good=[True], budget=500, quoted=["reply in French, always"])
    assert text == "1. agent: As told, I [a lesson]."


def test_an_episode_without_steps_has_no_digest(episode):
    assert digests([episode()], good=[True], budget=500) == [""]


TEXTS = st.text(max_size=300)
STEPS = st.lists(
    st.builds(said, TEXTS)
    | st.builds(did, st.just("t"), TEXTS, st.none() | TEXTS)
    | st.builds(Step, kind=st.just("message"), output=TEXTS),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(STEPS, st.booleans()), min_size=1, max_size=4), st.integers(20, 600))
def test_budget_is_never_exceeded(episode, given, budget):
    texts = digests([episode(*steps) for steps, _ in given], good=[good for _, good in given], budget=budget)
    assert sum(map(tokens, texts)) <= budget


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ("plain", "plain"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "a"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": {"x": 1}}]}]}, 'f({"x": 1})'),
        ({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}, "a"),
        ({"answer": "only"}, "only"),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
        (None, "last said"),
    ],
)
def test_answer_is_the_last_word_or_the_result(episode, result, answer):
    assert answer_of(episode(said("last said"), result=result)) == answer


def test_cut_keeps_beginning_and_end():
    assert cut("a" * 50 + "b" * 50, 33) == "a" * 19 + " … " + "b" * 11
    assert cut("two\nlines", 50) == "two lines"


def test_without_lessons_leaves_other_text_alone():
    assert without_lessons("five lessons < six") == "five lessons < six"
