"""However a process ends, short of SIGKILL, everything that it logged is in the store."""

from __future__ import annotations

import json
import signal
from typing import NamedTuple

import pytest

from tests.processes.programs import Place, launch, perform

POINTS = 100


class End(NamedTuple):
    """How a program ends after it has logged POINTS points: its source and its exit code.

    `left` is what is recorded of a run that nobody ended, `block` of one that a block ends: status
    and code of the error.
    """

    source: str
    code: int
    left: tuple[str, str | None] = ("Running", None)
    block: tuple[str, str | None] = ("Running", None)


OPEN, DONE = ("Running", None), ("Completed", None)
BAD, CUT, STOPPED = ("Failed", "UserError"), ("Failed", "Terminated"), ("Failed", "Interrupted")
IN_A_THREAD = "threading.Thread(target=lambda: time.sleep(0.3)).start()"

BY_ITSELF = {
    "the end of the script": End("pass", 0, OPEN, DONE),
    "an exception": End("raise ValueError('bad')", 1, BAD, BAD),
    "sys.exit()": End("sys.exit()", 0, OPEN, DONE),
    "sys.exit(3)": End("sys.exit(3)", 3, OPEN, ("Failed", "Exited")),
    "KeyboardInterrupt": End(
        "signal.raise_signal(signal.SIGINT)", -signal.SIGINT, STOPPED, STOPPED
    ),
    "SIGTERM to itself": End("signal.raise_signal(signal.SIGTERM)", 143, CUT, CUT),
    "SIGHUP to itself": End("signal.raise_signal(signal.SIGHUP)", 129, CUT, CUT),
    "os._exit": End("run.flush(); os._exit(5)", 5, OPEN, OPEN),
    "the end of main, called in a thread": End(IN_A_THREAD, 0, OPEN, DONE),
    "an exception, and a thread goes on": End(f"{IN_A_THREAD}; raise OSError", 1, BAD, BAD),
}


def code(place: Place) -> str | None:
    """The code of the error of the run."""
    return (place.run().state.error or {}).get("code")


@pytest.mark.parametrize("name", BY_ITSELF)
def test_nothing_is_lost_when_a_process_ends_by(mostly_local: Place, name: str) -> None:
    end = BY_ITSELF[name]
    source = f"""
        run = start()
        for i in range({POINTS}):
            run.log("x", float(i))
        {end.source}
    """
    ended = perform(mostly_local, source)
    assert ended.code == end.code, ended.err
    assert "lost" not in ended.err
    assert mostly_local.values() == list(range(POINTS))
    assert (mostly_local.run().status, code(mostly_local)) == end.left
    # A run that is left open by an orderly end is named, since nobody says how it ended.
    is_named = end.left == OPEN and "_exit" not in end.source
    assert ("the-run was not ended" in ended.err) == is_named


@pytest.mark.parametrize("name", BY_ITSELF)
def test_a_block_records_how_a_process_ends_by(mostly_local: Place, name: str) -> None:
    end = BY_ITSELF[name]
    source = f"""
        with start() as run:
            run.log("x", 1.0)
            {end.source}
    """
    ended = perform(mostly_local, source)
    assert ended.code == end.code, ended.err
    assert (mostly_local.run().status, code(mostly_local)) == end.block
    assert "not ended" not in ended.err


def test_an_exception_fails_a_run_that_has_logged_nothing(any_place: Place) -> None:
    """Nothing was ever flushed, so the end is the first that the client has to do."""
    ended = perform(any_place, "run = start(); run.tag('a'); time.sleep(0.1); raise OSError('no')")
    assert ended.code == 1
    error = any_place.run().state.error or {}
    assert (error["code"], error["message"]) == ("UserError", "OSError: no")
    assert error["traceback"].endswith(" in <module>")


