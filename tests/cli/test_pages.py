"""The page of the command line says what the commands say."""

from __future__ import annotations

import subprocess
import sys

from tests.house.tree import ROOT


def test_the_page_is_current() -> None:
    command = [sys.executable, str(ROOT / "tools" / "make_cli_docs"), "--verify"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
