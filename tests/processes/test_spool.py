"""The store fails: runs go on in the spool, and everything comes home once it is back."""

from __future__ import annotations

import json
import os
import pickle
import random
import shlex
import signal
import subprocess
import sys
import time
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun import spool as spools
from objrun.errors import (
    CommitUnknownError,
    CredentialsError,
    PermissionDeniedError,
    SpoolWarning,
    StoreFullError,
    UnavailableError,
)
from objrun.protocol import post, settle
from objrun.storage import FaultyStore
from objrun.storage.wrappers import Fault
from objrun.testing.proxy import Delay, Reset
from tests.processes.programs import Place, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.testing.proxy import Proxy
    from objrun.testing.servers import Server

DOWN = UnavailableError("the store is down")


def objrun(*arguments: str) -> str:
    """What the command line says."""
    command = [sys.executable, "-m", "objrun", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


HURRY = """
from objrun import spool as spools
from objrun.protocol import endings, post, settle
settle.PATIENCE, post.ESCAPE, endings.EXIT_PATIENCE = 1.0, 1.0, 8.0
spools.FIRST_LOOK = spools.SLOWEST_LOOK = 0.5
"""


class Home:
    """A workspace on a store that fails as `plan(verb, key)` says."""

    def __init__(self, url: str) -> None:
        self.plan: Callable[[str, str], Exception | Fault | None] = lambda _verb, _key: None
        self.workspace = Workspace(url, {"durability": "none"})
        self.workspace.go_through(lambda store: FaultyStore(store, self._planned))
        self.experiment = Experiment(self.workspace, "outages")

    def _planned(self, verb: str, key: str) -> Exception | Fault | None:
        return self.plan(verb, key)

    def fail(self, error: Exception = DOWN) -> None:
        self.plan = lambda _verb, _key: error

    def work(self) -> None:
        self.plan = lambda _verb, _key: None

    def reader(self) -> Workspace:
        return Workspace(self.workspace.url)

    def come_home(self) -> None:
        """Wait until the spool has nothing left."""
        assert self.workspace.spool is not None
        for _ in range(2000):
            self.workspace.spool.hurry()
            if not self.workspace.spool.waiting():
                return
            time.sleep(0.05)
        raise AssertionError("the spool is not copied")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A store in a folder, whose failures count at once."""
    monkeypatch.setattr(settle, "PATIENCE", 0.2)
    monkeypatch.setattr(post, "ESCAPE", 0.2)
    monkeypatch.setenv("OBJRUN_SPOOL", str(tmp_path / "my spools"))
    monkeypatch.setattr(spools, "FIRST_LOOK", 0.1)
    monkeypatch.setattr(spools, "SLOWEST_LOOK", 0.1)
    made = Home(str(tmp_path / "home"))
    yield made
    made.work()
    made.come_home()


@pytest.mark.parametrize(
    "error", [DOWN, StoreFullError("no space is left"), PermissionDeniedError("read-only")]
)
def test_a_run_goes_on_and_comes_home(
    home: Home, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    run = home.experiment.start_logging(tags={"before": "1"})
    run.log("x", 0.0)
    run.flush()
    home.fail(error)
    for number in range(1, 1000):
        run.log("x", float(number))
    run.tag("during", "2")
    run.log_params({"lr": 0.1})
    run.add_properties({"p": "3"})
    run.flush()
    run.complete()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "logging goes on in" in caplog.text
    home.work()
    home.come_home()
    found = home.reader().get_run(run.id)
    assert found.get_metrics("x")["x"] == [float(number) for number in range(1000)]
    assert found.status == "Completed"
    assert found.tags == {"before": "1", "during": "2"}
    assert found.get_params() == {"lr": 0.1}
    assert found.properties["p"] == "3"
    assert [entry["version"] for entry in found.history()] == [1, 2, 3, 4, 5]
    assert caplog.messages[-1].endswith("is back, and has all that was logged meanwhile")


def test_who_reads_meanwhile_is_told_that_it_is_not_all(home: Home) -> None:
    """The store can be read and takes nothing, as a disk that is full."""
    run = home.experiment.start_logging(outputs=False)
    run.log("x", 0.0)
    run.upload_file("before", BytesIO(b"1"))
    run.flush()
    full = StoreFullError("no space is left")
    home.plan = lambda verb, _key: full if verb in ("put", "put_if_absent", "upload") else None
    run.log("x", 1.0)
    run.upload_file("since", BytesIO(b"2"))
    with pytest.warns(SpoolWarning, match="only one part"):
        assert run.get_metrics() == {"x": 0.0}
    with pytest.warns(SpoolWarning, match="only one part"):
        assert run.get_file_names() == ["since"]
    home.work()
    home.come_home()
    assert run.get_metrics() == {"x": [0.0, 1.0]}
    assert run.get_file_names() == ["before", "since"]


def test_a_run_that_starts_in_an_outage(home: Home) -> None:
    home.experiment.start_logging(run_id="before").complete()
    home.fail()
    run = home.experiment.start_logging(run_id="during")
    run.log("x", 1.0)
    child = run.child_run("part")
    child.log("y", 2.0)
    child.complete()
    run.complete()
    home.work()
    home.come_home()
    found = home.reader().get_run("during")
    assert found.get_metrics() == {"x": 1.0}
    assert [(each.id, each.get_metrics()) for each in found.get_children()] == [
        (child.id, {"y": 2.0})
    ]
    assert len(Experiment(home.reader(), "outages").get_runs()) == 2


def test_a_store_that_was_never_there(home: Home) -> None:
    home.fail()
    with home.experiment.start_logging(run_id="first") as run:
        run.log("x", 1.0)
    home.work()
    home.come_home()
    assert home.reader().get_run("first").get_metrics() == {"x": 1.0}


def test_what_reached_the_store_without_an_answer_counts_once(home: Home) -> None:
    run = home.experiment.start_logging()
    lost = Fault(DOWN, applied=True)
    home.plan = lambda verb, key: lost if verb == "put_if_absent" and "state" in key else None
    run.tag("a", "1")
    home.fail()
    run.tag("b", "2")
    run.complete()
    home.work()
    home.come_home()
    found = home.reader().get_run(run.id)
    assert found.tags == {"a": "1", "b": "2"}
    kinds = [op["op"] for entry in found.history() for op in entry["ops"]]
    assert kinds.count("set_tags") == 2
    assert kinds[-1] == "set_status"


def test_a_start_that_reached_the_store_without_an_answer_is_one_run(home: Home) -> None:
    home.experiment.start_logging().complete()
    lost = Fault(DOWN, applied=True)
    home.plan = lambda verb, key: lost if verb == "put_if_absent" and "runs/" in key else None
    run = home.experiment.start_logging()
    run.log("x", 1.0)
    run.complete()
    home.work()
    home.come_home()
    runs = Experiment(home.reader(), "outages").get_runs()
    assert sorted(each.status for each in runs) == ["Completed", "Completed"]
    assert home.reader().get_run(run.id).get_metrics() == {"x": 1.0}


def test_what_others_did_meanwhile_stays(home: Home) -> None:
    run = home.experiment.start_logging()
    home.fail()
    run.tag("mine", "1")
    home.reader().get_run(run.id).tag("theirs", "2")
    run.tag("mine", "3")
    home.work()
    home.come_home()
    assert home.reader().get_run(run.id).tags == {"mine": "3", "theirs": "2"}
    run.tag("later", "4")
    run.complete()
    home.come_home()
    found = home.reader().get_run(run.id)
    assert found.tags == {"mine": "3", "theirs": "2", "later": "4"}
    assert found.status == "Completed"


def test_a_run_started_after_the_outage_goes_to_the_store(home: Home) -> None:
    home.fail()
    home.experiment.start_logging().complete()
    home.work()
    home.come_home()
    run = home.experiment.start_logging()
    run.log("x", 1.0)
    run.flush()
    assert home.reader().get_run(run.id).get_metrics() == {"x": 1.0}


def test_the_spool_is_a_store_and_sending_it_again_moves_nothing(home: Home) -> None:
    run = home.experiment.start_logging()
    home.fail()
    run.log("x", 1.0)
    run.tag("a", "1")
    run.complete()
    assert home.workspace.spool is not None
    folder = home.workspace.spool.folder
    assert Workspace(folder).get_run(run.id).get_metrics() == {"x": 1.0}
    objrun("--url", folder, "verify")
    home.work()
    home.come_home()
    assert json.loads(objrun("sync", folder, home.workspace.url, "--json"))["bytes"] == 0


def test_a_pickle_is_a_handle_on_the_store(home: Home) -> None:
    """Versions are numbered anew in the spool, which nobody else can know."""
    run = home.experiment.start_logging()
    home.fail()
    for number in range(5):
        run.tag("n", str(number))
    began_there = home.experiment.start_logging()
    with pytest.raises(UnavailableError, match="began in the spool"):
        pickle.dumps(began_there)
    data = pickle.dumps(run)
    home.work()
    pickle.loads(data).tag("theirs", "1")  # noqa: S301 - made here
    home.come_home()
    found = home.reader().get_run(run.id)
    assert found.tags == {"n": "4", "theirs": "1"}
    assert [entry["version"] for entry in found.history()] == [1, 2, 3, 4, 5, 6, 7]


def test_no_spool_can_be_made(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OBJRUN_SPOOL", str(tmp_path / "file" / "spools"))
    other = Home(home.workspace.url)
    run = other.experiment.start_logging()
    other.fail()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            run.tag("a", "1")
    assert caplog.text.count("and so does the spool") == 1
    other.work()
    run.complete()


def test_the_spool_is_limited(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OBJRUN_SPOOL_SIZE", "20kB")
    run = home.experiment.start_logging()
    home.fail()
    run.tag("a", "1")
    run.log_batch("x", [random.random() for _ in range(10_000)])
    with pytest.raises(StoreFullError, match="OBJRUN_SPOOL_SIZE"):
        run.flush()
    for number in range(40):
        run.tag("n", str(number))
    assert "a change is lost" in caplog.text
    home.work()
    home.come_home()
    assert home.reader().get_run(run.id).tags["a"] == "1"


def test_off_means_that_errors_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBJRUN_SPOOL", "off")
    monkeypatch.setattr(settle, "PATIENCE", 0.1)
    home = Home(str(tmp_path / "home"))
    run = home.experiment.start_logging()
    home.fail()
    with pytest.raises(UnavailableError):
        run.tag("a", "1")
    with pytest.raises(CommitUnknownError):
        home.experiment.start_logging()
    home.work()
    run.complete()


def test_what_is_wrong_from_the_start_is_an_error(home: Home) -> None:
    """Nothing is lost yet, and a person is there to mend it."""
    home.fail(PermissionDeniedError("not allowed"))
    with pytest.raises(PermissionDeniedError):
        home.experiment.start_logging()


def test_credentials_that_run_out_before_the_first_write(home: Home) -> None:
    """A worker that has only found its run, so far."""
    started = Experiment(home.reader(), "outages").start_logging(run_id="found")
    run = home.workspace.get_run(started.id)
    home.fail(CredentialsError("expired"))
    run.log("x", 1.0)
    run.tag("during", "1")
    run.flush()
    home.work()
    home.come_home()
    found = home.reader().get_run("found")
    assert (found.get_metrics(), found.tags) == ({"x": 1.0}, {"during": "1"})


def test_outputs_in_an_outage(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads find that the store is gone; the run moves to the spool once."""
    monkeypatch.chdir(tmp_path)
    run = home.experiment.start_logging(run_id="files")
    for number in range(8):
        (tmp_path / "outputs" / f"{number}").write_text(str(number))
    home.fail()
    run.complete()
    home.work()
    home.come_home()
    found = home.reader().get_run("files")
    assert found.get_file_names() == [f"outputs/{number}" for number in range(8)]
    assert found.open("outputs/7").read() == b"7"
    assert found.status == "Completed"


def test_its_folder_goes_when_all_of_it_is_home(home: Home) -> None:
    home.fail()
    run = home.experiment.start_logging()
    spool = home.workspace.spool
    assert spool is not None
    spool.stop()
    assert Path(spool.folder).exists()
    home.work()
    run.complete()
    home.come_home()
    spool.stop()
    assert not Path(spool.folder).exists()


def test_its_folder_stays_where_something_in_it_is_in_the_way(home: Home) -> None:
    home.fail()
    run = home.experiment.start_logging(run_id="twice")
    Experiment(home.reader(), "outages").start_logging(run_id="twice", tags={"a": "b"}).complete()
    home.work()
    home.come_home()
    spool = home.workspace.spool
    assert spool is not None
    spool.stop()
    assert Workspace(spool.folder).get_run("twice").tags == {}
    assert home.reader().get_run(run.id).tags == {"a": "b"}


def test_its_folder_stays_where_a_child_goes_on_in_it(home: Home) -> None:
    home.fail()
    home.experiment.start_logging().complete()
    home.work()
    home.come_home()
    spool = home.workspace.spool
    assert spool is not None
    folder, mark = Path(spool.folder), Path(f"{spool.folder}{spools._SHARED}")  # noqa: SLF001
    with warnings.catch_warnings():
        # Later versions of Python warn of forks amid threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        # Also where the mark could not be made.
        try:
            mark.unlink()
            spool.stop()
        finally:
            os._exit(not folder.exists())
    assert os.waitpid(child, 0)[1] == 0
    mark.touch()
    spool.stop()
    assert folder.exists()


def test_a_child_that_is_forked_amid_an_outage(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "store"), {"durability": "none"})
    program = launch(
        place,
        f"""{HURRY}
from objrun.errors import UnavailableError
from objrun.storage import FaultyStore
error = None
ws = workspace()
ws.go_through(lambda store: FaultyStore(store, lambda _verb, _key: error))
run = Experiment(ws, "processes").start_logging(run_id="the-run")
run.log("x", 0.0)
run.flush()
error = UnavailableError("down")
run.log("x", 1.0)
run.tag("a", "1")
run.flush()
child = os.fork()
run.log("x", 2.0 if child else 3.0)
run.tag("parent" if child else "child", "1")
if child:
    os.waitpid(child, 0)
    error = None
    run.complete()
""",
    )
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert sorted(place.values()) == [0.0, 1.0, 2.0, 3.0]
    assert place.run().tags == {"a": "1", "parent": "1", "child": "1"}
    assert place.run().status == "Completed"


