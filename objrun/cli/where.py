"""`--where` text to a polars expression: SQL's conditions, where dotted names need no quotes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from objrun import clock
from objrun.query.quoting import TOKEN, quote_names

if TYPE_CHECKING:
    import polars as pl

_TIMES: Final = r"created|started|ended|last_seen"

_TIMED: Final = re.compile(
    rf"""
    (?P<text>'(?:[^']|'')*')
    | (?P<name>(?<![\w."])"(?:{_TIMES})"(?![\w.]) | (?<![\w."])(?:{_TIMES})(?![\w.("]))
      (?P<literal>\s*(?:[<>!=]+|\b(?:not\s+)?between\b)\s*'[^']*'
        (?:\s+and\s+'[^']*'(?=\s*(?:$|\)|and\b|or\b)))?)?
    | "(?:[^"]|"")*"
    | (?<![\w.])(?P<now>now\s*\(\s*\)|current_timestamp\b(?:\s*\(\s*\))?)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def in_utc(text: str) -> str:
    """Write the times of a condition as times without a zone, all of them UTC.

    Raises typer.BadParameter for text that is compared with a time and is none.

    >>> in_utc("started > '2026-01-31T12:00+01:00'")
    "CAST(started AS TIMESTAMP) > timestamp '2026-01-31 11:00:00.000000'"
    """

    def told(token: re.Match[str]) -> str:
        if token["now"]:
            return _timestamp(clock.now())
        if not token["name"]:
            return token[0]
        literal = re.sub("'[^']*'", lambda found: _time(found[0][1:-1]), token["literal"] or "")
        return f"CAST({token['name']} AS TIMESTAMP){literal}"

    return _TIMED.sub(told, text)


def _time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r} is no time: write '2026-01-31' or '2026-01-31 12:00', in UTC"
        raise typer.BadParameter(message, param_hint="--where") from None
    return _timestamp(time.replace(tzinfo=time.tzinfo or UTC))


def _timestamp(time: datetime) -> str:
    return f"timestamp '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


def parse_where(text: str) -> pl.Expr:
    """Return the expression that `text` is; typer.BadParameter where it is none.

    An expression computes with the columns of one run; it reads no files and no other tables.

    >>> parse_where("params.lr >= 0.1").meta.root_names()
    ['params.lr']
    """
    import polars as pl

    if re.search(r"\bselect\b", TOKEN.sub("", text), re.IGNORECASE):
        message = "a condition has no SELECT in it"
        raise typer.BadParameter(message, param_hint="--where")
    try:
        return pl.sql_expr(in_utc(quote_names(text)))
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())
        message = (
            f"{text!r} is no condition: {reason}. Write for example: "
            "status = 'Failed' AND metrics.loss.last < 0.1"
        )
        raise typer.BadParameter(message, param_hint="--where") from None