def test_children_and_other_handles_do_not_end_a_run(mostly_local: Place) -> None:
    """A forked child, and a process that has only found the run, fail for themselves."""
    source = """
        run = start()
        pid = os.fork()
        if not pid:
            run.log("x", 1.0)
            raise ValueError("of the child")
        os.waitpid(pid, 0)
        run.log("x", 2.0)
    """
    assert perform(mostly_local, source).code == 0
    assert perform(mostly_local, "begin().log('x', 3.0); raise ValueError").code == 1
    assert mostly_local.run().status == "Running"
    assert sorted(mostly_local.values()) == [1.0, 2.0, 3.0]


def test_all_open_runs_fail_and_hooks_of_the_program_are_called(mostly_local: Place) -> None:
    source = """
        sys.excepthook = lambda kind, error, trace: say("mine", kind.__name__)
        atexit.register(say, "exit")
        runs = [start(f"run-{n}") for n in range(3)]
        runs[0].complete()
        raise ValueError("bad")
    """
    ended = perform(mostly_local, source)
    assert (ended.code, ended.out) == (1, ["mine ValueError", "exit"])
    statuses = [mostly_local.run(f"run-{n}").status for n in range(3)]
    assert statuses == ["Completed", "Failed", "Failed"]


MATRIX = {
    "end": End("", 0),
    "exception": End("raise ValueError('bad')", 1),
    "sys.exit": End("sys.exit(3)", 3),
    "SIGTERM": End("signal.raise_signal(signal.SIGTERM)", 143),
    "KeyboardInterrupt": End("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    "SIGHUP": End("signal.raise_signal(signal.SIGHUP)", 129),
    "os._exit": End("os._exit(4)", 4),
    "atexit": End("atexit.register(lambda: run.log('x', 100.0))", 0),
    "threads": End(
        """
def late():
    time.sleep(0.3)
    run.log('x', 100.0)
def ever():
    while True:
        run.log('y', 0.0)
        time.sleep(0.01)
threading.Thread(target=late).start()
threading.Thread(target=ever, daemon=True).start()
""",
        0,
    ),
}
"""Ways to end, by the id of the run that a process which ends so logs to."""

ALL_AT_ONCE = """
    # All imports are made once; then a process is forked for each way to end and each state.
    from objrun.storage import connect
    import pyarrow.parquet
    for scheme in ("s3", "gs", "abfs"):
        if url.startswith(scheme):
            __import__({"s3": "objrun.storage.s3", "gs": "objrun.storage.gcs",
                        "abfs": "objrun.storage.azure"}[scheme])
    cases = [(end, state) for end in json.loads(arguments[0]) for state in arguments[1].split()]
    names, pid = {}, None
    for end, state in cases:
        pid = os.fork()
        if pid == 0:
            break
        names[pid] = (end, state)
    while pid and names:
        ended, status = os.wait()
        say(*names.pop(ended), os.waitstatus_to_exitcode(status))
    if pid == 0:
        # A run found by its id: a cold process has written nothing when it ends.
        run = Run.get(workspace(), f"{end}-{state}")
        run.log("x", 0.0)
        if state != "cold":
            run.flush()
            time.sleep(20 if state == "idle" else 0.2)
        for i in range(1, 100):
            run.log("x", float(i))
        exec(json.loads(arguments[0])[end], globals())
"""


@pytest.mark.parametrize("states", ["cold warm", pytest.param("idle", marks=pytest.mark.slow)])
def test_every_end_of_a_process_in_every_state(anywhere: Place, states: str) -> None:
    """Clients that were never used, are in use, or whose connections were closed meanwhile."""
    cases = [f"{name}-{state}" for name in MATRIX for state in states.split()]
    begin = """
        experiment = Experiment(workspace(), "processes")
        for run_id in arguments:
            experiment.start_logging(run_id=run_id)
    """
    assert perform(anywhere, begin, *cases).code == 0
    sources = json.dumps({name: end.source for name, end in MATRIX.items()})
    ended = perform(anywhere, ALL_AT_ONCE, sources, states, patience=170.0)
    assert ended.code == 0, ended.err
    codes = {" ".join(line.split()[:-1]): int(line.split()[-1]) for line in ended.out}
    assert codes == {
        f"{name} {state}": end.code for name, end in MATRIX.items() for state in states.split()
    }
    for case in cases:
        name, state = case.rsplit("-", 1)
        values = anywhere.values("x", case)
        if name == "os._exit":
            # What was flushed is there; what was not may be, without a hole.
            assert len(values) >= (state != "cold")
            assert values == list(range(len(values)))
        else:
            assert values == list(range(101 if name in {"atexit", "threads"} else 100)), case
        assert len(anywhere.writers(case)) <= 1


def test_nothing_is_lost_when_the_client_is_warm(place: Place) -> None:
    source = """
        run = start()
        run.log("x", 0.0)
        run.flush()
        time.sleep(0.2)
        for i in range(1, 100):
            run.log("x", float(i))
    """
    ended = perform(place, source)
    assert ended.code == 0, ended.err
    assert place.values() == list(range(100))


def test_nothing_is_lost_when_the_client_is_cold(place: Place) -> None:
    """A run found by its id: this process has written nothing when it ends."""
    place.workspace().writing()
    perform(place, "start()")
    ended = perform(place, "run = begin(); run.log('x', 1.0)")
    assert ended.code == 0, ended.err
    assert place.values() == [1.0]


@pytest.mark.slow
def test_nothing_is_lost_when_the_client_was_idle(place: Place) -> None:
    """Connections that nobody uses are closed after 15 s; the last flush opens new ones."""
    source = """
        run = start()
        run.log("x", 0.0)
        run.flush()
        time.sleep(20)
        run.log("x", 1.0)
    """
    ended = perform(place, source)
    assert ended.code == 0, ended.err
    assert place.values() == [0.0, 1.0]


WAITS = {
    "in Python code": "while True: sum(range(100))",
    "asleep": "time.sleep(60)",
    "waiting for a thread": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    "        threading.Event().wait(60)",
    "in flush()": "while True: run.log('more', 1.0); run.flush()",
    "logging": "while True: run.log('more', 1.0)",
}


@pytest.mark.parametrize("name", WAITS)
def test_sigterm_loses_nothing(mostly_local: Place, name: str) -> None:
    source = f"""
        run = start()
        for i in range({POINTS}):
            run.log("x", float(i))
        say("logged")
        {WAITS[name]}
    """
    program = launch(mostly_local, source)
    program.heard("logged")
    program.send(signal.SIGTERM)
    ended = program.ended()
    assert ended.code == 143, ended.err
    assert mostly_local.values() == list(range(POINTS))


def test_sigterm_fails_a_run_in_a_with_block(place: Place) -> None:
    source = """
        with start() as run:
            run.log("x", 1.0)
            say("logged")
            time.sleep(60)
    """
    program = launch(place, source)
    program.heard("logged")
    program.send(signal.SIGTERM)
    assert program.ended().code == 143
    assert (place.run().status, code(place)) == ("Failed", "Terminated")
    assert place.values() == [1.0]


def test_a_second_sigterm_does_not_cut_off_the_end(mostly_local: Place) -> None:
    source = """
        with start() as run:
            run.log("x", 1.0)
            close = run._close

            def interrupted(patience):
                signal.raise_signal(signal.SIGTERM)
                close(patience)

            run._close = interrupted
            signal.raise_signal(signal.SIGTERM)
    """
    ended = perform(mostly_local, source)
    assert ended.code == 143, ended.err
    assert mostly_local.run().status == "Failed"
    assert code(mostly_local) == "Terminated"
    assert mostly_local.values() == [1.0]


def test_sigterm_in_the_last_flush_does_not_end_it(place: Place) -> None:
    source = """
        from objrun.protocol.writer import Writer
        whole = Writer.flush
        def flush(self, timeout):
            say("flushing")
            hear()
            whole(self, timeout)
        Writer.flush = flush
        run = start()
        run.log("x", 1.0)
    """
    program = launch(place, source)
    program.heard("flushing")
    program.send(signal.SIGTERM)
    program.go()
    ended = program.ended()
    assert ended.code == -signal.SIGTERM, ended.err
    assert place.values() == [1.0]


def test_sigterm_ends_a_process_whose_main_thread_has_ended(place: Place) -> None:
    source = """
        run = start()
        run.log("x", 1.0)
        def work():
            time.sleep(0.5)
            run.log("x", 2.0)
            say("logged")
            time.sleep(60)
        threading.Thread(target=work).start()
    """
    program = launch(place, source)
    program.heard("logged")
    program.send(signal.SIGTERM)
    ended = program.ended()
    assert ended.code == -signal.SIGTERM, ended.err
    assert place.values() == [1.0, 2.0]


def test_a_handler_of_the_program_stays(mostly_local: Place) -> None:
    source = """
        def handler(number, frame):
            say("mine")
            sys.exit(7)
        signal.signal(signal.SIGTERM, handler)
        run = start()
        run.log("x", 1.0)
        say("logged")
        time.sleep(60)
    """
    program = launch(mostly_local, source)
    program.heard("logged")
    program.send(signal.SIGTERM)
    ended = program.ended()
    assert (ended.code, ended.out) == (7, ["mine"])
    assert mostly_local.values() == [1.0]


def test_a_handler_set_later_wins(mostly_local: Place) -> None:
    source = """
        run = start()
        run.log("x", 1.0)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        say("logged")
        time.sleep(60)
    """
    program = launch(mostly_local, source)
    program.heard("logged")
    program.send(signal.SIGTERM)
    assert program.ended().code == 9
    assert mostly_local.values() == [1.0]


def test_an_ignored_sigterm_stays_ignored(mostly_local: Place) -> None:
    source = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        run = start()
        run.log("x", 1.0)
        signal.raise_signal(signal.SIGTERM)
        run.log("x", 2.0)
    """
    assert perform(mostly_local, source).code == 0
    assert mostly_local.values() == [1.0, 2.0]


def test_threads_that_outlive_main_lose_nothing(place: Place) -> None:
    """The main thread has ended and the last flush has been; others still log."""
    source = """
        run = start()
        run.log("x", 0.0)
        def work():
            for i in range(1, 20):
                time.sleep(0.05)
                run.log("x", float(i))
        threading.Thread(target=work).start()
    """
    ended = perform(place, source)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert place.values() == list(range(20))


def test_a_thread_may_log_first_after_main_has_ended(mostly_local: Place) -> None:
    source = """
        run = start()
        def work():
            time.sleep(0.5)
            run.log("x", 1.0)
        threading.Thread(target=work).start()
    """
    ended = perform(mostly_local, source)
    assert "Traceback" not in ended.err
    assert mostly_local.values() == [1.0]


def test_tasks_of_an_executor_that_outlive_main_lose_nothing(place: Place) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor
        run = start()
        run.log("x", 0.0)
        pool = ThreadPoolExecutor(2)
        def work():
            time.sleep(0.5)
            run.log("x", 1.0)
        pool.submit(work)
    """
    ended = perform(place, source)
    assert "Traceback" not in ended.err
    assert place.values() == [0.0, 1.0]


@pytest.mark.parametrize("when", ["before", "after"])
def test_exit_handlers_of_others_may_log(any_place: Place, when: str) -> None:
    """Registered before objrun made its writer, or after."""
    register = "atexit.register(lambda: run.log('x', 1.0))"
    source = f"""
        run = start()
        {register if when == "before" else ""}
        run.log("x", 0.0)
        {register if when == "after" else ""}
    """
    ended = perform(any_place, source)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert any_place.values() == [0.0, 1.0]


def test_an_exit_handler_of_another_may_complete(mostly_local: Place) -> None:
    source = """
        run = start()
        atexit.register(run.complete)
        run.log("x", 1.0)
    """
    ended = perform(mostly_local, source)
    assert "Traceback" not in ended.err
    assert (mostly_local.run().status, mostly_local.values()) == ("Completed", [1.0])
