"""Processes that log images are killed: whoever finds a point finds its image."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from objrun import Workspace
from objrun.format.media import parse_pack
from objrun.tables.verify.store import verify
from tests.processes.programs import Place, launch, perform

if TYPE_CHECKING:
    from pathlib import Path

CAMERA = """
    from objrun.protocol import levels, packs
    levels.FAN = 3
    run = start(arguments[0])
    send, sent = packs.Packs.send, []

    def dying(self, *given):
        done = send(self, *given)
        sent.append(done)
        if len(sent) == int(arguments[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    packs.Packs.send = dying
    number = 0
    while True:
        run.log_image("x", path=b"P2 1 1 65535 %d" % number, step=number)
        run.flush()
        number += 1
        say(number)
"""


def seen(workspace: Workspace, run_id: str) -> int:
    """How many images a run has: all from the first on, each with its bytes."""
    data = [image.data for image in workspace.get_run(run_id).images()]
    assert data == [b"P2 1 1 65535 %d" % number for number in range(len(data))]
    return len(data)


def check_sound(workspace: Workspace) -> None:
    assert [*verify(workspace.reading(), deep=True)] == []


def packs_of(workspace: Workspace) -> list[str]:
    return [info.key for info in workspace.store.list("runs/") if parse_pack(info.key)]


def test_what_was_flushed_is_there_whenever_a_process_is_killed(mostly_local: Place) -> None:
    Workspace.create(mostly_local.url, mostly_local.options)
    programs = {f"run-{count}": count for count in (1, 7, 40)}
    running = {name: launch(mostly_local, CAMERA, name, 10**9) for name in programs}
    for name, program in running.items():
        for acknowledged in map(int, program.lines()):
            if acknowledged >= programs[name]:
                programs[name] = acknowledged
                program.send(signal.SIGKILL)
        program.ended()
    workspace = mostly_local.workspace()
    for name, count in programs.items():
        assert count <= seen(workspace, name) <= count + 1
    # Two of each level, those that one who is killed has not deleted any more, and one in flight.
    assert len(packs_of(workspace)) <= 3 * (2 * 5 + 2 + 1)
    check_sound(workspace)


@pytest.mark.parametrize("packs", [1, 6])
def test_a_spool_whose_process_died_between_a_pack_and_its_points_comes_home(
    mostly_local: Place, tmp_path: Path, packs: int
) -> None:
    spool = Place(str(tmp_path / "spool"), {"durability": "none"})
    ended = perform(spool, CAMERA, "the-run", packs)
    assert ended.code == -signal.SIGKILL
    home = mostly_local.workspace()
    spool.workspace().copy_to(home)
    assert seen(home, "the-run") == packs - 1 == len(ended.out)
    assert {*packs_of(home)} <= {*packs_of(spool.workspace())}
    check_sound(home)
