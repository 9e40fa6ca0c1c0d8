"""`reflect audit`: the health of the lesson book."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_reflect.cli.common import Json, NamespaceOption, emit_json, facts, namespace_of, open_learner, require_ledger, show

if TYPE_CHECKING:
    from langchain_reflect.lessons.auditing import Audit


def audit(
    context: typer.Context,
    twins: Annotated[float, typer.Option(help="Cosine from which two lessons say nearly the same.")] = 0.9,
    namespace: NamespaceOption = None,
    json: Json = False,
) -> None:
    """Show the health of the lessons: near-twins, support, use, tokens, and what waits for a person. Nothing is changed."""
    require_ledger(context)
    with open_learner(context) as learner:
        found = learner.lessons.audit(namespace_of(namespace), twins=twins, cap=learner.reflection.max_lessons)
    if json:
        emit_json(found)
    else:
        show(facts(_rows(found)))


def _rows(found: "Audit") -> list[tuple[str, object]]:
    unseen = sorted(found.never_shown.items(), key=lambda pair: -pair[1])
    lost, proposed = sum(found.lost_evidence.values()), found.statuses.get("proposed", 0)
    return [
        ("lessons", ", ".join(f"{count} {status}" for status, count in found.statuses.items()) or "none"),
        ("served", found.served),
        ("near-twins", f"{found.near_twin_rate:.1%}" + _named(f"{one} ~ {other}" for one, other in found.near_twins.items())),
        ("no vector yet", f"{found.without_vector}"),
        ("unsupported", f"{len(found.unsupported)}" + _named(found.unsupported)),
        ("never shown", f"{len(unseen)}" + _named(f"{lesson_id} for {days:.0f} days" for lesson_id, days in unseen)),
        ("tokens", f"{found.tokens.total} in all, {found.tokens.median} median, {found.tokens.most} at most"),
        (
            "orphans",
            f"{len(found.lost_evidence)} lessons rest on {lost} lost episodes, {found.orphan_outcomes} outcomes without one",
        ),
        ("waiting", f"{proposed} proposed, {len(found.reviews)} reviews, {len(found.contradictions)} contradictions"),
        ("over the cap", ", ".join(f"{space} by {count}" for space, count in found.over_cap.items()) or "none"),
    ]


def _named(names: Iterable[str], most: int = 5) -> str:
    """The first of them, in brackets."""
    known = list(names)
    more = [f"and {len(known) - most} more"] if len(known) > most else []
    return f" ({', '.join([*known[:most], *more])})" if known else ""
