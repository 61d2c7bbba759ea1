"""Searching models and collections by words: every word must stand somewhere, and where it stands decides the order.

Plain comparison of texts, alike on both databases. Case does not matter for ASCII; beyond it SQLite tells it apart.
"""

from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, case, func, literal, or_, select

from shared.catalog import is_visible
from shared.database import Database
from shared.errors import MalformedRequest
from shared.tables import Collection, Model

QUERY_CHARACTERS_MAX = 500
_WORDS_MAX = 10
_IS_NAME, _BEGINS_NAME, _IN_NAME, _IN_OWNER, _IN_DESCRIPTION, _IN_README = 1.0, 0.8, 0.6, 0.4, 0.3, 0.1
"""What a word is worth by where it stands."""


def words_of(query: str) -> list[str]:
    """The words to look for; `owner/name` is two. Raises MalformedRequest where there are none, or too many."""
    if len(query) > QUERY_CHARACTERS_MAX:
        raise MalformedRequest(f"The query is longer than {QUERY_CHARACTERS_MAX} characters.")
    words = query.replace("/", " ").replace("\0", " ").split()
    if not words:
        raise MalformedRequest("The `query` parameter is required: say what to search for.")
    if len(words) > _WORDS_MAX:
        raise MalformedRequest(f"The query has more than {_WORDS_MAX} words.")
    return list(dict.fromkeys(words))


def models(words: list[str], account_id: str) -> Select[Any]:
    """Models an account may see, each with its `score` above 0 and up to 1, the best and then the newest first."""
    worths = [_worth(word) for word in words]
    score = sum(worths[1:], worths[0]) / float(len(words))
    found = and_(is_visible(account_id), *[worth > 0 for worth in worths])
    query = select(*Model.__table__.c, score.label("score")).where(found)
    return query.order_by(score.desc(), Model.created_at.desc(), Model.id.desc())


async def collections(database: Database, words: list[str], limit: int) -> list[Any]:
    """Rows of the newest collections that have every word in their slug, name or description."""
    texts = (Collection.slug, Collection.name, Collection.description)
    found = and_(*[or_(*[_holds(text, word) for text in texts]) for word in words])
    query = select(Collection.__table__).where(found).order_by(Collection.created_at.desc()).limit(limit)
    async with database.reading() as connection:
        return list((await connection.execute(query)).all())


def _worth(word: str) -> ColumnElement[float]:
    return case(
        (Model.name == func.lower(word), literal(_IS_NAME, Float)),
        (Model.name.istartswith(word, autoescape=True), _BEGINS_NAME),
        (_holds(Model.name, word), _IN_NAME),
        (_holds(Model.owner, word), _IN_OWNER),
        (_holds(Model.description, word), _IN_DESCRIPTION),
        (_holds(Model.readme, word), _IN_README),
        else_=0.0,
    )


def _holds(column: Any, word: str) -> ColumnElement[bool]:
    return func.coalesce(column, "").icontains(word, autoescape=True)
