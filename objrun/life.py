"""The life of a run: how it starts, moves from status to status, fails, ends and is waited for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.conversion import to_text
from objrun.errors import (
    ActivityFailedException,
    ExperimentExecutionException,
    StatusWarning,
    UserErrorException,
)
from objrun.format.checking import format_time
from objrun.format.names import check_key
from objrun.protocol.updates import SetStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from objrun.format.states import RunState
    from objrun.protocol.chain import Chain

DEFAULT_ERROR = "UserError"
"""The code of an error that names none."""

_FIRST_LOOK = 0.5
_SLOWEST_LOOK = 15.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known of a run before it exists."""

    name: str | None = None
    run_id: str | None = None
    display_name: str | None = None
    description: str | None = None
    type: str | None = None
    parent: RunState | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)


def move(chain: Chain[RunState], status: str, error: Mapping[str, Any] | None = None) -> None:
    """Commit a change of status; warn where it is ignored because the run has ended otherwise."""
    state = chain.commit(SetStatus(status, clock.now(), error))
    if state.status != status:
        message = f"run {state.run_id} is {state.status} and stays so: {status} is ignored"
        warnings.warn(message, StatusWarning, stacklevel=3)


def error_of(details: object, code: str | None) -> dict[str, str]:
    """Return the error of a failed run: code and message; TypeError for other details.

    >>> error_of(ValueError("bad"), None)
    {'code': 'UserError', 'message': 'ValueError: bad'}
    """
    error = {"code": _readable(str(code or DEFAULT_ERROR))}
    if details is None:
        return error
    if isinstance(details, BaseException):
        text = f"{type(details).__name__}: {details}"
    elif isinstance(details, str):
        text = details
    else:
        message = f"error_details is text or an exception, not {type(details).__name__}"
        raise TypeError(message)
    return {**error, "message": _readable(text)}


def _readable(text: str) -> str:
    """Escape what UTF-8 cannot hold: a failed run must be recorded whatever its error says."""
    return text.encode("utf-8", "backslashreplace").decode()


def details(state: RunState) -> dict[str, Any]:
    """Return all about a run in the shape of Azure ML; what is not set is left out."""
    found: dict[str, Any] = {
        "runId": state.run_id,
        "target": "local",
        "status": state.status,
        "startTimeUtc": format_time(state.started),
        "endTimeUtc": format_time(state.ended),
        "error": {"error": dict(state.error)} if state.error else None,
        "properties": dict(state.properties),
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": {},
        "submittedBy": state.properties.get("objrun.user"),
    }
    return {name: value for name, value in found.items() if value is not None}


def wait(
    chain: Chain[RunState], ends: Sequence[str], *, show_output: bool, raise_on_error: bool
) -> None:
    """Return when the run has one of the statuses `ends`."""
    if show_output:
        print(f"RunId: {chain.state.run_id}")
    pause = _FIRST_LOOK
    try:
        while chain.state.status not in ends and chain.refresh().status not in ends:
            clock.sleep(pause)
            pause = min(_SLOWEST_LOOK, pause * 1.5)
    except KeyboardInterrupt:
        message = f"waiting for run {chain.state.run_id} was interrupted; the run goes on"
        raise ExperimentExecutionException(message) from None
    state = chain.state
    if show_output:
        print(
            f"\nExecution Summary\n=================\nRunId: {state.run_id}\nStatus: {state.status}"
        )
    if state.status == "Failed" and raise_on_error:
        error = dict(state.error or {})
        message = f"run {state.run_id} failed: {error.get('message') or error.get('code')}"
        raise ActivityFailedException(message)


def children_tags(
    count: int | None, key: str | None, values: Iterable[Any] | None, *, most: int
) -> list[dict[str, str | None]]:
    """Return the tags of each child that `create_children` makes; UserErrorException if unclear."""
    if (count is None) == (key is None and values is None) or (key is None) != (values is None):
        message = "create_children takes either count, or tag_key with tag_values"
        raise UserErrorException(message)
    if values is not None and key is not None:
        tags = [{check_key(key, "tag"): to_text(value, f"tag {key!r}")} for value in values]
    elif isinstance(count, int) and count >= 0:
        tags = [{"azureml.batch_child_number": str(number)} for number in range(count)]
    else:
        message = f"count is an integer of 0 or more, not {count!r}"
        raise UserErrorException(message)
    if len(tags) > most:
        message = f"{len(tags)} children are asked for; one call makes at most {most}"
        raise UserErrorException(message)
    return tags


def tag_texts(tags: Mapping[str, Any] | str | None) -> dict[str, str | None]:
    """Return tags as text; a text is a tag without value.

    >>> tag_texts("new"), tag_texts({"n": 1})
    ({'new': None}, {'n': '1'})
    """
    return _texts({tags: None} if isinstance(tags, str) else tags, "tag")


def property_texts(properties: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return properties as text.

    >>> property_texts({"n": 1})
    {'n': '1'}
    """
    return _texts(properties, "property")


def _texts(items: Any, what: str) -> dict[str, str | None]:
    if items is None:
        return {}
    if not hasattr(items, "items"):
        message = f"a dict of {what} to value is wanted, not {type(items).__name__}"
        raise UserErrorException(message)
    return {check_key(k, what): to_text(v, f"{what} {k!r}") for k, v in items.items()}
