import json
from uuid import UUID

import pytest

from langchain_reflect.reflection.drafting import conclude, questions
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.schemas import DraftsAnswer
from langchain_reflect.reflection.structured import Reply, UnfitReply
from langchain_reflect.types import Lesson, RolloutGroup, Usage

POLICY = ReflectionPolicy()
RULE = "Tool names begin with acme_."
DRAFT = {"when": "naming a tool", "do": "Begin the name with acme_", "cites": ["R1"]}


@pytest.fixture
def group(rollout):
    made = (rollout(1, 1.0, answer="acme_delete_invoices"), rollout(2, 0.0, RULE), rollout(3, 0.0, RULE, answer="remove"))
    return RolloutGroup(key="key:naming", namespace=("default",), graph="agent", task=made[0].episode.task, rollouts=made)


@pytest.fixture
def study(group):
    """The conclusion from answers to the questions about the group; None stands for an unfit one."""

    def run(*answers, gated=False):
        policy = ReflectionPolicy(drafts=len(answers))
        asked = questions(group, policy=policy, prompts=Prompts(), lessons={}, gated=gated)
        replies = [
            UnfitReply("no usable answer: ?", ["?"], Usage(calls=2))
            if a is None
            else Reply(DraftsAnswer.model_validate(a), ["raw"], Usage(calls=1))
            for a in answers
        ]
        return conclude(0, group, list(zip(asked, replies, strict=True)), policy=policy, gated=gated)

    return run


def test_draft_takes_evidence_tasks_and_examples_from_what_it_cites(study):
    (draft,) = study([DRAFT]).drafts
    assert draft.cites == (UUID(int=1),)
    assert draft.tasks == ("Name the tool that deletes invoices",)
    assert [e.output for e in draft.examples] == ["acme_delete_invoices"]


def test_labels_mean_the_rollouts_of_their_own_prompt(study):
    drafts = study([DRAFT], [{**DRAFT, "do": "Put acme_ first"}], gated=True).drafts
    assert [d.cites for d in drafts[1:]] == [(UUID(int=1),), (UUID(int=3),)]


@pytest.mark.parametrize(("cites", "kept"), [(["R9", "r2"], 1), (["2"], 1), ([], 0), (["R9", "best"], 0)])
def test_a_draft_that_cites_nothing_valid_is_refused(study, cites, kept):
    studied = study([{**DRAFT, "cites": cites}, DRAFT])
    assert len(studied.drafts) + len(studied.refused) == 2 if kept == 0 else True
    assert any("cites none of the tries R1, R2, R3" in e.reason for e in studied.refused) == (kept == 0)


def test_advice_with_the_answer_is_refused(study):
    studied = study([{**DRAFT, "do": "Answer acme_delete_invoices"}, DRAFT])
    assert [d.do for d in studied.drafts] == [DRAFT["do"]]
    assert "contains an answer" in studied.refused[0].reason


def test_advice_with_the_answer_that_a_judge_told_is_refused(rollout):
    told = rollout(1, 0.0, "Dates are ISO. Expected '2024-05-10'.", task="Rewrite May 10, 2024")
    group = RolloutGroup(key="k", namespace=("d",), graph="a", task=told.episode.task, rollouts=(told,))
    (question,) = questions(group, policy=POLICY, prompts=Prompts(), lessons={}, gated=False)
    assert "contains an answer" in (question.problem(DraftsAnswer.model_validate({**DRAFT, "do": "Use ISO: 2024-05-10"})) or "")
    assert question.problem(DraftsAnswer.model_validate({**DRAFT, "do": "Use ISO dates: YYYY-MM-DD"})) is None


def test_a_copy_of_the_prompts_example_is_refused(study):
    studied = study([{**DRAFT, "do": "Write the file name in lower case, with a hyphen for each space"}, DRAFT])
    assert [e.reason for e in studied.refused] == ["it repeats the example of the prompt"]


def test_a_copy_of_the_task_is_refused(study):
    studied = study([{**DRAFT, "do": "Name the tool that deletes the invoices."}, DRAFT])
    assert [e.reason for e in studied.refused] == ["it repeats the task instead of saying how to do it"]


