"""Children of a process that logs: no hang, a writer of their own, every point once."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING

import pytest

from objrun.testing.proxy import proxy_to
from tests.conftest import proven_bucket
from tests.processes.programs import PATIENCE, Place, launch, perform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.testing.proxy import Request
    from objrun.testing.servers import Server

ends_without_flush = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3),
    reason="this Python starts no thread once its main thread has ended",
)

PARENT = """
    from tests.processes import workers
    run = start()
    counts = [0] * 4
    stop = threading.Event()

    def work(k):
        while not stop.is_set():
            run.log(f"parent-{k}", float(counts[k]))
            counts[k] += 1
            time.sleep(0.0002)

    def child(n):
        workers.log_with(run, f"child-{n}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    {fork}
    stop.set()
    for thread in threads:
        thread.join()
    run.complete()
    say(*counts)
"""

FORKS = {
    "os.fork": """
    children = []
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            child(n)
            sys.exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0, 0, 0], codes
    """,
    "os.fork, flushed, os._exit": """
    children = []
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            child(n)
            run.flush(30)
            os._exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0, 0, 0], codes
    """,
    "multiprocessing": """
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(n,)) for n in range(3)]
    for process in children:
        process.start()
    for process in children:
        process.join()
    codes = [process.exitcode for process in children]
    assert codes == [0, 0, 0], codes
    """,
    "multiprocessing, from a thread": """
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(n,)) for n in range(3)]
    def begin_and_join(process):
        process.start()
        process.join()
    starters = [threading.Thread(target=begin_and_join, args=(p,)) for p in children]
    for thread in starters:
        thread.start()
    for thread in starters:
        thread.join()
    codes = [process.exitcode for process in children]
    assert codes == [0, 0, 0], codes
    """,
}


@ends_without_flush
def test_children_log_with_the_handle_of_their_parent(any_place: Place) -> None:
    check_children(any_place, "os.fork")


@pytest.mark.parametrize("how", sorted(set(FORKS) - {"os.fork"}))
def test_children_end_and_begin_in_other_ways(mostly_local: Place, how: str) -> None:
    check_children(mostly_local, how)


def check_children(place: Place, how: str) -> None:
    ended = perform(place, PARENT.replace("{fork}", FORKS[how].strip()))
    assert ended.code == 0, ended.err
    counts = list(map(int, ended.out[-1].split()))
    values = place.run().get_metrics()
    for k, count in enumerate(counts):
        assert values[f"parent-{k}"] == list(range(count))
    for n in range(3):
        assert values[f"child-{n}"] == list(range(50))
    writers = place.writers()
    assert len(writers) == 4
    assert all(offsets == list(range(len(offsets))) for offsets in writers.values())
    assert place.run().status == "Completed"


def test_a_child_that_only_ends_changes_nothing(anywhere: Place) -> None:
    source = """
        run = start()
        for i in range(100):
            run.log("x", float(i))
        for leave in (sys.exit, os._exit):
            pid = os.fork()
            if pid == 0:
                leave(0)
            assert os.waitpid(pid, 0)[1] == 0
        for i in range(100, 200):
            run.log("x", float(i))
    """
    ended = perform(anywhere, source)
    assert ended.code == 0, ended.err
    assert anywhere.values() == list(range(200))
    assert len(anywhere.writers()) == 1


def test_grandchildren_log_too(mostly_local: Place) -> None:
    source = """
        run = start()
        run.log("x", 0.0)
        for depth in range(1, 4):
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
                break
            run.log("x", float(depth))
    """
    assert perform(mostly_local, source).code == 0
    assert sorted(mostly_local.values()) == [0.0, 1.0, 2.0, 3.0]
    assert len(mostly_local.writers()) == 4


def test_a_child_tags_and_starts_children(mostly_local: Place) -> None:
    """Chains and numbers have locks too, which threads of the parent hold at times."""
    source = """
        run = start()
        stop = threading.Event()
        def work():
            while not stop.is_set():
                run.tag("parent", time.time())
                run.child_run()
                time.sleep(0.05)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        for n in range(3):
            pid = os.fork()
            if pid == 0:
                run.tag(f"child-{n}", "was here")
                run.child_run(run_id=f"of-child-{n}").log("x", 1.0)
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
    """
    ended = perform(mostly_local, source)
    assert ended.code == 0, ended.err
    tags = mostly_local.run().get_tags()
    assert {f"child-{n}" for n in range(3)} <= set(tags)
    for n in range(3):
        assert mostly_local.values("x", f"of-child-{n}") == [1.0]
    frame = mostly_local.workspace().runs().collect()
    assert frame["number"].n_unique() == frame.height


@contextmanager
def held(server: Server, folder: str) -> Iterator[tuple[Place, Event, Event]]:
    """A bucket whose first PUT below `folder` sets the first event and waits for the second."""
    with proxy_to(server.port) as proxy:
        first, arrived, may_go = Lock(), Event(), Event()

        def plan(request: Request) -> None:
            if request.method == "PUT" and folder in request.path and first.acquire(blocking=False):
                arrived.set()
                may_go.wait(PATIENCE)

        proxy.plan = plan
        yield Place(proven_bucket(server).url, server.options_at(proxy.port)), arrived, may_go
        may_go.set()


def fork_in(place: Place, source: str, arrived: Event, may_go: Event) -> None:
    """Have a program fork while its request is held, and let that go when the child has ended."""
    program = launch(place, source)
    assert arrived.wait(PATIENCE)
    program.send(signal.SIGUSR1)
    program.heard("the child has ended")
    may_go.set()
    ended = program.ended()
    assert ended.code == 0, ended.err


FORK_WHEN_TOLD = """
        signal.sigwait([signal.SIGUSR1])
        pid = os.fork()
        if pid == 0:
            {child}
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        say("the child has ended")
"""


@ends_without_flush
def test_a_fork_in_the_middle_of_a_put(s3_server: Server) -> None:
    """The flusher of the parent waits for an answer while the process forks."""
    source = f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        run = start()
        run.log("x", 0.0)
        {FORK_WHEN_TOLD.format(child='run.log("x", 1.0)')}
        run.log("x", 2.0)
    """
    with held(s3_server, "/shards/") as (place, arrived, may_go):
        fork_in(place, source, arrived, may_go)
        assert sorted(place.values()) == [0.0, 1.0, 2.0]
        assert len(place.writers()) == 2


