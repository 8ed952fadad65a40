"""How this program is called again: what hints of commands begin with."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return `objrun`, or where it is not on PATH, what started this process.

    >>> program().split()[-1].endswith("objrun")
    True
    """
    if shutil.which("objrun"):
        return "objrun"
    started = Path(sys.argv[0])
    if started.name == "objrun" and started.is_file():
        return _named(started)
    return f"{_named(Path(sys.executable))} -m objrun"


def _named(file: Path) -> str:
    """Return a path as a shell runs it, from here where it is below here."""
    here, place = Path.cwd(), Path(os.path.abspath(file))  # noqa: PTH100 - resolves no links
    if not place.is_relative_to(here):
        return shlex.quote(str(place))
    near = str(place.relative_to(here))
    return shlex.quote(near if os.sep in near else os.path.join(os.curdir, near))  # noqa: PTH118
