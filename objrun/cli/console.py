"""A console that people read, and that no text from a store can write to directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment

from objrun.cli.style import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable


class HarmlessConsole(Console):
    r"""A console of rich; whatever is printed, its text has nothing that a terminal obeys.

    >>> HarmlessConsole(width=20).print("red: \x1b[31m!", markup=False)
    red: ?[31m!
    """

    def render(self, *arguments: Any, **named: Any) -> Iterable[Segment]:
        """Return what stands for something; see rich."""
        for text, style, control in super().render(*arguments, **named):
            yield Segment(text if control else harmless(text), style, control)
