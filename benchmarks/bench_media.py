"""Many small images: what logging adds to encoding them, in how many objects, and reading them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.sizes import FULL, shown
from objrun import Experiment, Workspace
from objrun.format.media import parse_reference
from objrun.protocol.blobs import BlobReader, Kept
from objrun.storage import CountingStore
from objrun.values.pictures import png

if TYPE_CHECKING:
    from pathlib import Path

Compare = Callable[..., None]
Note = Callable[..., None]

COUNT = 10_000 if FULL else 1_000
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 58, 58, 3), np.uint8)


def test_log_image(compare: Compare, folder: Path) -> None:
    experiment = Experiment(Workspace(folder), "bench")

    def ours() -> None:
        # A run each: the same bytes again would be stored once.
        run = experiment.start_logging(snapshot_directory=None)
        for step, image in enumerate(PIXELS):
            run.log_image("image", plot=image, step=step)
        run.complete()

    def bare() -> None:
        for image in PIXELS:
            png(image)

    work = f"log_image of {COUNT:,} arrays of 10 kB until durable, beside making PNGs of them"
    compare(work, ours, bare, bar="none", items=COUNT, unit="image")


def test_objects_and_requests(note: Note, folder: Path) -> None:
    workspace = Workspace(folder)
    run = Experiment(workspace, "bench").start_logging(snapshot_directory=None)
    for step, image in enumerate(PIXELS):
        run.log_image("image", plot=image, step=step)
    run.complete()
    objects = len(workspace.store.list(""))
    assert objects < 100
    note(f"{COUNT:,} images of 10 kB", f"{objects} objects", "< 100 of 10,000")
    kept = [Kept(run.id, parse_reference(image.reference)) for image in run.images()]
    for what, wanted in (("one", kept[:1]), ("all", kept)):
        counting = CountingStore(workspace.store)
        size = sum(map(len, BlobReader(counting).read(wanted)))
        note(f"read {what} of them", shown(counting.counts), "", f"{size:,} bytes")
