"""Where objrun says what happens in the background: the standard logger `objrun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def logger() -> Logger:
    """Return the logger named `objrun`; the standard module loads when there is something to say.

    >>> logger().name
    'objrun'
    """
    import logging

    return logging.getLogger("objrun")
