"""A run outside of any store: it prints what it is told, so that scripts work as they are.

It has every method that scripts call of a run, with the same parameters: those here, and those of
the tables below, whose signatures are taken from `Run`. A test finds methods that are in neither.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import FileNotInRunError, RunEnvironmentException
from objrun.run import Run
from objrun.runs.source import look_for
from objrun.runs.start import children_tags, property_texts, tag_texts
from objrun.values.conversion import check_pair, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

LACKS: Final = (
    *("experiment", "get", "list", "resume", "list_by_compute", "add_type_provider"),
    *("get_context", "get_submitted_run"),
)
"""What only runs of a store have: scripts ask by `hasattr(run, "experiment")` whether it is one."""

PRINTS: Final = {
    "log_image": "log image metric {name}",
    "log_confusion_matrix": "log confusion matrix metric {name}:\n{value}",
    "log_accuracy_table": "log accuracy table metric {name}:\n{value}",
    "log_residuals": "log residuals metric {name}:\n{value}",
    "log_predictions": "log predictions metric {name}:\n{value}",
    "log_histogram": "log histogram metric {name}",
    "log_text": "log text metric {name}",
    "upload_file": "upload file {name}",
    "upload_files": "upload files {names}",
    "upload_folder": "upload folder {path} as {name}",
    "register_model": "register model {model_name}",
    "take_snapshot": "take a snapshot of {file_or_folder_path}",
    "sample_system": "sample the system every {every} seconds",
    "delete": "delete an offline run",
    "restore": "restore an offline run",
}
"""What is printed behind "Attempted to ", by method; their answer is None."""

ANSWERS: Final[Mapping[str, Callable[[], Any]]] = {
    "get_metrics": dict,
    "get_environment": dict,
    "get_file_names": list,
    "get_all_logs": list,
    "get_children": list,
    "history": list,
    "images": list,
    "clean": list,
    "get_snapshot_id": lambda: None,
    "git_diff": lambda: None,
    "get_portal_url": str,
}
"""What a run without a store has, by method."""

REFUSES: Final = (
    *("metrics", "metric_points", "superseded", "plot", "submit_child", "restore_snapshot"),
    *("unpack_snapshot", "get_table"),
)
"""Methods that need a store."""

FILES: Final = ("download_file", "download_files", "open")
"""Methods that read a file; there is none."""


class OfflineRun:
    """A run outside of any store: prints what is logged, and keeps tags and properties.

    Like Azure ML's it has an id that begins with `OfflineRun` and no `experiment`. What needs a
    store raises RunEnvironmentException.

    >>> run = OfflineRun("OfflineRun_1")
    >>> run.log("loss", 0.5, step=3)
    Attempted to log scalar metric loss (step 3):
    0.5
    >>> run.get_metrics(), run.status
    ({}, 'Running')
    """

    number = 0
    portal_url = ""

    def __init__(
        self, run_id: str | None = None, parent: OfflineRun | None = None, name: str | None = None
    ) -> None:
        """Take a random id unless one is given."""
        self.id = run_id or f"OfflineRun_{clock.new_id()}"
        self.name = self.display_name = name
        self.parent = parent
        self.type: str | None = None
        self.description: str | None = None
        self.status = "Running"
        self.tags: dict[str, str | None] = {}
        self.properties: dict[str, str | None] = {}
        self._params: dict[str, Any] = {}

    def log(
        self, name: str, value: Any = ..., description: str = "", step: int | None = None
    ) -> None:
        """Print a value."""
        check_pair(name, value)
        at = "" if step is None else f" (step {step})"
        print(f"Attempted to log scalar metric {name}{at}:\n{value}")

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Print a list."""
        print(f"Attempted to log list metric {name}:\n{value}")

    def log_row(self, name: str, description: str = "", **kwargs: Any) -> None:
        """Print a row."""
        print(f"Attempted to log row metric {name}:\n{kwargs}")

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Print a table."""
        print(f"Attempted to log table metric {name}:\n{value}")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Print values."""
        for name, value in metrics.items():
            self.log(name, value, step=step)

    def log_batch(self, name: str, values: Any, steps: Any = None, times: Any = None) -> None:
        """Print how many values there are."""
        print(f"Attempted to log {len(values)} values of metric {name}")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Print parameters, and keep them."""
        print(f"Attempted to log parameters: {dict(params)}")
        self._params |= params

    def get_params(self) -> dict[str, Any]:
        """Return the parameters."""
        return dict(self._params)

    def tag(self, key: str, value: Any = None) -> None:
        """Print a tag, and keep it."""
        print(f"Attempted to add tag {key}: {value}")
        self.tags[key] = to_text(value, f"tag {key!r}")

    def set_tags(self, tags: Mapping[str, Any] | str) -> None:
        """Print tags, and keep them."""
        print(f"Attempted to add tags: {tags}")
        self.tags |= tag_texts(tags)

    def remove_tags(self, tags: Iterable[str] | str) -> dict[str, str | None]:
        """Print tags, and return those that are left."""
        print(f"Attempted to remove tags: {tags}")
        for key in (tags,) if isinstance(tags, str) else tags:
            self.tags.pop(key, None)
        return self.get_tags()

    def get_tags(self) -> dict[str, str | None]:
        """Return the tags."""
        return dict(self.tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Print properties, and keep them."""
        print(f"Attempted to add properties: {properties}")
        self.properties |= property_texts(properties)

    def get_properties(self) -> dict[str, str | None]:
        """Return the properties."""
        return dict(self.properties)

    def get_secret(self, name: str) -> str | None:
        """Return a secret from the environment or the keyring."""
        return look_for([name])[name]

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str | None]:
        """Return secrets from the environment or the keyring."""
        return look_for(secrets)

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> OfflineRun:
        """Return an offline child."""
        return OfflineRun(f"{self.id}.{run_id or name or clock.random_hex(4)}", self, name)

    def create_children(
        self,
        count: int | None = None,
        tag_key: str | None = None,
        tag_values: Iterable[Any] | None = None,
    ) -> Sequence[OfflineRun]:
        """Return offline children."""
        every = children_tags(count, tag_key, tag_values, most=100)
        children = [self.child_run(run_id=str(number)) for number in range(len(every))]
        for child, tags in zip(children, every, strict=True):
            child.tags |= tags
        return children

    def get_status(self) -> str:
        """Return how the run has ended, if it has."""
        return self.status

    def get_detailed_status(self) -> dict[str, Any]:
        """Return the status and no details."""
        return {"status": self.status, "details": None}

    def get_details(self) -> dict[str, Any]:
        """Return id, status and properties."""
        return {"runId": self.id, "status": self.status, "properties": self.get_properties()}

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return what `get_details` returns: there are no logs."""
        return self.get_details()

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Return what `get_details` returns, at once."""
        return self.get_details()

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing: nothing waits."""

    def start(self) -> None:
        """Set the status."""
        self.status = "Running"

    def complete(self, _set_status: bool = True) -> None:
        """Set the status."""
        self.status = "Completed" if _set_status else self.status

    def cancel(self) -> None:
        """Set the status."""
        self.status = "Canceled"

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Print the error, and set the status."""
        print(f"Error code: {error_code}\nError details: {error_details}")
        self.status = "Failed" if _set_status else self.status

    def __enter__(self) -> OfflineRun:  # noqa: PYI034 - Self would need typing at run time
        """Print that it starts."""
        print("START: offline run")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print that it stops."""
        print("STOP: offline run")


def _like(name: str, act: Callable[[OfflineRun, Mapping[str, Any]], Any]) -> Callable[..., Any]:
    """Return a method that takes what that of `Run` takes, and does `act` with it."""
    taken = inspect.signature(getattr(Run, name))

    def method(self: OfflineRun, *args: Any, **kwargs: Any) -> Any:
        given = taken.bind(self, *args, **kwargs)
        given.apply_defaults()
        return act(self, given.arguments)

    method.__name__ = name
    method.__qualname__ = f"OfflineRun.{name}"
    method.__doc__ = f"Stand in for `Run.{name}`."
    method.__signature__ = taken  # type: ignore[attr-defined] # inspect looks for it
    return method


def _print(text: str) -> Callable[[OfflineRun, Mapping[str, Any]], None]:
    return lambda _run, given: print("Attempted to " + text.format_map(given))


def _answer(make: Callable[[], Any]) -> Callable[[OfflineRun, Mapping[str, Any]], Any]:
    return lambda _run, _given: make()


def _refuse(error: type[Exception], told: str) -> Callable[[OfflineRun, Mapping[str, Any]], Any]:
    def act(run: OfflineRun, _given: Mapping[str, Any]) -> Any:
        message = f"{run.id} is offline, it has no store: {told}"
        raise error(message)

    return act


def _acts() -> dict[str, Callable[[OfflineRun, Mapping[str, Any]], Any]]:
    no_file = _refuse(FileNotInRunError, "there are no files")
    return {
        **{name: _print(text) for name, text in PRINTS.items()},
        **{name: _answer(make) for name, make in ANSWERS.items()},
        **{name: _refuse(RunEnvironmentException, f"there is no {name} of it") for name in REFUSES},
        **dict.fromkeys(FILES, no_file),
    }


for _name, _act in _acts().items():
    if hasattr(Run, _name):
        setattr(OfflineRun, _name, _like(_name, _act))