def test_feedback_keeps_its_own_condition_where_a_draft_says_the_same(study):
    (draft,) = study([{**DRAFT, "do": RULE, "when": "anything"}], gated=True).drafts
    assert draft.when.startswith("tasks like: ")


def test_a_condition_about_one_instance_is_told_in_general_words(study):
    (draft,) = study([{**DRAFT, "when": "the name acme_delete_invoices is asked", "why": "it was remove"}]).drafts
    assert (draft.when, draft.why) == ("tasks like: Name the tool that deletes invoices", "")


def test_without_gate_at_most_two_drafts_and_no_feedback(study):
    studied = study([{**DRAFT, "do": f"rule {'x' * n}"} for n in range(1, 5)])
    assert [d.do for d in studied.drafts] == ["rule x", "rule xx"]


def test_nothing_to_learn_is_respected_without_gate(study):
    assert study([]).drafts == ()
    assert study([]).parked is None


def test_feedback_steps_in_where_no_draft_survives(study):
    (draft,) = study([{**DRAFT, "do": "Answer acme_delete_invoices"}]).drafts
    assert (draft.do, draft.cites) == (RULE, (UUID(int=2), UUID(int=3)))


def test_feedback_steps_in_where_the_model_was_refused_twice(group):
    (question,) = questions(group, policy=POLICY, prompts=Prompts(), lessons={}, gated=False)
    unusable = json.dumps({"lessons": [{**DRAFT, "cites": ["R9"]}]})
    reply = UnfitReply("no usable answer: it cites none of the tries", [unusable, unusable], Usage(calls=2))
    studied = conclude(0, group, [(question, reply)], policy=POLICY, gated=False)
    assert [d.do for d in studied.drafts] == [RULE]
    assert (studied.parked, [e.reason for e in studied.refused]) == (None, ["it cites none of the tries R1, R2, R3"])


def test_a_model_that_taught_nothing_readable_parks_the_group_whatever_the_feedback(study):
    assert (study(None).drafts, study(None).refused) == ((), ())


def test_with_gate_the_feedback_always_competes(study):
    drafts = study([DRAFT], [], None, gated=True).drafts
    assert [d.do for d in drafts] == [RULE, DRAFT["do"]]


def test_drafts_that_say_literally_the_same_count_once(study):
    drafts = study([DRAFT], [{**DRAFT, "do": "begin the name with `acme_`!"}], [{**DRAFT, "do": RULE.upper()}], gated=True).drafts
    assert len(drafts) == 2


def test_group_is_parked_if_no_answer_can_be_used(study):
    studied = study(None)
    assert (studied.parked, studied.drafts, studied.usage.calls) == ("no usable answer: ?", (), 2)
    assert [a.replies for a in studied.asked] == [("?",)]


def test_a_prompt_shows_at_most_so_many_rollouts_and_tokens(rollout):
    made = tuple(rollout(n, n / 20, "x" * 5000, answer="y " * 4000) for n in range(20))
    group = RolloutGroup(key="k", namespace=("d",), graph="a", task="t", rollouts=made)
    (question,) = questions(group, policy=POLICY, prompts=Prompts(), lessons={}, gated=False)
    assert list(question.rollouts) == ["R1", "R2", "R3", "R4", "R5"]
    assert sum(len(m.text) for m in question.messages) < 3 * POLICY.digest_tokens + 8000


def test_shown_lessons_are_told_and_their_quotes_left_out(rollout):
    lesson = Lesson(id="L-1", when="naming a tool", do="Always write tool names in lower case")
    made = rollout(1, 0.0, "no", shown=("L-1", "L-gone"), answer="Always write tool names in lower case. ok")
    group = RolloutGroup(key="k", namespace=("d",), graph="a", task="t", rollouts=(made,))
    (question,) = questions(group, policy=POLICY, prompts=Prompts(), lessons={"L-1": lesson}, gated=False)
    text = question.messages[-1].text
    assert "LESSON L-1" in text
    assert text.count("in lower case") == 1