def test_a_fork_while_the_experiment_is_made(s3_server: Server) -> None:
    """One thread waits for the store to make the experiment; the child makes it too."""
    child = 'experiment.start_logging(run_id="of-the-child").log("x", 1.0)'
    source = f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        experiment = Experiment(workspace(), "processes")
        thread = threading.Thread(target=experiment.start_logging)
        thread.start()
        {FORK_WHEN_TOLD.format(child=child)}
        thread.join()
    """
    with held(s3_server, "/state/") as (place, arrived, may_go):
        fork_in(place, source, arrived, may_go)
        assert place.values("x", "of-the-child") == [1.0]
        assert list(place.workspace().experiments) == ["processes"]


@ends_without_flush
def test_a_fork_while_another_thread_makes_a_client(s3_server: Server) -> None:
    """The lock that fsspec holds meanwhile is nobody's in the child."""
    source = """
        from fsspec import asyn
        run = start()
        held, may_go = threading.Event(), threading.Event()
        def hold():
            with asyn.get_lock():
                held.set()
                may_go.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = os.fork()
        if pid == 0:
            run.log("x", 1.0)
            sys.exit(0)
        status = os.waitpid(pid, 0)[1]
        may_go.set()
        assert status == 0
    """
    place = Place(*proven_bucket(s3_server))
    ended = perform(place, source)
    assert ended.code == 0, ended.err
    assert place.values() == [1.0]


