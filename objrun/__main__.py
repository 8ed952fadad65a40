"""`python -m objrun` is `objrun`."""

from __future__ import annotations

import sys

from objrun.cli.edge import execute

if __name__ == "__main__":
    sys.exit(execute(sys.argv[1:]))
