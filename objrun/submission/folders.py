"""Where submitted scripts work on this machine."""

from __future__ import annotations

import os
from typing import Final

from objrun.spool import state_folder

WORK: Final = "OBJRUN_WORK"
"""The environment variable with the folder below which they work."""


def work_folder(run: str) -> str:
    """Return the folder of one run, which is its working directory.

    It is below `OBJRUN_WORK`, else `$XDG_STATE_HOME/objrun/work`, `~/.local/state/objrun/work`.
    """
    root = os.environ.get(WORK) or os.path.join(state_folder(), "work")  # noqa: PTH118 - text
    return os.path.join(os.path.abspath(root), run)  # noqa: PTH100, PTH118
