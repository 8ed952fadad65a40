"""A widget that follows a run in a notebook, as `azureml.widgets` has it.

What is shown is a plain dict, made by `LiveRun`; a thread of the widget makes it anew while the run
works. The widget needs `pip install 'objrun[notebook]'`; without it a card is shown once.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from objrun.cards.pages import run_card
from objrun.display.showing import run_view
from objrun.errors import ObjrunError
from objrun.format.log_keys import FOLDER
from objrun.format.states import TERMINAL
from objrun.runs.following import STREAM, Follower

if TYPE_CHECKING:
    from objrun.cards.model import RunView
    from objrun.run import Run

LOOK: Final = 2.0
"""Seconds between two looks at first."""

SLOWEST: Final = 15.0
"""Seconds between two looks at a run that does nothing new, or whose store fails."""

_TAIL: Final = 8_000


class LiveRun:
    """What is shown of a run, looked at again and again.

    A look costs about six LISTs, and a GET for each object that is new to the readers' cache;
    stores in folders and in memory have no such cache, and need none.

    >>> live = LiveRun(run)
    >>> live.look()["status"], live.is_over
    ('Running', False)
    """

    def __init__(self, run: Run) -> None:
        """Look at nothing yet."""
        self._run = run
        self._log = Follower(run.experiment.workspace.reading(), run.id)
        self._tail = ""
        self._view: RunView | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run had ended when it was looked at last: nothing more will come."""
        return self._run.status in TERMINAL

    def look(self) -> dict[str, Any]:
        """Return the state as JSON; what cannot be read stays as it was, and `note` tells why."""
        return self.view().state()

    def view(self) -> RunView:
        """Return what there is now."""
        note = ""
        try:
            self._run.get_status()
            self._tail = (self._tail + self._log.more())[-_TAIL:]
        except ObjrunError as fault:
            note = f"not all could be read: {fault.message}"
        found = run_view(self._run)
        if self._view and not found.metrics:
            found = replace(found, metrics=self._view.metrics, others=self._view.others)
        shown = replace(found, log=self._tail, log_name=FOLDER + STREAM, note=note or found.note)
        self._view = shown
        return shown


class RunDetails:
    """The widget of one run: `RunDetails(run).show()` in a notebook.

    >>> RunDetails(run).get_widget_data()["status"]
    'Running'
    """

    def __init__(self, run_instance: Run) -> None:
        """Show nothing yet."""
        self._run = run_instance
        self._live = LiveRun(run_instance)
        self._over = threading.Event()
        self.widget: Any = None

    def get_widget_data(self) -> dict[str, Any]:
        """Return what the widget shows: a dict that JSON knows."""
        return self._live.look()

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:  # noqa: ARG002
        """Display the run, and follow it until it ends or `close()` is called.

        The arguments are those of Azure ML, and not used. Without anywidget the run is shown as it
        is now; outside of notebooks as text. A thread looks every two seconds, later every 15 where
        nothing is new; it ends with the run.
        """
        try:
            from IPython.display import HTML, display
        except ImportError:
            print(self._run)  # noqa: T201 - it is asked to show
            return
        first = self._live.view()
        try:
            self.widget = _new_widget(first.state())
        except ImportError:
            display(HTML(run_card(first)))  # type: ignore[no-untyped-call]  # IPython's
            return
        display(self.widget)  # type: ignore[no-untyped-call]  # IPython's
        if not self._live.is_over:
            threading.Thread(target=self._follow, name="objrun-details", daemon=True).start()

    def close(self) -> None:
        """Stop following and take the widget away."""
        self._over.set()
        if self.widget is not None:
            self.widget.close()

    def _follow(self) -> None:
        """Bring the widget up to date until the run is over."""
        pause = LOOK
        while not self._over.wait(pause) and not self._live.is_over:
            state = self._live.look()
            told = {name: value for name, value in state.items() if name != "seconds"}
            is_new = any(self.widget.state.get(name) != value for name, value in told.items())
            pause = LOOK if is_new else min(pause * 1.5, SLOWEST)
            if not self._over.is_set():
                self.widget.state = state


def _new_widget(state: dict[str, Any]) -> Any:
    """Return an anywidget that draws `state`; ImportError without anywidget."""
    import anywidget
    import traitlets

    folder = files("objrun.cards")
    members = {
        "_esm": folder.joinpath("details.js").read_text(encoding="utf-8"),
        "_css": folder.joinpath("details.css").read_text(encoding="utf-8"),
        "state": traitlets.Dict().tag(sync=True),
    }
    return type("RunWidget", (anywidget.AnyWidget,), members)(state=state)
