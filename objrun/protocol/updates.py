"""Changes of a run or an experiment as values: pure, idempotent, written into the chain as `ops`.

An update applied to a state gives the new state; applied to its own result it changes nothing, so
after a lost race it can be applied to the winner's state. SPEC section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from objrun.errors import CorruptObjectError, Problem, PropertyConflictError
from objrun.format.checking import Fields, format_time
from objrun.format.states import (
    LIFECYCLES,
    STATUSES,
    TERMINAL,
    ExperimentState,
    ModelState,
    RunState,
)
from objrun.format.values import Scalar, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

S = TypeVar("S", RunState, ExperimentState, ModelState)
P = TypeVar("P", RunState, ModelState)

CREATE: Final[Mapping[str, Any]] = {"op": "create"}
"""The op of version 1 of every chain."""

LEAST_STEP: Final = -(2**63)
"""The least step that there can be."""


class Update(Protocol[S]):
    """A change: `apply` is pure, `op` is how the chain records it."""

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""

    def apply(self, state: S) -> S:
        """Return the state after this change; the same state where it changes nothing."""


@dataclass(frozen=True)
class SetStatus:
    """Move a run to `status` at `time`; the first terminal status of an attempt stays.

    One that is asked to be canceled ends, whatever else its launcher says meanwhile.

    `attempt`: that of who says so. What one says of an attempt that was followed by another, as a
    process that was taken for dead, changes nothing.
    """

    status: str
    time: datetime
    error: Mapping[str, Any] | None = None
    attempt: int = 1

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        op = {"op": "set_status", "status": self.status, "time": format_time(self.time)}
        whose = {} if self.attempt == 1 else {"attempt": self.attempt}
        return {**op, **whose, **({} if self.error is None else {"error": dict(self.error)})}

    def apply(self, state: RunState) -> RunState:
        """Return the state after this change."""
        is_late = self.attempt < state.attempt
        is_asked = state.status == "CancelRequested" and self.status not in TERMINAL
        if is_late or is_asked or state.status in (*TERMINAL, self.status):
            return state
        state = replace(state, status=self.status)
        if self.status == "Running" and state.started is None:
            state = replace(state, started=self.time)
        if self.status in TERMINAL:
            state = replace(state, ended=self.time, error=self.error)
        return state


@dataclass(frozen=True)
class Resume:
    """Begin attempt number `attempt` of a run at `time`: it is Running, whatever it was.

    `from_step`, for people: what was logged before, from this step on, was superseded.
    """

    attempt: int
    time: datetime
    from_step: int | None = None

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        op = {"op": "resume", "attempt": self.attempt, "time": format_time(self.time)}
        return op if self.from_step is None else {**op, "from_step": self.from_step}

    def apply(self, state: RunState) -> RunState:
        """Return the state after this change."""
        if state.attempt >= self.attempt:
            return state
        return replace(
            state,
            attempt=self.attempt,
            status="Running",
            started=state.started or self.time,
            ended=None,
            error=None,
        )


@dataclass(frozen=True)
class SetTags:
    """Set tags; others stay."""

    tags: Mapping[str, str | None]

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        return {"op": "set_tags", "tags": dict(self.tags)}

    def apply(self, state: S) -> S:
        """Return the state after this change."""
        return replace(state, tags={**state.tags, **self.tags})


@dataclass(frozen=True)
class RemoveTags:
    """Remove tags; unknown keys are ignored."""

    keys: tuple[str, ...]

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        return {"op": "remove_tags", "keys": list(self.keys)}

    def apply(self, state: S) -> S:
        """Return the state after this change."""
        tags = {key: value for key, value in state.tags.items() if key not in self.keys}
        return replace(state, tags=tags)


@dataclass(frozen=True)
class SetParams:
    """Set parameters; others stay."""

    params: Mapping[str, Scalar]

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        params = {name: to_json(value) for name, value in self.params.items()}
        return {"op": "set_params", "params": params}

    def apply(self, state: RunState) -> RunState:
        """Return the state after this change."""
        return replace(state, params={**state.params, **self.params})


@dataclass(frozen=True)
class AddProperties:
    """Add properties; those of a run have objects, which are claimed before."""

    properties: Mapping[str, str | None]

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        return {"op": "add_properties", "properties": dict(self.properties)}

    def apply(self, state: P) -> P:
        """Return the state after this change; a property that is there stays as it is."""
        return replace(state, properties={**self.properties, **state.properties})


@dataclass(frozen=True)
class Describe:
    """Set texts that people read: `display_name` (runs only) and `description`."""

    texts: Mapping[str, str | None]

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        return {"op": "describe", **self.texts}

    def apply(self, state: S) -> S:
        """Return the state after this change."""
        return replace(state, **cast("dict[str, Any]", self.texts))


@dataclass(frozen=True)
class SetLifecycle:
    """Archive, delete or bring back."""

    lifecycle: str
    time: datetime

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        time = format_time(self.time)
        return {"op": "set_lifecycle", "lifecycle": self.lifecycle, "time": time}

    def apply(self, state: S) -> S:
        """Return the state after this change."""
        if state.lifecycle == self.lifecycle:
            return state
        state = replace(state, lifecycle=self.lifecycle)
        if isinstance(state, ExperimentState):
            archived = self.time if self.lifecycle == "archived" else None
            state = replace(state, archived=archived)
        return state


def check_property(state: RunState, key: str, value: str | None, note: str = "") -> bool:
    """Return whether `key` is already there with this value; PropertyConflictError if another.

    `note` ends its message.
    """
    if key not in state.properties:
        return False
    if state.properties[key] != value:
        message = (
            f"property {key!r} of run {state.run_id} is {state.properties[key]!r} and cannot "
            f"become {value!r}: properties are written once; use a tag for what changes{note}"
        )
        raise PropertyConflictError(message)
    return True


def _describe(fields: Fields) -> Describe:
    names = [name for name in ("display_name", "description") if name in fields.data]
    return Describe({name: fields.maybe_text(name) for name in names})


def _resume(fields: Fields) -> Resume:
    has_step = fields.data.get("from_step") is not None
    step = fields.integer("from_step", least=LEAST_STEP) if has_step else None
    return Resume(fields.integer("attempt", least=1), fields.time("time"), step)


_READERS: Final[Mapping[str, Callable[[Fields], Any]]] = {
    "set_status": lambda f: SetStatus(
        f.choice("status", STATUSES),
        f.time("time"),
        f.mapping("error"),
        f.maybe_integer("attempt") or 1,
    ),
    "resume": _resume,
    "set_tags": lambda f: SetTags(f.text_map("tags")),
    "remove_tags": lambda f: RemoveTags(f.texts("keys")),
    "set_params": lambda f: SetParams(f.scalar_map("params")),
    "add_properties": lambda f: AddProperties(f.text_map("properties")),
    "describe": _describe,
    "set_lifecycle": lambda f: SetLifecycle(f.choice("lifecycle", LIFECYCLES), f.time("time")),
}


def replay(key: str, state: S, ops: Iterable[Mapping[str, Any]]) -> S:
    """Return the state after recorded ops, for versions that were written without reading.

    Raises CorruptObjectError, naming `key`, at an op this version does not know.
    """
    for position, op in enumerate(ops):
        at = f"$.ops[{position}]"
        read = _READERS.get(str(op.get("op")))
        if read is None:
            problem = Problem(at, "unknown_op", f"op {str(op.get('op'))[:80]!r} is not known")
            raise CorruptObjectError(key, [problem])
        fields = Fields(op, at, [])
        update = read(fields)
        if fields.problems:
            raise CorruptObjectError(key, fields.problems)
        state = update.apply(state)
    return state
