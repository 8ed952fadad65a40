"""The command line: what `objrun` in a shell does. Commands read through the API and print.

Start-up is part of the interface: `objrun --help` and shell completion import neither polars nor
pyarrow; a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys

from objrun.cli.edge import execute

__all__ = ["execute", "main"]


def main() -> None:
    """Run the command that the process was given, and exit with its code."""
    sys.exit(execute(sys.argv[1:]))
