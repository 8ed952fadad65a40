"""Draw something again and again on the terminal's other screen, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from objrun import clock
from objrun.errors import FormatError, ObjrunError, ServiceException, StoreError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVERY: Final = 2.0
"""Seconds from one drawing to the next; more where a drawing takes longer than that."""


def watch(console: Console, title: str, draw: Callable[[int], RenderableType]) -> None:
    """Show `draw(rows)`, at most so many rows high, until Ctrl-C; then leave the last one standing.

    What the store says meanwhile, also that it is not there yet, is shown below the last drawing.
    """
    last: RenderableType = Text("waiting ...", style="dim")
    head = Text(title, style="dim", no_wrap=True, overflow="ellipsis")
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                began = clock.monotonic()
                note = Text()
                try:
                    last = draw(console.height - 2)
                except (StoreError, FormatError, ServiceException) as error:
                    note = _told(error)
                live.update(Group(head, last, note), refresh=True)
                clock.sleep(max(EVERY, clock.monotonic() - began))
    except KeyboardInterrupt:
        console.print(last)


def _told(error: ObjrunError) -> Text:
    return Text(" ".join(error.message.split()), style="yellow")
