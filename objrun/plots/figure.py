"""Figures and axes of one look, made without pyplot; texts of anybody, shown as they are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from objrun.cards.texts import short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text

COLOURS: Final = (
    *("#3b6fd4", "#e0672e", "#2a9d6f", "#a347ba", "#c9a21a", "#d43b5b"),
    *("#2aa5c4", "#7a5c3e", "#6b7280", "#8bbf3f", "#f28cb1", "#1f3b73"),
)
"""Colours of a dozen curves, told apart by most eyes."""

INK: Final = "#24292f"
MUTED: Final = "#6e7781"
GRID: Final = "#e7eaee"


class Picture(Figure):
    """A matplotlib figure that a notebook shows, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def new_picture(width: float = 8.0, height: float = 4.5) -> Picture:
    """Return an empty figure of this size in inches, which makes room for what is around axes."""
    return Picture(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")


def axes_on(ax: Axes | None, width: float = 8.0, height: float = 4.5) -> Axes:
    """Return the axes to draw on: those given, or new ones."""
    return new_picture(width, height).subplots() if ax is None else ax


def picture_of(ax: Axes) -> Figure:
    """Return the figure that axes are on."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes are on no figure")
    return figure


def dress(ax: Axes, title: str = "", x: str = "", y: str = "", note: str = "") -> None:
    """Give axes the look of all: light lines, a title on the left, a note on the right."""
    ax.set_facecolor("white")
    ax.grid(visible=True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#c4cad1")
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5, length=3)
    plain(
        ax.set_title(short_name(title, 60), loc="left", fontsize=11, fontweight="bold", color=INK)
    )
    plain(ax.set_title(note, loc="right", fontsize=8.5, color=MUTED))
    plain(ax.set_xlabel(short_name(x, 60), fontsize=9, color=MUTED))
    plain(ax.set_ylabel(short_name(y, 60), fontsize=9, color=MUTED))


def plain(text: Text) -> Text:
    """Have a text shown as it is: dollars in a name are no formula."""
    text.set_parse_math(False)
    return text


def legend_of(ax: Axes, handles: Sequence[Any], names: Sequence[str], title: str = "") -> None:
    """Put a legend beside the axes, in columns where it is long."""
    # A label that begins with an underscore is left out of legends.
    labels = [name if not name.startswith("_") else f" {name}" for name in map(short_name, names)]
    legend = ax.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.4,
        title=short_name(title) or None,
        alignment="left",
    )
    legend.get_title().set_fontsize(8.5)
    for handle in legend.get_lines():
        handle.set(linewidth=2, alpha=1)
    for text in (*legend.get_texts(), legend.get_title()):
        plain(text)


def say(ax: Axes, text: str) -> None:
    """Write into the middle of axes on which nothing can be drawn."""
    ax.set_xticks([])
    ax.set_yticks([])
    plain(
        ax.text(
            0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True
        )
    )


def whole_steps(ax: Axes) -> None:
    """Label an x axis of steps with whole numbers: 500, 20k, 1.5M."""
    low, high = ax.get_xlim()
    if high - low < 1:
        ax.set_xlim((low + high) / 2 - 1, (low + high) / 2 + 1)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(_step_text))


def _step_text(value: float, _: int | None = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}"
