from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.reflection.prompts import Prompts, contrast_messages
from langchain_reflect.reflection.versions import agents_of, by_agent, same_agent, told
from langchain_reflect.types import Fingerprint

A, B = Fingerprint(model="a", prompt="p"), Fingerprint(model="b", prompt="p")
PARTS = st.builds(
    Fingerprint, model=st.sampled_from(["", "a", "b"]), prompt=st.sampled_from(["", "p", "q"]), tools=st.sampled_from(["", "t"])
)


def test_only_what_both_know_is_compared():
    assert same_agent(A, Fingerprint(model="a"))
    assert same_agent(A, Fingerprint(prompt="p", graph="g"))
    assert same_agent(None, Fingerprint())
    assert not same_agent(A, B)


def test_rollouts_of_which_nothing_is_known_go_together(rollout):
    made = [rollout(1, 1.0, fingerprint=A), rollout(2, 1.0), rollout(3, 1.0, fingerprint=Fingerprint())]
    assert [[r.episode.id.int for r in same] for same in by_agent(made)] == [[1], [2, 3]]


def test_one_agent_gets_no_label(rollout):
    same = [rollout(1, 1.0, fingerprint=A), rollout(2, 0.0, fingerprint=Fingerprint(model="a"))]
    assert (agents_of(same), told(same)) == (["", ""], "")
    assert (agents_of([]), told([])) == ([], "")


def test_what_differs_is_told_and_nothing_else(rollout):
    made = [A, B, Fingerprint(model="a", prompt="q"), None]
    rollouts = [rollout(n, 1.0, fingerprint=one) for n, one in enumerate(made)]
    assert agents_of(rollouts) == ["A", "B", "C", "D"]
    assert told(rollouts).splitlines() == [
        "agent A: model a, prompt 1",
        "agent B: model b, prompt 1",
        "agent C: model a, prompt 2",
        "agent D: unknown",
    ]
    assert told(rollouts[:2]).splitlines() == ["agent A: model a", "agent B: model b"]


def test_the_reflector_is_told_who_made_which(rollout):
    tries = [("R1", rollout(1, 1.0, fingerprint=A), "", "x"), ("R2", rollout(2, 0.0, fingerprint=B), "", "y")]
    text = contrast_messages(Prompts(), tries, good=[True, False])[-1].text
    assert "R1 (good, score 1, agent A)" in text
    assert "agent B: model b" in text
    alone = contrast_messages(Prompts(), [tries[0], ("R2", rollout(2, 0.0, fingerprint=A), "", "y")], good=[True, False])[-1].text
    assert "agent A" not in alone


@given(st.lists(PARTS, max_size=8), st.randoms())
def test_agents_never_depend_on_the_order(made, random):
    from tests.unit_tests.reflection.conftest import _rollout

    rollouts = [_rollout(n, 1.0, fingerprint=one) for n, one in enumerate(made)]
    groups = {frozenset(r.episode.id for r in same) for same in by_agent(rollouts)}
    shuffled = random.sample(rollouts, len(rollouts))
    assert {frozenset(r.episode.id for r in same) for same in by_agent(shuffled)} == groups
    for same in by_agent(rollouts):
        assert all(same_agent(one.episode.fingerprint, other.episode.fingerprint) for one in same for other in same)
