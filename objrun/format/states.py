"""What the documents of a store say, as frozen values. SPEC section 5; `documents` codes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from objrun.format.values import Scalar

FORMAT: Final = 1
"""The version of the format that this code reads and writes."""

FEATURES: Final[frozenset[str]] = frozenset()
"""Features that a header may require and this code knows."""

STATUSES: Final = (
    "NotStarted",
    "Queued",
    "Preparing",
    "Provisioning",
    "Starting",
    "Running",
    "CancelRequested",
    "Canceled",
    "Finalizing",
    "Completed",
    "Failed",
    "Unapproved",
    "NotResponding",
    "Pausing",
    "Paused",
)
"""Every status of a run; the names of Azure ML."""

TERMINAL: Final = ("Completed", "Failed", "Canceled")
"""Statuses that end a run; the first one stays, unless the run is resumed."""

LIFECYCLES: Final = ("active", "archived", "deleted")
"""What an experiment (all three) or a run (not archived) can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """`objrun.json`: what makes a prefix a store, and who may read and write it."""

    store_id: str
    created: datetime
    write_id: str
    min_reader: int = FORMAT
    min_writer: int = FORMAT
    features: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberClaim:
    """A claim of a run number: number `number` of the experiment belongs to `run_id`."""

    number: int
    run_id: str
    write_id: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One write-once property of a run."""

    run_id: str
    key: str
    value: str | None
    write_id: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One version of a file of a run: whose bytes stand under its name.

    `size` in bytes; `sha256` of all of them, in hexadecimal digits.
    """

    run_id: str
    name: str
    version: int
    size: int
    sha256: str
    written: datetime
    write_id: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentState:
    """All that an experiment is at one version of its chain."""

    experiment_id: str
    name: str
    created: datetime
    description: str | None = None
    lifecycle: str = "active"
    archived: datetime | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """All that a run is at one version of its chain; metrics and files are not in it.

    `attempt` counts how often it was begun: 1, and one more each time it was resumed.
    """

    run_id: str
    experiment: str
    number: int
    root_run_id: str
    created: datetime
    parent_run_id: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    type: str | None = None
    status: str = "NotStarted"
    attempt: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    error: Mapping[str, Any] | None = None
    lifecycle: str = "active"
    tags: Mapping[str, str | None] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """One file of a model: `size` in bytes, `sha256` in hexadecimal digits."""

    name: str
    size: int
    sha256: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelState:
    """All that one version of a model is at one version of its chain.

    `number` is the version of the model. Its files stand below `nonce`. `run_id` and `experiment`
    name the run that registered it. `purged`: when its files were removed.
    """

    name: str
    number: int
    created: datetime
    nonce: str
    files: tuple[ModelFile, ...]
    description: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    run_id: str | None = None
    experiment: str | None = None
    lifecycle: str = "active"
    purged: datetime | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def type_of(state: RunState) -> str | None:
    """Return the type of a run; Azure ML's scripts may give it as the property `runsource`."""
    return state.type or state.properties.get("azureml.runsource")


S = TypeVar("S")


@dataclass(frozen=True, kw_only=True, slots=True)
class Version(Generic[S]):
    """One version of a chain: the operations that were done and the whole state after them.

    `state` is None in a blind version, whose writer could not read; `base` then names the last
    version it knew. It is None too in a tombstone, which ends what was `purged` then; `experiment`
    names where that stood.
    """

    version: int
    write_id: str
    written: datetime
    ops: tuple[Mapping[str, Any], ...]
    state: S | None
    base: int | None = None
    purged: datetime | None = None
    experiment: str | None = None
