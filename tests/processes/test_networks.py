"""A whole job on S3 while the network does its worst: exactly what was logged is there."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment
from objrun import spool as spools
from objrun.testing.proxy import Answer, Delay, DropAnswer, Reset, Trickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.testing.proxy import Act, Proxy, Request
    from tests.processes.programs import Place

    Weather = Callable[[Request], Act | None]


SLOW = ("resets", "answers are lost", "errors", "latency")


def told(status: int, code: str) -> Answer:
    """An error as S3 puts it."""
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Answer(status, body.encode())


def now_and_then(act: Act, share: float = 0.25) -> Weather:
    """Let a share of the requests go wrong, the same ones each time."""
    dice, lock = random.Random(7), threading.Lock()

    def plan(_request: Request) -> Act | None:
        with lock:
            return act if dice.random() < share else None

    return plan


def for_a_while(act: Act, seconds: float = 2.0) -> Weather:
    """Let all requests go wrong for some seconds, from the first segment on."""
    begun: list[float] = []

    def plan(request: Request) -> Act | None:
        if "shards" in request.path:
            begun.append(time.monotonic())
        return act if begun and time.monotonic() - begun[0] < seconds else None

    return plan


def at_creates(act: Act) -> Weather:
    """Let each second create go wrong."""
    asked: list[Request] = []

    def plan(request: Request) -> Act | None:
        if request.method != "PUT" or "/state/" not in request.path:
            return None
        asked.append(request)
        return act if len(asked) % 2 else None

    return plan


WEATHERS: dict[str, Callable[[], Weather]] = {
    "resets": lambda: now_and_then(Reset()),
    "answers are lost": lambda: now_and_then(DropAnswer()),
    "errors": lambda: now_and_then(told(500, "InternalError")),
    "slow down": lambda: for_a_while(told(503, "SlowDown")),
    "conflicts": lambda: at_creates(told(409, "ConditionalRequestConflict")),
    "a trickle": lambda: now_and_then(Trickle(50, 0.01)),
    "latency": lambda: now_and_then(Delay(2.0), 0.2),
    "a clock that is wrong": lambda: for_a_while(told(403, "RequestTimeTooSkewed")),
    "credentials that have expired": lambda: for_a_while(told(403, "ExpiredToken")),
}


def work(place: Place) -> int:
    """A job of every kind of request; return how many points it logged."""
    with Experiment(place.workspace(), "networks").start_logging(run_id="the-run") as run:
        for step in range(200):
            run.log("x", float(step), step=step)
            if step % 40 == 0:
                run.flush()
                run.tag(f"tag {step}", step)
        run.log_params({"lr": 0.1})
        run.add_properties({"data": "v1"})
        for number in range(3):
            with run.child_run(run_id=f"child-{number}") as child:
                child.log("y", float(number))
    return 200


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.slow] if each in SLOW else []) for each in WEATHERS],
)
def test_a_job_in_any_weather(
    behind: Place, proxy: Proxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "FIRST_LOOK", 0.5)
    monkeypatch.setattr(spools, "SLOWEST_LOOK", 1.0)
    proxy.plan = WEATHERS[name]()
    points = work(behind)
    asked = len(proxy.log)
    proxy.plan = lambda _request: None
    for _ in range(1000):
        if arrived(behind):
            break
        time.sleep(0.1)
    run = behind.run()
    assert run.status == "Completed"
    assert run.get_metrics("x")["x"] == [float(step) for step in range(points)]
    assert run.tags == {f"tag {step}": str(step) for step in range(0, points, 40)}
    assert run.get_params() == {"lr": 0.1}
    assert run.properties["data"] == "v1"
    children = sorted(run.get_children(), key=lambda child: child.id)
    assert [(child.status, child.get_metrics()) for child in children] == [
        ("Completed", {"y": float(number)}) for number in range(3)
    ]
    kinds = [op["op"] for entry in run.history() for op in entry["ops"]]
    assert kinds.count("set_tags") == 5
    assert asked < 400, "retries without bounds"


def arrived(place: Place) -> bool:
    """Whether a spool, where there was one, is copied."""
    found = Experiment(place.workspace(), "networks").get_runs(include_children=True)
    return len(found) == 4 and all(run.status == "Completed" for run in found)
