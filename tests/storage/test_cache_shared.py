"""The readers' cache under many processes, and before a real S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from objrun.storage import connect
from objrun.testing.proxy import proxy_to

if TYPE_CHECKING:
    from objrun.testing.proxy import Request
    from objrun.testing.servers import Server

LIMIT = 400_000
OBJECTS = 60
LARGEST = 30_000

READER = f"""
import random, sys
from objrun.format.immutable import is_immutable
from objrun.storage import CountingStore, LatencyStore, LocalStore, together
from objrun.storage.cache import CachingStore
from objrun.storage.cache_folder import CacheFolder
from tests.storage.test_cache_shared import body, key
bucket, root, seed = sys.argv[1:]
dice = random.Random(int(seed))
counting = CountingStore(LatencyStore(LocalStore(bucket, durable=False), 0))
store = CachingStore(counting, "one", is_immutable, CacheFolder(root, {LIMIT}))
def look(number):
    data = body(number)
    if dice.random() < 0.5:
        return store.get(key(number)) == data
    start, length = dice.randrange(len(data)), dice.randrange(len(data))
    return store.get_range(key(number), start, length) == data[start : start + length]
wrong = 0
for _ in range(15):
    numbers = [int(dice.random() ** 2 * {OBJECTS}) for _ in range(40)]
    wrong += sum(not answer() for answer in together(store, look, numbers))
print(wrong, store.folder._told, counting.counts.total())
"""


def key(number: int) -> str:
    return f"runs/{number}/state/00000001.json"


def body(number: int) -> bytes:
    return (b"%03d" % number) * ((number + 1) * LARGEST // (3 * OBJECTS))


def test_eight_processes_that_evict_all_the_time(tmp_path: Path) -> None:
    bucket, root = tmp_path / "bucket", tmp_path / "cache"
    store = connect(str(bucket), durability="none")
    for number in range(OBJECTS):
        store.put(key(number), body(number))
    assert sum(len(body(number)) for number in range(OBJECTS)) > 2 * LIMIT
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(bucket), str(root), str(seed)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for seed in range(8)
    ]
    told = [reader.communicate()[0].split() for reader in readers]
    assert [(words[0], words[1]) for words in told] == [("0", "False")] * 8
    # It is a cache: of 600 looks of each many asked nothing, though most were of ranges.
    assert sum(int(words[2]) for words in told) < 8 * 600
    sizes = [file.stat().st_size for file in root.glob("store-*/*/*")]
    assert 0 < sum(sizes) <= LIMIT + LARGEST
    assert not [*root.glob("store-*/*/new-*")]


def kind(request: Request) -> str:
    """GET, LIST, or what else a request of S3 is."""
    return "LIST" if request.method == "GET" and "list-type" in request.path else request.method


LOOK = """
import json, sys
from objrun import Experiment, Workspace
url, options = sys.argv[1], json.loads(sys.argv[2])
experiment = Experiment(Workspace(url, options), "digits")
print(experiment.runs(["metrics.loss.last"]).collect()["metrics.loss.last"].to_list())
print([run.get_metrics() for run in experiment.get_runs()])
print(experiment.metrics().collect()["value"].to_list())
print("objrun.storage.cache" in sys.modules)
"""

LOG = """
import json, sys
from objrun import Experiment, Run, Workspace
url, options = sys.argv[1], json.loads(sys.argv[2])
experiment = Experiment(Workspace(url, options), "digits")
for _ in range(3):
    with experiment.start_logging(tags={"a": 1}) as run:
        run.log("loss", 0.5)
        run.log_params({"lr": 0.1})
        run.child_run().complete()
        Run.get(experiment.workspace, run.id).tag("b")
print("objrun.storage.cache" in sys.modules)
"""


def test_a_second_look_from_another_process_only_lists(s3_server: Server, tmp_path: Path) -> None:
    """One GET tells which store it is; all else is a LIST."""
    with proxy_to(s3_server.port) as proxy:
        url = f"{s3_server.new_bucket()}/team"
        options = s3_server.options_at(proxy.port)

        def run(program: str) -> tuple[str, list[Request]]:
            proxy.log.clear()
            done = subprocess.run(
                [sys.executable, "-c", program, url, json.dumps(options)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OBJRUN_CACHE": str(tmp_path / "cache")},
            )
            return done.stdout, [*proxy.log]

        assert run(LOG)[0] == "False\n"
        assert not (tmp_path / "cache").exists()
        first, asked = run(LOOK)
        assert first.startswith("[None, 0.5, None, 0.5, None, 0.5]\n[{'loss': 0.5}, ")
        gets = [request.path for request in asked if kind(request) == "GET"]
        assert len(gets) == len(set(gets)) == 1 + 6 + 3
        second, asked = run(LOOK)
        assert second == first
        others = [request.path for request in asked if kind(request) != "LIST"]
        assert [path.partition("?")[0][-11:] for path in others] == ["objrun.json"]
