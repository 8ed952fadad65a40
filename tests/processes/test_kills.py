"""SIGKILL at any moment: what was flushed is there, nothing has a hole, others do not notice."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun.tables.verify.store import verify
from tests.processes.programs import Place, launch, perform

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.testing.servers import Server

KILLS = [36, *(pytest.param(kills, marks=pytest.mark.slow) for kills in (150, 151, 152))]

KILLER = """
    # One process makes all imports and forks the workers; it kills them and forks others.
    import random
    from objrun.storage import connect
    import pyarrow.parquet
    if url.startswith("s3"):
        import objrun.storage.s3
    folder, kills = arguments[0], int(arguments[1])
    chance = random.Random(kills)
    stop = os.path.join(folder, "stop")

    def acknowledge(file, text):
        # A line that is written stays, whatever becomes of the process.
        descriptor = os.open(os.path.join(folder, file), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{text}\\n".encode())
        os.close(descriptor)

    def log(run_id):
        run = start(run_id)
        run.log_params({"id": run_id})
        acknowledge("started", run_id)
        count = 0
        def flush():
            while True:
                logged = count
                run.flush()
                acknowledge("flushed", f"{run_id} {logged}")
                time.sleep(0.01)
        threading.Thread(target=flush, daemon=True).start()
        while not os.path.exists(stop):
            for _ in range(20):
                run.log("x", float(count), step=count)
                run.log("y", float(count))
                count += 1
            time.sleep(0.002)
        run.complete()
        acknowledge("flushed", f"{run_id} {count}")

    def work(run_id):
        for number in range(1_000_000):
            with start(f"{run_id}-{number}") as run:
                run.tag("n", number)
                run.log("z", float(number))
            acknowledge("completed", f"{run_id}-{number}")

    def fork(act, run_id):
        pid = os.fork()
        if pid == 0:
            with suppress(KeyboardInterrupt):
                act(run_id)
            os._exit(0)
        return pid

    def ended(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    before = time.monotonic()
    survivor = fork(log, "survivor")
    while not os.path.exists(os.path.join(folder, "flushed")):
        time.sleep(0.01)
    pace = time.monotonic() - before
    alive = []
    for n in range(kills):
        alive.append(fork(work, f"work-{n}") if n % 2 else fork(log, f"log-{n}"))
        if n >= 4:
            # Some die before they have started a run, others amid their third.
            time.sleep(chance.uniform(0.0, pace / 2))
            pid = alive.pop(chance.randrange(len(alive)))
            os.kill(pid, signal.SIGKILL)
            assert ended(pid) == -signal.SIGKILL
    alive += [fork(log, "log-last"), fork(work, "work-last")]
    # However slow this machine is, one of each kind has come so far.
    for file, run_id in (("started", "log-last"), ("completed", "work-last-0")):
        while run_id not in open(os.path.join(folder, file)).read():
            time.sleep(0.01)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
    open(stop, "w").close()
    assert ended(survivor) == 0
"""


@pytest.mark.parametrize("kills", KILLS)
def test_whoever_is_killed_loses_only_what_was_not_flushed(
    place: Place, tmp_path: Path, kills: int
) -> None:
    told = tmp_path / "told"
    told.mkdir()
    for name in ("started", "completed"):
        (told / name).touch()
    kills = kills if place.is_local else kills // 2  # each takes longer
    ended = perform(place, KILLER, told, kills, patience=max(170.0, 8.0 * kills))
    assert ended.code == 0, ended.err
    flushed: Counter[str] = Counter()
    for line in (told / "flushed").read_text().splitlines():
        run_id, count = line.split()
        flushed[run_id] = max(flushed[run_id], int(count))
    check_points(place, flushed)
    check_runs(
        place,
        started=(told / "started").read_text().split(),
        completed=(told / "completed").read_text().split(),
        most_unfinished=kills + 2,
    )
    check_sound(place)
    after = perform(place, "with start('after') as run: run.log('x', 1.0)")
    assert after.code == 0, after.err
    frame = place.workspace().runs().collect()
    assert place.run("after").number == frame["number"].max()


def check_sound(place: Place) -> None:
    """`objrun verify --deep` finds nothing."""
    assert [*verify(place.workspace().reading(), None, deep=True, tell=lambda _: None)] == []


def check_points(place: Place, flushed: Counter[str]) -> None:
    """Of each metric there are the first points, and all that a flush has confirmed."""
    points = place.workspace().metrics().filter(pl.col("name").is_in(["x", "y"])).collect()
    found: Counter[str] = Counter()
    for (run_id, _name), part in points.group_by("run_id", "name", maintain_order=True):
        assert part["value"].to_list() == list(range(part.height))
        assert part.height >= flushed[str(run_id)]
        found[str(run_id)] += 1
    assert {run_id for run_id, count in flushed.items() if count} <= {
        run_id for run_id, metrics in found.items() if metrics == 2
    }
    assert points.filter(run_id="survivor").height == 2 * flushed["survivor"]


def check_runs(
    place: Place, *, started: list[str], completed: list[str], most_unfinished: int
) -> None:
    """Runs that were started and ended are; of each killed process at most the last is not."""
    frame = place.workspace().runs(["params.id", "tags.n"]).collect()
    assert frame["number"].n_unique() == frame["run_id"].n_unique() == frame.height
    status = dict(frame.select("run_id", "status").iter_rows())
    assert {status.pop(run_id) for run_id in completed} == {"Completed"}
    assert status.pop("survivor") == "Completed"
    started.remove("survivor")
    assert {status.get(run_id) for run_id in started} == {"Running"}
    # Whose process was killed between the end of a run and its line here has completed it.
    assert len(status) <= most_unfinished
    params = frame.filter(pl.col("run_id").is_in(started))
    assert params["params.id"].to_list() == params["run_id"].to_list()
    done = frame.filter(pl.col("run_id").is_in(completed))
    assert done["tags.n"].to_list() == [run_id.split("-")[-1] for run_id in done["run_id"]]


def test_what_nobody_flushes_is_flushed_by_itself(place: Place) -> None:
    """Without a call of `flush`, in the midst of logging: the next kill finds it stored."""
    source = """
        run = start()
        count = 0
        say("ready")
        while True:
            run.log("x", float(count))
            count += 1
            time.sleep(0.0005)
    """
    program = launch(place, source)
    program.heard("ready")
    while not place.values():
        assert program.process.poll() is None
    program.end()
    assert place.values() == list(range(len(place.values())))


def test_what_is_left_of_a_question_for_the_time_is_in_nobodys_way(s3_server: Server) -> None:
    """The clock of a bucket is that of an object made for it, which goes afterwards."""
    place = Place(s3_server.new_bucket(), s3_server.options)
    source = """
        from objrun.storage.remote import RemoteStore
        RemoteStore.delete = lambda store, keys: os.kill(os.getpid(), signal.SIGKILL)
        workspace().store.now()
    """
    assert perform(place, source).code == -signal.SIGKILL
    after = perform(place, "start().complete()")
    assert after.code == 0, after.err
    check_sound(place)
