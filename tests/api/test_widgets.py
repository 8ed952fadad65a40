"""`RunDetails`: what it shows, how it follows a run and ends, and how it looks in a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Workspace, widgets
from objrun.errors import PermissionDeniedError
from objrun.storage.wrappers import CountingStore, FaultyStore
from objrun.widgets import LiveRun, RunDetails

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Experiment(Workspace(str(tmp_path / "store")), "e").start_logging(tags={"model": "cnn"})
    run.log_params({"lr": 0.1})
    run.log("loss", 2.0, step=0)
    run.flush()
    return run


def reopened(run: Run) -> Run:
    return Workspace(run.experiment.workspace.url).get_run(run.id)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed."""
    import IPython.display

    found: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", found.append)
    return found


def test_a_look_tells_what_is_new(run: Run) -> None:
    live = LiveRun(reopened(run))
    state = live.look()
    assert (state["status"], state["params"], state["tags"]) == (
        "Running",
        {"lr": 0.1},
        {"model": "cnn"},
    )
    assert [(m["name"], m["values"]) for m in state["metrics"]] == [("loss", [2])]
    before = live.is_over
    run.log("loss", 1.0, step=1)
    run.complete()
    state = live.look()
    assert (state["status"], state["metrics"][0]["values"]) == ("Completed", [2, 1])
    assert (before, live.is_over) == (False, True)
    assert json.loads(json.dumps(state)) == state


def test_a_look_costs_few_requests(run: Run) -> None:
    workspace = Workspace(run.experiment.workspace.url)
    counting = CountingStore(workspace.store)
    workspace.go_through(lambda _: counting)
    live = LiveRun(workspace.get_run(run.id))
    live.look()
    counting.reset()
    live.look()
    assert sum(counting.counts.values()) <= 8


def test_a_store_that_fails_leaves_what_was_shown(run: Run) -> None:
    workspace = Workspace(run.experiment.workspace.url)
    failing = threading.Event()
    refused = PermissionDeniedError("no lists today")
    plan = lambda verb, _: refused if failing.is_set() and verb == "list" else None  # noqa: E731
    faulty = FaultyStore(workspace.store, plan)
    workspace.go_through(lambda _: faulty)
    live = LiveRun(workspace.get_run(run.id))
    live.look()
    failing.set()
    state = live.look()
    assert "no lists today" in state["note"]
    assert [m["name"] for m in state["metrics"]] == ["loss"]
    failing.clear()
    assert not live.look()["note"]


def test_the_widget_follows_a_run_to_its_end(
    run: Run, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widgets, "LOOK", 0.01)
    monkeypatch.setattr(widgets, "SLOWEST", 0.01)
    details = RunDetails(reopened(run))
    details.show()
    assert shown == [details.widget]
    ended = threading.Event()
    details.widget.observe(
        lambda change: ended.set() if change["new"]["status"] == "Completed" else None, "state"
    )
    run.complete()
    assert ended.wait(90)
    for thread in threading.enumerate():
        if thread.name == "objrun-details":
            thread.join(90)
            assert not thread.is_alive(), "nobody follows a run that is over"
    details.close()


def test_closing_stops_the_thread(run: Run, shown: list[Any]) -> None:
    details = RunDetails(reopened(run))
    details.show()
    (thread,) = [t for t in threading.enumerate() if t.name == "objrun-details"]
    details.close()
    thread.join(90)
    assert not thread.is_alive()
    assert shown


def test_without_anywidget_a_card_is_shown(
    run: Run, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    RunDetails(run).show()
    assert "e / 1" in shown[0].data
    assert "loss" in shown[0].data


BREAK = "document.title='broken'"
HOSTILE = f'</pre><img src=x onerror="{BREAK}"><script>{BREAK}</script>'

PAGE = """<!doctype html><meta charset="utf-8"><title>whole</title>
<body style="margin:14px;{style}"><div id="here"></div><script type="module">
{module}
let state = {state};
const listeners = [];
const model = {{ get: () => state, on: (_, call) => listeners.push(call), off: () => {{}} }};
render({{ model, el: document.getElementById("here") }});
state = {{ ...state, title: state.title + " again" }};
listeners.forEach((call) => call());
</script>"""


def page_of(state: dict[str, Any], style: str = "") -> str:
    """Return a page that mounts the widget with a model of its own, and then changes the state."""
    module = files("objrun.cards").joinpath("details.js").read_text(encoding="utf-8")
    css = files("objrun.cards").joinpath("details.css").read_text(encoding="utf-8")
    module = module.replace("export default { render };", "")
    written = json.dumps(state).replace("<", "\\u003c")
    return f"<style>{css}</style>" + PAGE.format(module=module, state=written, style=style)


@pytest.mark.skipif(
    shutil.which("chromium") is None and not os.environ.get("CI"), reason="needs chromium"
)
def test_a_browser_draws_it_and_runs_nothing_that_was_logged(run: Run, tmp_path: Path) -> None:
    run.log_params({HOSTILE: HOSTILE})
    run.tag(HOSTILE, HOSTILE)
    for step in range(1, 9):
        run.log(HOSTILE, float("nan") if step == 4 else 1 / step, step=step)
    run.log("inf", float("inf"))
    run.fail(HOSTILE)
    live = LiveRun(run)
    state = live.look() | {"log": HOSTILE, "log_name": HOSTILE}
    page = tmp_path / "page.html"
    page.write_text(page_of(state), encoding="utf-8")
    asked = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    # It would ask its maker for updates: tests stay on this machine.
    asked += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    asked += ["--virtual-time-budget=2000", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*asked, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "<title>whole</title>" in done.stdout
    body = done.stdout.partition("</script>")[0] + done.stdout.rpartition("</script>")[2]
    assert body.count('<div class="panel">') == 3
    assert body.count('class="odd"') == 2
    assert "again</h3>" in body
    assert "<img" not in body
