"""Which outcomes count, as a condition for statements, so that there is one definition of it.

Of the reports of one (namespace, episode, source, key) the one with the latest `observed_at` counts, ties are broken by the content's hash;
not if it is a retraction, and not if its source is revoked.
"""

from functools import cache

from sqlalchemy import ColumnElement, and_, exists, or_

from langchain_reflect.ledger import tables


@cache
def counts() -> ColumnElement[bool]:
    """Whether a row of `outcomes` counts."""
    row, later, revoked = tables.outcomes.c, tables.outcomes.alias("later").c, tables.revoked_sources.c
    same = and_(*(later[name] == row[name] for name in ("namespace", "episode_id", "source", "key")))
    wins = or_(later.observed_at > row.observed_at, and_(later.observed_at == row.observed_at, later.content > row.content))
    void = exists().where(revoked.namespace == row.namespace, revoked.source == row.source).correlate(tables.outcomes)
    return and_(row.retracted == 0, ~exists().where(same, wins).correlate(tables.outcomes), ~void)
