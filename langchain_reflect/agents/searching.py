"""What a search for lessons may find in the run in which a model calls it."""

from collections.abc import Sequence
from functools import partial

from langchain_core.runnables import RunnableConfig

from langchain_reflect.agents.episodes import OpenEpisode, current_episode
from langchain_reflect.agents.forced import in_force
from langchain_reflect.agents.namespaces import fill_namespace
from langchain_reflect.recall.tool import Reach
from langchain_reflect.types import Exposure, Match, Namespace


def reach_of(own: Namespace | None, template: Namespace, config: RunnableConfig) -> Reach:
    """The namespace that is searched, and what stays hidden because chance decided so for the run.

    Args:
        own: Of the tool, where it was given one; may have placeholders.
        template: Of the learner, for calls outside of a wrapped run.
        config: Of the call.

    Raises:
        InvalidInput: A placeholder has no value.
    """
    episode = current_episode()
    configurable = config.get("configurable") or {}
    if episode is None:
        return Reach(fill_namespace(own or template, configurable))
    shown = episode.shown
    return Reach(
        namespace=fill_namespace(own, configurable) if own else episode.namespace,
        is_held_out=shown.arm != "treated",
        found=partial(_note, episode),
        withheld=in_force().without.union(exposure.lesson_id for exposure in shown.exposures if not exposure.shown),
    )


def _note(episode: OpenEpisode, matches: Sequence[Match]) -> None:
    """Remember what the model read; chance had no part in it."""
    for place, match in enumerate(matches):
        exposure = Exposure(
            episode_id=episode.id,
            lesson_id=match.lesson.id,
            revision=match.lesson.revision,
            shown=True,
            probability=1.0,
            arm=episode.shown.arm,
            rank=place,
            score=match.similarity,
            tokens=match.tokens,
        )
        episode.looked_up.setdefault(match.lesson.id, exposure)
