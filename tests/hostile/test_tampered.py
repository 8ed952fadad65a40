"""A store in which objects were replaced: what is hostile is named, and the rest goes on."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Workspace, clock
from objrun.cli.edge import execute
from objrun.errors import ObjrunError
from objrun.storage import MemoryStore
from objrun.tables.verify.findings import repair
from objrun.tables.verify.store import verify
from objrun.upkeep.copying import copy_workspace
from tests.hostile.bombs import file, names, nulls, repeated, times
from tests.hostile.fuzz import damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = [
    b"", b"{}", b"[" * 10**5, b'{"format":1,"state":{}}', b"PAR1PAR1", b"\xff" * 99,
    file([names(), times(), nulls(2**30)], 20), file([repeated(), times(2**20)], 2**20),
]  # fmt: skip
NAME = "evil\x1b[2J\x1b]0;title\x07\u202etxt\x9b31m[red]</td><script>alert(1)</script>"


def made(url: str) -> tuple[Workspace, list[str]]:
    """Three runs with tags and points, compacted, and one behind that."""
    workspace = Workspace(url)
    ids = []
    for number in range(4):
        with Experiment(workspace, "e").start_logging(tags={"n": str(number)}) as run:
            run.log("x", float(number))
        ids.append(run.id)
        if number == 2:
            workspace.compact()
    return workspace, ids


def acts(url: str, ids: list[str]) -> list[Callable[[], Any]]:
    """All that anybody does with a store."""
    store = MemoryStore(url.removeprefix("memory://"))

    def mended() -> None:
        for _ in repair(store, [*verify(store, deep=True)]):
            pass

    target = Workspace(f"memory://{clock.random_hex(8)}")
    reads = [lambda run=run: Workspace(url).get_run(run).get_metrics() for run in ids]
    return [
        *reads,
        lambda: Experiment(Workspace(url), "e").get_runs(),
        lambda: Experiment(Workspace(url), "e").runs(["metrics.x.last"]).collect(),
        lambda: Experiment(Workspace(url), "e").metrics().collect(),
        lambda: [*verify(store, deep=True)],
        lambda: copy_workspace(Workspace(url), target, None, lambda _copied: None),
        lambda: Workspace(url).compact(),
        lambda: Workspace(url).vacuum(),
        mended,
    ]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_replaced_is_named(seed: int) -> None:
    random = Random(seed)
    workspace, ids = made(f"memory://{clock.random_hex(8)}")
    store = MemoryStore(workspace.url.removeprefix("memory://"))
    before = {info.key: store.get(info.key) for info in store.list("")}
    for key in random.sample([k for k in before if k.startswith(("runs/", "experiments/"))], 2):
        data = before[key]
        store.put(key, random.choice(HOSTILE) if random.random() < 0.5 else damaged(random, data))
    for act in acts(workspace.url, ids):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(ObjrunError):
                act()


def test_the_others_stay_readable() -> None:
    workspace, ids = made(f"memory://{clock.random_hex(8)}")
    store = MemoryStore(workspace.url.removeprefix("memory://"))
    for hostile in HOSTILE:
        key = f"runs/{ids[3]}/state/00000002.json"
        store.put(key, hostile)
        with pytest.raises(ObjrunError, match=key):
            Workspace(workspace.url).get_run(ids[3])
        for number in range(3):
            run = Workspace(workspace.url).get_run(ids[number])
            assert run.get_metrics() == {"x": float(number)}


COMMANDS = [
    ["runs"], ["runs", "e", "--all"], ["show", "RUN"], ["history", "RUN"], ["metrics", "RUN"],
    ["children", "RUN"], ["stats"], ["verify"], ["compact"], ["vacuum"], ["gc", "--dry-run"],
    ["runs", "e", "--where", "nope = 1"], ["show", "nobody"],
]  # fmt: skip


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_text_of_a_store_gives_orders_to_a_terminal(
    tmp_path: Path, command: list[str], form: list[str]
) -> None:
    with Experiment(Workspace(tmp_path), "e").start_logging(
        display_name=NAME, tags={NAME: NAME}, description=NAME, run_id="r"
    ) as run:
        run.log(NAME, 1.0)
        run.log("text", NAME)
        run.add_properties({NAME: NAME})
    words = [word.replace("RUN", "r") for word in command]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        execute([*words, "--url", str(tmp_path), *form])
    told = out.getvalue() + err.getvalue()
    assert told or form
    assert not [char for char in told if not char.isprintable() and char not in "\n\t"], told


def test_a_notebook_shows_names_as_text(tmp_path: Path) -> None:
    run = Experiment(Workspace(tmp_path), "e").start_logging(display_name=NAME, tags={NAME: NAME})
    run.complete()
    for shown in (run, Experiment(Workspace(tmp_path), "e").get_runs()):
        assert "<script>" not in shown._repr_html_()
