"""Small stores at every stage of their life, and what changes them."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from objrun import Experiment, Workspace, clock
from objrun.format import keys
from objrun.format.checkpoints import encode_checkpoint
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.storage import MemoryStore
from objrun.tables.compaction import compact
from objrun.tables.reading import Rows, TableReader
from objrun.tables.vacuum import vacuum
from objrun.tables.verify.findings import Finding, repair
from objrun.tables.verify.store import verify
from objrun.tables.writing import Target, write_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

NAME = "digits"
LAST = "runs/r1/state/00000004.json"


class Made:
    """A store in memory and what it answers."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.workspace = Workspace(f"memory://{clock.random_hex(8)}")
        self.store: Store = MemoryStore(self.workspace.url.removeprefix("memory://"))
        for key, data in (objects or {}).items():
            self.store.put(key, data)

    @property
    def objects(self) -> dict[str, bytes]:
        return {info.key: self.store.get(info.key) for info in self.store.list("")}

    def answers(self) -> tuple[str, str]:
        """Runs with what their metrics come to, and points, as a fresh reader sees them."""
        experiment = Experiment(Workspace(self.workspace.url), NAME)
        columns = ["tags.t", "params.p", "metrics.loss.last", "metrics.loss.count"]
        # When a run was last seen, markers tell that a repair may put again.
        runs = experiment.runs(columns).collect().sort("run_id").drop("last_seen")
        points = experiment.metrics().collect().sort("run_id", "name", "time", "step")
        return repr(runs.to_dicts()), repr(points.to_dicts())

    def find(self, *, deep: bool = True) -> list[Finding]:
        return [*verify(self.store, deep=deep)]

    def checkpoint(self) -> Any:
        checkpoint = latest_checkpoint(self.store, NAME)
        assert checkpoint is not None
        return checkpoint

    def table(self, kind: str) -> str:
        return f"{keys.tables(NAME)}{self.checkpoint().of_kind(kind)[0].name}"

    def rewrite(self, kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Replace the files of a kind by one that is told of truly and has other rows."""
        checkpoint = self.checkpoint()
        old = [file for file in checkpoint.files if file.kind == kind]
        readers = [TableReader(self.store, NAME, file) for file in old]
        frame = pl.concat(part for reader in readers for part in reader.frames(Rows()))
        target = Target(self.store, NAME, checkpoint.number, kind, 0)
        files = write_frames(target, [change(frame)])
        kept = [file for file in checkpoint.files if file.kind != kind]
        self.commit(files=(*kept, *files))
        self.store.delete(f"{keys.tables(NAME)}{file.name}" for file in old)

    def commit(self, **fields: Any) -> None:
        checkpoint = self.checkpoint()
        further = replace(checkpoint, number=checkpoint.number + 1, **fields)
        self.store.put(keys.checkpoint(NAME, further.number), encode_checkpoint(further))

    def damage(self, key: str) -> None:
        self.store.put(key, self.store.get(key)[:-40])


def fill(made: Made, first: int, stop: int) -> None:
    for place in range(first, stop):
        run = Experiment(made.workspace, NAME).start_logging(run_id=f"r{place}", tags={"t": place})
        run.log_params({"p": place / 7})
        for step in range(30):
            run.log("loss", place + 1 / (step + 1), step=step)
            run.log("accuracy", step / 30)
        run.log_table("table", {"a": [1, 2]})
        child = run.child_run("child", run_id=f"r{place}-child")
        child.log("loss", float(place))
        child.complete()
        run.add_properties({"data": f"v{place}"})
        run.upload_file("notes.txt", io.BytesIO(b"%d " % place * 50))
        run.complete()


def squeeze(made: Made, *, whole: bool = False) -> None:
    compact(made.store, NAME, whole=whole)
    vacuum(made.store, NAME, retention=timedelta(0))


def live(made: Made) -> None:
    fill(made, 0, 3)


def compacted(made: Made) -> None:
    live(made)
    compact(made.store, NAME)


def vacuumed(made: Made) -> None:
    live(made)
    squeeze(made)


def tailed(made: Made) -> None:
    """Tables of two levels, and a live tail: a new run, and changes of an old one."""
    fill(made, 0, 8)
    squeeze(made)
    late = Experiment(made.workspace, NAME).start_logging(run_id="late")
    late.log("loss", 1.0)
    late.flush()
    squeeze(made)
    late.log("loss", 2.0)
    late.tag("t", "changed")
    late.flush()
    fill(made, 8, 9)
    assert {file.level for file in made.checkpoint().files} == {0, 1}


def purged(made: Made) -> None:
    """Runs that were purged from tables and from the live tail, and an experiment made anew."""
    vacuumed(made)
    fill(made, 3, 5)
    for run in ("r1", "r4"):
        made.workspace.get_run(run).delete()
    Experiment(made.workspace, "gone").start_logging(run_id="with-it").complete()
    Experiment.delete(made.workspace, "gone", with_runs=True)
    made.workspace.gc(timedelta(0))
    Experiment(Workspace(made.workspace.url), "gone").start_logging(run_id="new").complete()
    squeeze(made)


STAGES = {stage.__name__: stage for stage in (live, compacted, vacuumed, tailed, purged)}


@cache
def objects_of(stage: str) -> dict[str, bytes]:
    made = Made()
    STAGES[stage](made)
    return made.objects


def fresh(stage: str) -> Made:
    return Made(objects_of(stage))


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.key) for finding in findings]


def mend(made: Made) -> None:
    for finding, error in repair(made.store, made.find()):
        assert error is None, finding


def all_runs(made: Made) -> pl.DataFrame:
    return Workspace(made.workspace.url).runs().collect()


def all_points(made: Made) -> pl.DataFrame:
    return Workspace(made.workspace.url).metrics().collect()


def lose(key: str) -> Callable[[Made], str]:
    def act(made: Made) -> str:
        made.store.delete([key])
        return key

    return act


def spoil(key: str) -> Callable[[Made], str]:
    def act(made: Made) -> str:
        made.damage(key)
        return key

    return act


def lose_table(kind: str) -> Callable[[Made], str]:
    return lambda made: lose(made.table(kind))(made)


def spoil_table(kind: str) -> Callable[[Made], str]:
    return lambda made: spoil(made.table(kind))(made)
