"""What of a submitted script stays on the machine, under which names, and for how long."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, clock
from objrun.errors import ExperimentExecutionException
from objrun.submission.folders import KEPT, hold, remove_old, work_folder
from objrun.submission.slots import close
from tests.submission.conftest import ended, log_of

if TYPE_CHECKING:
    from objrun import Run, Workspace
    from tests.submission.conftest import Submit


def left(run: Run) -> list[str]:
    """What is left of a run below the root of the work folders."""
    return sorted(place.name for place in Path(work_folder("")).glob(f"{run.id}*"))


KEEPS = "open('checkpoint.pt', 'w').write('weights')"

HIDES = """
import os
from objrun import Run
from objrun.errors import FileConflictError
open("logs/std_log.txt", "w").write("own")
os.makedirs("__pycache__", exist_ok=True)
open("__pycache__/train.pyc", "w").write("is made again")
print("printed")
try:
    Run.get_context().upload_file("logs/std_log.txt", "train.py")
except FileConflictError as error:
    print(error.message)
"""


def test_what_is_stored_goes_and_what_is_not_stays(local_ws: Workspace, submit: Submit) -> None:
    """And a file of the script never hides what it printed."""
    hides, keeps = submit(local_ws, HIDES), submit(local_ws, KEEPS)
    fails = submit(local_ws, "raise SystemExit(3)")
    assert {ended(run).status for run in (hides, keeps)} == {"Completed"}
    assert hides.get_file_names() == ["logs/std_log.script.txt", "logs/std_log.txt"]
    assert log_of(hides).decode() == (
        "printed\nlogs/std_log.txt is what the script prints: upload the file under another name\n"
        "\n[objrun: this is logs/std_log.txt, that of the script is logs/std_log.script.txt]\n"
    )
    with hides.open("logs/std_log.script.txt") as file:
        assert file.read() == b"own"
    assert left(hides) == []
    assert left(keeps) == [keeps.id, f"{keeps.id}.objrun-lock"]
    assert ended(fails).status == "Failed"
    assert left(fails) == [fails.id, f"{fails.id}.objrun-lock"]
    assert keeps.clean() == [f"removed {work_folder(keeps.id)}"]
    assert left(keeps) == keeps.clean() == []
    with pytest.raises(ExperimentExecutionException, match="nothing to clean"):
        Experiment(local_ws, "digits").start_logging().clean()


def test_what_nobody_has_worked_in_for_a_month_goes() -> None:
    places = {name: Path(work_folder(name)) for name in ("old", "young", "works", "foreign")}
    for name, place in places.items():
        place.mkdir(parents=True)
        (place / "train.py").touch()
        if name == "foreign":
            Path(f"{place}.lock").touch()  # of another program
        else:
            close(hold(str(place)))
    held = hold(str(places["works"]))
    long_ago = clock.now().timestamp() - KEPT - 60
    for name in ("old", "works", "foreign"):
        for place in Path(work_folder("")).glob(f"{name}*"):
            os.utime(place, (long_ago, long_ago))
    remove_old()
    assert not [*Path(work_folder("")).glob("old*")]
    assert all((places[name] / "train.py").exists() for name in ("young", "works", "foreign"))
    close(held)


def test_the_environment_is_that_of_the_script(
    local_ws: Workspace, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OBJRUN_ENVIRONMENT")
    venv.create(tmp_path / "venv", with_pip=False)
    run = submit(local_ws, "import sys; print(sys.prefix)", environment=tmp_path / "venv")
    assert ended(run).status == "Completed"
    assert log_of(run).decode().strip() == str(tmp_path / "venv")
    found = run.get_environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"].keys() <= {"pip", "setuptools"}
    assert (found["host"], found["command"]) == (os.uname().nodename, "python train.py")
    own = ended(submit(local_ws, "")).get_environment()
    assert own["packages"].keys() > {"pyarrow", "orjson"}
