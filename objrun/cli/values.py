"""A metric that is no number, as people read it: tables, documents, texts, histograms."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.filesize import decimal

from objrun.cards.texts import kind_text
from objrun.cli.layout import Column, in_full, print_table
from objrun.cli.program import program
from objrun.cli.sparkline import sparkline
from objrun.cli.style import one_line, short
from objrun.format.media import parse_reference
from objrun.format.values import SCHEMA_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from rich.console import Console

    from objrun.run import Run

OWN: Final = ("row", "table", "text", "histogram", *SCHEMA_KINDS)
"""Kinds that are shown in a form of their own where one metric is asked for."""

_WIDE: Final = 30


def told_of(kind: str, reference: str) -> str:
    """Return what people read in the place of a reference; the text itself where it is none.

    >>> told_of("image", "no reference")
    'no reference'
    """
    try:
        blob = parse_reference(reference)
    except ValueError:
        return reference
    pixels = f"{blob.shape[0]} x {blob.shape[1]}, " if blob.shape else ""
    return f"{kind_text(kind)}, {pixels}{decimal(blob.size)}"


def print_own(console: Console, run: Run, points: pl.DataFrame, most: int | None) -> None:
    """Print the last `most` values of one metric of a kind in OWN; None: all."""
    name, kind = points["name"][0], points["kind"][0]
    value = run.get_metrics(name, populate=True)[name]
    if kind in ("row", "table"):
        _print_table(console, value, most)
        return
    values = value if isinstance(value, list) else [value]
    steps = [short(step) for step in points["step"]]
    if kind == "text":
        for step, text in [*zip(steps, values, strict=True)][-(most or 0) :]:
            if len(values) > 1:
                console.print(f"step {step}:" if step else "", style="dim")
            console.print(text, soft_wrap=True)
    elif kind == "histogram":
        _print_histograms(console, steps, values, most)
    else:
        note = _print_document(console, kind, values[-1].convert_to_object()["data"])
        if console.is_terminal:
            last = f"the last of {len(values)}; " if len(values) > 1 else ""
            where = f"{run.experiment.name}/{run.number} {shlex.quote(name)}"
            console.print(f"{last}{note}{program()} plot {where} draws it", style="dim")


def _print_histograms(
    console: Console, steps: Sequence[str], values: Sequence[Any], most: int | None
) -> None:
    start = -(most or 0)
    shown = values[start:]
    plain = console.options.ascii_only
    columns = [
        Column("step", steps[start:], right=True),
        Column("samples", [short(sum(value["counts"])) for value in shown], right=True),
        Column("from", [short(value["edges"][0]) for value in shown], right=True),
        Column("to", [short(value["edges"][-1]) for value in shown], right=True),
        Column("", [sparkline(v["counts"], _WIDE, plain=plain) for v in shown], most=_WIDE),
    ]
    print_table(console, columns)


def _print_document(console: Console, kind: str, data: Mapping[str, Any]) -> str:
    """Print a document as a table, and return what is to be said of it."""
    if kind == "confusion_matrix":
        labels = [str(label) for label in data["class_labels"]]
        predicted = [*map(list, zip(*data["matrix"], strict=True))]
        columns = dict(zip((f"as {label}" for label in labels), predicted, strict=True))
        _print_table(console, {"true": labels, **columns}, None)
        return "rows are true classes, columns what was predicted; "
    if kind == "accuracy_table":
        thresholds = data["probability_thresholds"]
        place = min(range(len(thresholds)), key=lambda at: abs(thresholds[at] - 0.5))
        rows = [table[place] for table in data["probability_tables"]]
        named = zip(("TP", "FP", "TN", "FN"), zip(*rows, strict=True), strict=True)
        _print_table(console, {"class": data["class_labels"], **dict(named)}, None)
        return f"at the probability {short(thresholds[place])} of {len(thresholds)}; "
    edges = data["bin_edges"]
    columns = {"from": edges[:-1], "to": edges[1:]}
    known = ("bin_counts", "bin_averages", "bin_errors")
    columns |= {name.removeprefix("bin_"): data[name] for name in known if name in data}
    _print_table(console, columns, None)
    facts = ((name, data.get(name)) for name in ("mean", "stddev", "res_count"))
    return "".join(f"{name} {short(value)}; " for name, value in facts if value is not None)


def _print_table(console: Console, table: Mapping[str, Any], most: int | None) -> None:
    """Print the last `most` rows of a table with its own columns."""
    columns, height = [], 0
    for title, cells in table.items():
        values = cells if isinstance(cells, list | tuple) else [cells]
        height = len(values)
        values = values[-most:] if most else values
        right = all(isinstance(v, int | float) for v in values)
        head, shown = one_line(title), [short(v) for v in values]
        columns.append(Column(head, shown, right=right, least=3, most=max(24, cell_len(head))))
    whole = in_full(columns, console.width) if console.is_terminal else columns
    print_table(console, whole)
    if len(whole) < len(columns):
        told = f"and {len(columns) - len(whole)} more columns: --csv shows all"
        console.print(told, style="dim")
    if console.is_terminal and most and most < height:
        told = f"the last {most:,} of {height:,} rows; --limit 0 shows all"
        console.print(told, style="dim")
