"""Large files: stored and read back, beside what fsspec does with the same server."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import pytest
import s3fs

from benchmarks.sizes import FULL
from objrun import Experiment, Workspace
from objrun.storage import CountingStore
from objrun.storage.sharing import share
from objrun.testing.servers import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from objrun import Artifact
    from objrun.testing.servers import Server

Compare = Callable[..., None]
Note = Callable[..., None]

SIZE = 1 << 30 if FULL else 1 << 27


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A local S3."""
    with s3_server() as running:
        yield running


@pytest.fixture
def large(folder: Path) -> Path:
    """A file of random bytes."""
    path = folder / "large"
    with path.open("wb") as file:
        for _ in range(SIZE >> 20):
            file.write(os.urandom(1 << 20))
    return path


def test_upload(compare: Compare, server: Server, large: Path) -> None:
    bucket = server.new_bucket()
    run = Experiment(Workspace(f"{bucket}/s", server.options), "files").start_logging(outputs=False)
    fs = s3fs.S3FileSystem(**server.options)
    number = count()
    compare(
        f"upload_file of {SIZE >> 20} MiB to S3, beside fsspec's put",
        lambda: run.upload_file(f"large-{next(number)}", large),
        lambda: fs.put_file(large, f"{bucket.removeprefix('s3://')}/put-{next(number)}"),
        bar="1.11x",
        items=SIZE >> 20,
        unit="MiB",
        rounds=5,
    )


def test_download(compare: Compare, server: Server, large: Path) -> None:
    bucket = server.new_bucket()
    run = Experiment(Workspace(f"{bucket}/s", server.options), "files").start_logging(outputs=False)
    run.upload_file("large", large)
    fs = s3fs.S3FileSystem(**server.options)
    key = run.upload_file("large", large).artifacts["large"].key
    compare(
        f"download_file of {SIZE >> 20} MiB from S3, checked, beside fsspec's get",
        lambda: run.download_file("large", large.with_name("ours")),
        lambda: fs.get_file(f"{bucket.removeprefix('s3://')}/s/{key}", large.with_name("theirs")),
        bar="-",
        items=SIZE >> 20,
        unit="MiB",
        rounds=5,
    )


@pytest.mark.parametrize("durability", ["none", "fsync"])
@pytest.mark.parametrize("size", [1 << 16, 50 << 20])
def test_equal_files(
    compare: Compare, note: Note, folder: Path, size: int, durability: str
) -> None:
    """What is shared here by hand is shared by each upload: the wrapper keeps it from that."""
    source, count = folder / "source", 20
    source.write_bytes(os.urandom(size))
    workspace = Workspace(folder / "store", {"durability": durability})
    inside = workspace.store
    workspace.go_through(CountingStore)
    experiment = Experiment(workspace, "files")
    runs = iter([experiment.start_logging(outputs=False) for _ in range(count)])
    stored: list[Artifact] = []

    def upload() -> None:
        stored.append(next(runs).upload_file("model", source).artifacts["model"])

    upload()
    rooms: list[int] = []
    compare(
        f"keeping a file of {size >> 10:,} KiB once in a folder, {durability}, beside uploading it",
        lambda: share(inside, stored[-1].key, stored[-1].sha256),
        upload,
        bar="-",
        items=1,
        unit="file",
        prepare=lambda: rooms.append(_room(folder / "store")),
        rounds=count - 1,
    )
    note(
        f"room of {count} runs with that file",
        f"{_room(folder / 'store') / 2**20:,.2f} MiB",
        "-",
        f"{count * rooms[0] / 2 / 2**20:,.2f} MiB without",
    )


def _room(folder: Path) -> int:
    """Return the bytes of all artifacts on the disk, each file once."""
    blocks = {(s := path.stat()).st_ino: s.st_blocks for path in folder.rglob("artifacts/*")}
    return 512 * sum(blocks.values())
