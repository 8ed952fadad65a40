"""Curves of a metric, one a run, drawn with characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from objrun.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console

COLOURS: Final = ("green", "blue", "magenta", "yellow", "cyan", "red")
"""Colours of curves, one after the other."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
"""What curves are drawn with where there are no colours."""


def check_extra() -> None:
    """Raise MissingExtraError unless what the demo needs is installed; imports neither of them."""
    from importlib.metadata import PackageNotFoundError, version

    for package, least in (("scikit-learn", 1), ("plotext", 6)):
        try:
            found = int(version(package).partition(".")[0])
        except PackageNotFoundError:
            found = 0
        if found < least:
            message = f"the demo needs {package} {least} or newer: pip install 'objrun[demo]'"
            raise MissingExtraError(message)


def print_curves(
    console: Console,
    title: str,
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    height: int = 16,
) -> None:
    """Draw curves, each (name, steps, values), into one picture; NaN and infinity are left out."""
    import plotext

    colours = console.is_terminal and console.color_system is not None
    figure: Any = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(console.width, 100) if console.is_terminal else 78, height)
    figure.title(title)
    legend = Text("  ")
    for position, (name, steps, values) in enumerate(curves):
        finite = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
        if not finite:
            continue
        colour = COLOURS[position % len(COLOURS)]
        letter = _LETTERS[position % len(_LETTERS)]
        marker = plotext.marker("hd", colour) if colours else letter
        signal = figure.signal([s for s, _ in finite], [v for _, v in finite], marker=marker)
        signal.lines()
        figure.draw(signal)
        legend.append("▚ " if colours else f"{letter} ", style=colour).append(f"{name}   ")
    console.print(Text.from_ansi(figure.build().string()))
    console.print(legend)