def test_a_child_leaves_the_client_of_its_parent_alone(s3_server: Server) -> None:
    """To close it, each child would wait a second for a thread that it does not have."""
    source = """
        import s3fs.core
        parent, whole = os.getpid(), s3fs.core.sync
        def sync(loop, function, *arguments, **options):
            say("the parent" if os.getpid() == parent else "the child", "closes")
            return whole(loop, function, *arguments, **options)
        s3fs.core.sync = sync
        run = start()
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    ended = perform(Place(*proven_bucket(s3_server)), source)
    assert ended.code == 0, ended.err
    assert ended.out == ["the parent closes"]


def test_sigterm_ends_a_child_that_has_just_begun(mostly_local: Place) -> None:
    """Python forgets a signal that comes before the child's first step, where it has a handler."""
    source = """
        run = start()
        run.log("x", 0.0)
        codes = set()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                time.sleep(1)
                os._exit(0)
            os.kill(pid, signal.SIGTERM)
            codes.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        say(*codes)
    """
    assert perform(mostly_local, source).out == [str(-signal.SIGTERM)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_fresh_processes_find_the_run_by_its_id(anywhere: Place, method: str) -> None:
    source = f"""
        from tests.processes import workers
        run = start()
        context = multiprocessing.get_context("{method}")
        children = [
            context.Process(target=workers.log_points, args=(url, options, run.id, f"child-{{n}}"))
            for n in range(2)
        ]
        for process in children:
            process.start()
        for i in range(100):
            run.log("x", float(i))
        for process in children:
            process.join()
        assert [process.exitcode for process in children] == [0, 0]
    """
    ended = perform(anywhere, source)
    assert ended.code == 0, ended.err
    assert anywhere.values() == list(range(100))
    for n in range(2):
        assert anywhere.values(f"child-{n}") == list(range(50))
    assert len(anywhere.writers()) == 3


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_workers_of_a_pool_log(anywhere: Place, end: str) -> None:
    """A pool ends its workers by a message, or by SIGTERM, which the `with` statement sends."""
    source = f"""
        run = start()
        run.log("x", -1.0)
        def work(i):
            run.log("x", float(i))
            return i
        pool = multiprocessing.get_context("fork").Pool(3)
        assert pool.map(work, range(30), chunksize=1) == list(range(30))
        pool.{end}()
        pool.join()
    """
    ended = perform(anywhere, source)
    assert ended.code == 0, ended.err
    assert sorted(anywhere.values()) == list(range(-1, 30))


@pytest.mark.parametrize("end", ["asked", "left"])
def test_workers_of_a_data_loader_log(mostly_local: Place, end: str) -> None:
    """Daemon processes with queues, asked to end, or left until their parent ends."""
    source = f"""
        from tests.processes import workers
        run = start()
        run.log("x", 1.0)
        context = multiprocessing.get_context("fork")
        wanted, found = context.Queue(), context.Queue()
        loaders = [
            context.Process(target=workers.fetch_items, args=(run, wanted, found), daemon=True)
            for _ in range(2)
        ]
        for loader in loaders:
            loader.start()
        for epoch in range(3):
            for index in range(20):
                wanted.put(20 * epoch + index)
            for _ in range(20):
                found.get()
                run.log("loss", 0.5)
        if "{end}" == "asked":
            for loader in loaders:
                wanted.put(None)
            for loader in loaders:
                loader.join()
    """
    ended = perform(mostly_local, source)
    assert ended.code == 0, ended.err
    assert sorted(mostly_local.values("fetched")) == list(range(60))
    assert mostly_local.values("loss") == [0.5] * 60


def test_forks_while_segments_are_encoded(mostly_local: Place) -> None:
    """Arrow has locks and threads of its own; a child must never wait for one left behind."""
    source = """
        run = start()
        stop = threading.Event()
        def work():
            while not stop.is_set():
                run.log_batch("batch", [0.5] * 20_000)
                run.flush()
        thread = threading.Thread(target=work)
        thread.start()
        for n in range(8):
            pid = os.fork()
            if pid == 0:
                run.log("x", float(n))
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        thread.join()
    """
    ended = perform(mostly_local, source, patience=150.0)
    assert ended.code == 0, ended.err
    assert sorted(mostly_local.values()) == list(range(8))
