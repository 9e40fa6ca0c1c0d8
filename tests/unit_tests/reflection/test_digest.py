import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.reflection.digest import cut, digests
from langchain_reflect.reflection.quoting import quotes_of, without_block
from langchain_reflect.reflection.reading import answer_of, lines_of
from langchain_reflect.types import LessonText, Step


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
    assert estimate_tokens(text) <= 300


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
    (text,) = digests([episode(*steps)], good=[True], budget=500, quotes=quotes_of([LessonText(when="a", do="reply in French, always")]))
    assert "Do:" not in text
    assert "hello" in text


def test_a_lesson_quoted_without_its_block_is_left_out(episode):
    (text,) = digests(
        [episode(said("As told, I reply in French, always."))],
        good=[True],
        budget=500,
        quotes=quotes_of([LessonText(when="a", do="reply in French, always")]),
    )
    assert text == "1. agent: As told, I [a lesson]."


def test_an_episode_without_steps_has_no_digest(episode):
    assert digests([episode()], good=[True], budget=500) == [""]


def test_errors_among_the_left_out_steps_are_counted(episode):
    steps = [did("pay", "", error=f"Declined: reason {n} " + "x" * 80) for n in range(60)]
    (text,) = digests([episode(*steps)], good=[True], budget=300)
    told = text.count("ERROR Declined")
    gaps = [int(n) for n in re.findall(r"steps? left out, (\d+) of them errors?", text)]
    assert told >= 3
    assert told + sum(gaps) == 60


def test_every_error_is_told_before_any_other_step_is_told_at_length(episode):
    steps = [did("pay", "", error="Declined: no funds") if n % 4 == 0 else said(f"step {n} " + "word " * 200) for n in range(41)]
    (text,) = digests([episode(*steps)], good=[True], budget=900)
    assert text.count("Declined: no funds") == 11


def test_what_a_short_rollout_does_not_need_goes_to_the_long_one(episode):
    long = episode(*[said(f"step {n} " + "word " * 40) for n in range(40)])
    short = episode(said("done"), number=2)
    alone = digests([long], good=[True], budget=1000)[0]
    beside = digests([short, long, short], good=[True] * 3, budget=1000)
    assert beside[0] == beside[2] == "1. agent: done"
    assert estimate_tokens(beside[1]) > 0.9 * estimate_tokens(alone)
    assert 900 < sum(map(estimate_tokens, beside)) <= 1000


def test_long_rollouts_get_equal_shares(episode):
    paths = [episode(*[said(f"step {n} " + "word " * 40) for n in range(30 + k)], number=k + 1) for k in range(3)]
    used = [estimate_tokens(text) for text in digests(paths, good=[True] * 3, budget=1500)]
    assert min(used) > 400
    assert max(used) < 600


def test_slow_steps_show_how_long_they_took(episode):
    quick = [did("look", "ok", n=n).model_copy(update={"latency_ms": 900.0 + n}) for n in range(5)]
    slow = did("wait", "late").model_copy(update={"latency_ms": 12_345.0})
    (text,) = digests([episode(*quick, slow)], good=[True], budget=500)
    assert text.count(" s)") == 1
    assert text.endswith("tool wait(): late (12.3 s)")


def test_steps_that_are_all_as_slow_are_not_marked_but_timeouts_are(episode):
    calls = [did("look", "ok", n=n).model_copy(update={"latency_ms": 5000.0}) for n in range(5)]
    late = did("look", "", error="TimeoutError", n=9).model_copy(update={"latency_ms": 5001.0})
    strange = did("look", "x", n=8).model_copy(update={"latency_ms": float("nan")})
    (text,) = digests([episode(*calls, strange, late)], good=[True], budget=500)
    assert text.count(" s)") == 1
    assert "TimeoutError (5.0 s)" in text


def test_other_words_are_no_divergence_where_something_is_done(episode):
    good = episode(said("Hello!"), said("", ("ask", {"a": 1, "b": 2})), did("ask", "x", a=1, b=2), said("", ("buy", {})))
    bad = episode(said("Good day."), said("Well", ("ask", {"b": 2, "a": 1})), did("ask", "y", a=1, b=2), said("I give up"), number=2)
    marked = [line for line in digests([good, bad], good=[True, False], budget=500)[1].splitlines() if "no good try" in line]
    assert marked == ["4. agent: I give up [the first step that no good try took]"]


def test_where_all_only_talk_the_words_tell_the_divergence(episode):
    good, bad = episode(said("Search[A]"), said("Finish[A]")), episode(said("search[a]"), said("Finish[B]"), number=2)
    assert digests([good, bad], good=[True, False], budget=500)[1].endswith("2. agent: Finish[B] [the first step that no good try took]")


def test_a_hundred_thousand_steps_take_few_seconds(episode):
    steps = tuple(did("f", "Error: no" if n % 2 else "fine", n=n) for n in range(100_000))
    long = episode().model_copy(update={"steps": steps})
    started = time.process_time()
    (text,) = digests([long], good=[True], budget=3000)
    assert time.process_time() - started < 5.0
    assert "of them errors]" in text


def test_ten_megabytes_of_text_take_few_seconds(episode):
    steps = (did("f", "word " * 2_000_000), said("data:image/png;base64," + "aB1c" * 2_500_000))
    started = time.process_time()
    (text,) = digests([episode(*steps)], good=[True], budget=500)
    assert time.process_time() - started < 5.0
    assert text.endswith("2. agent: [image/png 7500 kB]")


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
    assert sum(map(estimate_tokens, texts)) <= budget


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


def test_a_text_without_our_block_comes_back_as_it_is():
    assert without_block("five lessons < six") == "five lessons < six"
