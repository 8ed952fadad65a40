"""SQL over runs and points, as polars understands it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import UserErrorException
from objrun.query.metrics import SCHEMA as POINT
from objrun.query.quoting import TOKEN, quote_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TABLES: Final = ("runs", "metrics")
"""The tables that a query may name."""

_NAMED: Final = re.compile(r'"((?:metrics|params|tags|properties)\.[^"]+)"')


def _quoted(query: str) -> str:
    """Return a query with names of columns in quotes, but for those of the table of points."""

    def told(found: re.Match[str]) -> str:
        table, _, column = found[1].partition(".")
        return found[1] if table == "metrics" and column in POINT else found[0]

    return _NAMED.sub(told, quote_names(query))


def run_sql(
    query: str,
    runs: Callable[[Sequence[str]], pl.LazyFrame],
    metrics: Callable[[], pl.LazyFrame],
) -> pl.LazyFrame:
    """Return the answer to a query over the tables `runs` and `metrics`, made only if named.

    `runs` is given the columns by name that the query speaks of. Raises UserErrorException where
    polars does not understand the query.
    """
    text = _quoted(query)
    bare = TOKEN.sub("", text)
    tables: dict[str, pl.LazyFrame] = {}
    makers: Mapping[str, Callable[[], pl.LazyFrame]] = {
        "runs": lambda: runs([*dict.fromkeys(_NAMED.findall(text))]),
        "metrics": metrics,
    }
    for name in TABLES:
        if re.search(rf"\b{name}\b", bare, re.IGNORECASE):
            tables[name] = makers[name]()
    try:
        answer = pl.SQLContext(tables, eager=False).execute(text)
        # A column that there is not would else be found when the answer is collected.
        answer.collect_schema()
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())
        message = f"the query cannot be answered: {reason}. Tables are {' and '.join(TABLES)}"
        raise UserErrorException(message) from None
    return answer