def test_s3_is_gone_for_the_whole_job(behind: Place, proxy: Proxy, s3_server: Server) -> None:
    proxy.plan = lambda _request: Reset()
    program = launch(
        behind,
        f"""{HURRY}
run = start()
for number in range(1000):
    run.log("x", float(number))
run.tag("done", "yes")
run.complete()
say(run.id)
""",
    )
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert ended.err.count("WARNING") == 1
    line = next(each for each in ended.err.splitlines() if "send it with: " in each)
    command = shlex.split(line.partition("send it with: ")[2])
    assert command[:2] == ["objrun", "sync"]
    options = {k: v if isinstance(v, str) else json.dumps(v) for k, v in s3_server.options.items()}
    send = [*command[1:], *(f"--dst-option={k}={v}" for k, v in options.items())]
    objrun(*send)
    proxy.plan = lambda _request: None
    assert behind.values() == [float(number) for number in range(1000)]
    assert behind.run().status == "Completed"
    assert json.loads(objrun(*send, "--json"))["bytes"] == 0


def test_a_spool_begins_in_the_last_moment(behind: Place, proxy: Proxy, s3_server: Server) -> None:
    """An exit handler of the program logs, and the store has gone: no pool starts threads now."""
    program = launch(
        behind,
        f"""{HURRY}
told = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: told.set())
run = start()
atexit.register(lambda: run.log("x", 1.0))
run.log("x", 0.0)
run.flush()
say("ready")
told.wait()
""",
    )
    program.heard("ready")
    proxy.plan = lambda _request: Reset()
    program.send(signal.SIGUSR1)
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    line = next(each for each in ended.err.splitlines() if "send it with: " in each)
    folder = shlex.split(line.partition("send it with: ")[2])[2]
    Workspace(folder).copy_to(Workspace(behind.url, s3_server.options))
    proxy.plan = lambda _request: None
    assert behind.values() == [0.0, 1.0]


