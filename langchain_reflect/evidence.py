"""The evidence about lessons: what the ledger knows, in the columns that `credit` works on, with what their numbers stand for. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from langchain_reflect.credit.columns import HOLDOUT, OTHER, PLACEBO, TREATED, Bools, Episodes, Exposures, Floats, Ints
from langchain_reflect.errors import ReflectError
from langchain_reflect.ledger.trial_rows import TrialRows
from langchain_reflect.lessons.trials import Wording, wordings
from langchain_reflect.recall.policy import Chances, chances
from langchain_reflect.types import Fingerprint, Namespace

_ARMS: Final = {"holdout": HOLDOUT, "treated": TREATED, "placebo": PLACEBO}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Columns, and what their numbers stand for."""

    version: int
    """Of the lesson book, when this was read."""
    episodes: Episodes
    exposures: Exposures
    told: Floats
    """When each episode was first judged by other than a judge model, by the clock of who wrote it, in seconds since 1970; NaN: never."""
    spaces: Sequence[tuple[Namespace, str]]
    """Namespace and graph, by `Episodes.space`."""
    wordings: Sequence[Wording]
    """By `Exposures.trial`; also those that nothing is known of."""
    agents: Sequence[Fingerprint]
    """By `Episodes.agent`."""
    chances: Sequence[Chances | None]
    """Of the newest episode of each space; None: not known."""

    def since(self, began: datetime | None) -> "Evidence":
        """Only what began at this time or later; None: all."""
        return self if began is None else self.only(self.episodes.started >= began.timestamp())

    def since_each(self, began: Sequence[datetime | None]) -> Bools:
        """Which episodes began at the time of their space or later.

        Args:
            began: One for each of `spaces`; None: all.
        """
        seconds = np.array([-np.inf if each is None else each.timestamp() for each in began], np.float64)
        return np.asarray(self.episodes.started >= seconds[self.episodes.space])

    def only(self, kept: Bools) -> "Evidence":
        """Only these episodes, with their exposures.

        Args:
            kept: A bool for each episode.
        """
        place = np.cumsum(kept) - 1
        mine = kept[self.exposures.episode]
        exposures = Exposures(**{name: getattr(self.exposures, name)[mine] for name in Exposures.__slots__})
        episodes = Episodes(**{name: getattr(self.episodes, name)[kept] for name in Episodes.__slots__})
        exposures = replace(exposures, episode=place[exposures.episode])
        return replace(self, episodes=episodes, exposures=exposures, told=self.told[kept])


def gather(rows: TrialRows) -> Evidence:
    """The evidence in what the ledger knows.

    Exposures of lessons that were erased are left out. A policy that cannot be read, which a later release may have written, leaves its
    episodes out of every comparison.

    Args:
        rows: From `Ledger.trial_rows`.
    """
    found = wordings(rows.revisions)
    trial = _trials(rows.wordings, found)[rows.wording]
    known = trial >= 0
    policies = [_chances(text) for text in rows.policies]
    episodes = _episodes(rows, policies)
    return Evidence(
        version=rows.version,
        episodes=episodes,
        exposures=Exposures(
            episode=rows.episode[known],
            trial=trial[known],
            shown=rows.shown[known],
            probability=rows.probability[known],
            tokens=rows.tokens[known],
        ),
        told=rows.told,
        spaces=rows.spaces,
        wordings=found,
        agents=[Fingerprint(**agent) for agent in rows.agents],
        chances=_newest(rows, policies),
    )


def _trials(exposed: Sequence[tuple[str, int]], found: Sequence[Wording]) -> Ints:
    """The trial that each (lesson, revision) belongs to; -1: the lesson is not known."""
    begins: dict[str, list[int]] = {}
    first: dict[str, int] = {}
    for number, wording in enumerate(found):
        begins.setdefault(wording.lesson_id, []).append(wording.began)
        first.setdefault(wording.lesson_id, number)
    places = [first[i] + bisect_right(begins[i], max(revision, 1)) - 1 if i in first else -1 for i, revision in exposed]
    return np.array(places, np.int64)


def _episodes(rows: TrialRows, policies: Sequence[Chances | None]) -> Episodes:
    arms = np.array([_ARMS.get(arm, OTHER) for arm in rows.arms], np.int64)[rows.arm]
    readable = np.array([policy is not None for policy in policies], np.bool_)[rows.policy]
    arms = np.where(readable, arms, OTHER)
    chance, control, treated = _probabilities(rows, policies, arms)
    return Episodes(
        id=np.array(rows.id, "S32"),
        unit=rows.unit,
        space=rows.space,
        group=rows.group,
        arm=arms,
        dose=rows.dose,
        chance=chance,
        control=control,
        treated=treated,
        draws=_draws(policies)[rows.policy],
        reward=rows.reward,
        trusted=rows.trusted,
        at=rows.at,
        started=rows.started,
        agent=rows.agent,
    )


def _draws(policies: Sequence[Chances | None]) -> Floats:
    """Probability of each dose, by policy."""
    most = max((dose for policy in policies if policy is not None for dose in policy.doses), default=0)
    draws = np.zeros((len(policies), most + 1))
    for number, policy in enumerate(policies):
        for dose, share in policy.doses.items() if policy is not None else ():
            draws[number, dose] = share
    return draws


def _probabilities(rows: TrialRows, policies: Sequence[Chances | None], arms: Ints) -> tuple[Floats, Floats, Floats]:
    """Of each episode's arm and dose, of holdout, and of any dose, by its policy; 0 where chance had no part."""
    drawn = np.stack([rows.policy, arms, rows.dose], axis=1)
    kinds, which = np.unique(drawn, axis=0, return_inverse=True)
    each = [_probability(policies[policy], arm, dose) for policy, arm, dose in kinds.tolist()]
    controls = np.array([0.0 if policy is None else policy.holdout for policy in policies], np.float64)
    treated = np.array([0.0 if policy is None else 1.0 - policy.holdout - policy.placebo for policy in policies], np.float64)
    return np.array(each, np.float64)[which.reshape(-1)], controls[rows.policy], treated[rows.policy]


def _probability(policy: Chances | None, arm: int, dose: int) -> float:
    if policy is None or arm == OTHER:
        return 0.0
    if arm == TREATED:
        return (1.0 - policy.holdout - policy.placebo) * policy.doses.get(dose, 0.0)
    return policy.holdout if arm == HOLDOUT else policy.placebo


def _chances(text: str) -> Chances | None:
    try:
        return chances(text)
    except (ReflectError, ValueError):
        return None


def _newest(rows: TrialRows, policies: Sequence[Chances | None]) -> list[Chances | None]:
    newest: list[Chances | None] = [None] * len(rows.spaces)
    order = np.lexsort((rows.started, rows.space))
    last = order[np.append(np.diff(rows.space[order]) != 0, True)] if len(order) else order
    for row in last.tolist():
        newest[rows.space[row]] = policies[rows.policy[row]]
    return newest
