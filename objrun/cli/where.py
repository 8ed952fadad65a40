"""`--where` text to a polars expression: SQL's conditions, where dotted names need no quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    import polars as pl

_TOKEN: Final = re.compile(
    r"""
    '(?:[^']|'')*'              # text
    | "(?:[^"]|"")*"            # a name in quotes
    | (?<![\w.])(?:metrics|params|tags|properties)(?:\.\w+)+   # a name that needs them
    """,
    re.VERBOSE,
)


def quote_names(text: str) -> str:
    r"""Put dotted names of columns into quotes, outside of text and of quoted names.

    >>> quote_names("metrics.loss.last < 0.1 AND status = 'metrics.x'")
    '"metrics.loss.last" < 0.1 AND status = \'metrics.x\''
    """

    def quoted(token: re.Match[str]) -> str:
        found = token[0]
        return found if found[0] in "'\"" else f'"{found}"'

    return _TOKEN.sub(quoted, text)


def parse_where(text: str) -> pl.Expr:
    """Return the expression that `text` is; typer.BadParameter where it is none.

    An expression computes with the columns of one run; it reads no files and no other tables.

    >>> parse_where("params.lr >= 0.1").meta.root_names()
    ['params.lr']
    """
    import polars as pl

    if re.search(r"\bselect\b", _TOKEN.sub("", text), re.IGNORECASE):
        message = "a condition has no SELECT in it"
        raise typer.BadParameter(message, param_hint="--where")
    try:
        return pl.sql_expr(quote_names(text))
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())
        message = (
            f"{text!r} is no condition: {reason}. Write for example: "
            "status = 'Failed' AND metrics.loss.last < 0.1"
        )
        raise typer.BadParameter(message, param_hint="--where") from None