def test_a_request_that_hangs_does_not_hold_up_the_end(
    behind: Place, proxy: Proxy, s3_server: Server
) -> None:
    """The thread that hangs is left alone, and what it has not sent is kept."""
    program = launch(
        behind,
        f"""{HURRY}
endings.EXIT_PATIENCE = 2.0
run = start()
run.log("x", 0.0)
run.flush()
say("ready")
hear()
for number in range(1, 100):
    run.log("x", float(number))
""",
    )
    program.heard("ready")
    proxy.plan = lambda request: Delay(600) if "shards" in request.path else None
    program.go()
    ended = program.ended()
    assert ended.code == 0, ended.err
    proxy.plan = lambda _request: None
    line = next(each for each in ended.err.splitlines() if "send it with: " in each)
    spool = Workspace(shlex.split(line.partition("send it with: ")[2])[2])
    assert spool.get_run("the-run").get_metrics("x")["x"] == [float(n) for n in range(100)]
    spool.copy_to(Workspace(behind.url, s3_server.options))
    assert behind.values() == [float(number) for number in range(100)]


def test_s3_comes_back_before_the_end(behind: Place, proxy: Proxy) -> None:
    program = launch(
        behind,
        f"""{HURRY}
run = start()
run.log("x", 0.0)
run.flush()
say("down")
hear()
run.log("x", 1.0)
run.tag("during", "1")
run.flush()
say("up")
hear()
run.log("x", 2.0)
run.complete()
say(run._experiment.workspace.spool.folder)
""",
    )
    program.heard("down")
    proxy.plan = lambda _request: Reset()
    program.go()
    program.heard("up")
    proxy.plan = lambda _request: None
    program.go()
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert behind.values() == [0.0, 1.0, 2.0]
    assert behind.run().status == "Completed"
    assert behind.run().tags == {"during": "1"}
    assert "is back" in ended.err
    assert not Path(ended.out[-1]).exists()
