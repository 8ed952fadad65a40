"""Where a soak plays: in a folder, or on S3 in any weather; and the account at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from objrun import Workspace
from objrun.errors import NotAStoreError
from objrun.testing.proxy import proxy_to
from objrun.testing.servers import s3_server
from tests.processes.programs import ROOT, Place
from tests.soak.account import Told, losses, told_in
from tests.soak.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Figures:
    """What a soak has done, and what was lost."""

    seconds: float
    processes: int
    ends: Mapping[str, int]
    told: Told
    lost: list[str]
    spools: int = 0
    requests: int = 0
    outages: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)


def on_local(seconds: float, seed: int) -> Figures:
    """A soak in a folder."""
    with tempfile.TemporaryDirectory(prefix="soak-") as root:
        place, folder = Place(f"{root}/store", {"durability": "none"}), Path(root)
        return _account(place, folder, _play(place, folder, seconds, seed))


def on_s3(seconds: float, seed: int) -> Figures:
    """A soak on S3, with outages for a sixth of the time."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        server = stack.enter_context(s3_server())
        proxy = stack.enter_context(proxy_to(server.port))
        longest = min(20.0, seconds / 8)
        weather = Weather(seed, (longest, 6 * longest), (longest / 4, longest))
        proxy.plan = weather.plan
        url = server.new_bucket()
        place = Place(url, server.options_at(proxy.port))
        figures = _account(Place(url, server.options), folder, _play(place, folder, seconds, seed))
        figures.requests, figures.outages = len(proxy.log), weather.outages
        figures.faults = weather.faults
        return figures


def _play(place: Place, folder: Path, seconds: float, seed: int) -> Figures:
    (folder / "journal").mkdir()
    begun = time.monotonic()
    where = [place.url, json.dumps(place.options), str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.soak", *where, str(seconds), str(seed)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-5000:])
    played = json.loads((folder / "played").read_text())
    return Figures(
        seconds=time.monotonic() - begun,
        processes=played["processes"],
        ends=played["ends"],
        told=told_in(folder),
        lost=played["wrong"],
    )


def _account(place: Place, folder: Path, figures: Figures) -> Figures:
    """Bring home what killed processes left in spools, tidy up, and count everything."""
    workspace = Workspace(place.url, place.options)
    for spool in (folder / "spools").glob("*/*/"):
        # Whoever was killed while it made its spool had nothing acknowledged there.
        with suppress(NotAStoreError):
            Workspace(str(spool)).copy_to(workspace)
            figures.spools += 1
    workspace.gc(timedelta(0))
    workspace.compact()
    workspace.vacuum(retention=timedelta(0))
    figures.lost += losses(workspace, figures.told, has_spools=place.url.startswith("s3"))
    return figures
