"""A store with runs of every sort, and `objrun` called with what it prints captured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from objrun import Experiment, Workspace
from objrun.cli.edge import execute

if TYPE_CHECKING:
    from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
FAST = {"durability": "none"}
ERROR = "CUDA out of memory: tried to allocate 2 GB"


class Printed(NamedTuple):
    """What one call printed, without colours, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Call(Protocol):
    """`objrun *arguments`; with `width`, at a terminal of so many columns."""

    def __call__(self, *arguments: str, width: int | None = None) -> Printed: ...


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OBJRUN_URL", "OBJRUN_TRACEBACK", "FORCE_COLOR", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bare(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`objrun` without a store."""

    def call(*arguments: str, width: int | None = None) -> Printed:
        with monkeypatch.context() as settings:
            if width is not None:
                settings.setenv("FORCE_COLOR", "1")
                settings.setenv("TERM", "xterm")
                settings.setenv("COLUMNS", str(width))
            capfd.readouterr()
            code = execute(arguments)
        out, err = capfd.readouterr()
        return Printed(code, ANSI.sub("", out), ANSI.sub("", err))

    return call


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, to which nobody writes.

    `digits` has 1 (done), 2 (failed), 3 (running), 4 (a sweep with children 5 and 6, and 7 below
    6), 8 (canceled); `other` has 1.
    """
    folder = tmp_path_factory.mktemp("cli") / "store"
    workspace = Workspace(folder, FAST)
    digits = Experiment(workspace, "digits")
    with digits.start_logging(
        display_name="a cnn", run_id="done-1", tags={"model": "cnn", "best": None}
    ) as run:
        run.log_params({"lr": 0.1, "layers": 3, "huge": 2**70, "bad": float("nan")})
        for step in range(100):
            run.log("loss", 9.0 if step == 61 else 1 / (step + 1), step=step)
        run.log("loss", float("nan"), step=100)
        run.log("top", float("inf"))
        run.log("note", "two\nlines")
        run.log("count", 2**70)
        run.log_table("confusion", {"a": [1, 2], "b": [3.5, None]})
        run.log_list("folds", [1, float("-inf")])
    failed = digits.start_logging(display_name="a tree", run_id="failed-2", tags={"model": "tree"})
    failed.log_params({"lr": 0.5})
    failed.log("loss", 3.5)
    failed.fail(ERROR, "OOM")
    running = digits.start_logging(run_id="running-3", description="goes on")
    running.log("loss", 0.05)
    running.flush()
    with digits.start_logging(display_name="sweep", run_id="sweep-4") as sweep:
        children = [sweep.child_run(f"child {n}", run_id=f"child-{n}") for n in (5, 6)]
        for child, accuracy in zip(children, (0.5, 0.75), strict=True):
            child.log("accuracy", accuracy, step=0)
            child.log("accuracy", accuracy / 2, step=1)
            child.complete()
        children[1].child_run("grandchild", run_id="grand-7").complete()
    digits.start_logging(run_id="canceled-8").cancel()
    Experiment(workspace, "other").start_logging(run_id="other-1").complete()
    return folder


@pytest.fixture
def cli(bare: Call, place: Path) -> Call:
    """`objrun --url <the store>`."""

    def call(*arguments: str, width: int | None = None) -> Printed:
        return bare("--url", str(place), *arguments, width=width)

    return call
