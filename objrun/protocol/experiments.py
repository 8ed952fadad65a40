"""Experiments as they are stored: their chains, and the names behind their folders."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

from objrun import clock
from objrun.errors import CorruptObjectWarning, ExperimentNotFoundError, FormatError
from objrun.format import keys
from objrun.format.documents import decode_experiment, encode_experiment
from objrun.format.states import ExperimentState
from objrun.protocol.chain import Scheme, load_last
from objrun.protocol.updates import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

T = TypeVar("T")


def experiment_scheme(name: str) -> Scheme[ExperimentState]:
    """Return the scheme of an experiment's chain."""
    return Scheme(
        folder=keys.experiment_states(name),
        key=lambda version: keys.experiment_state(name, version),
        encode=encode_experiment,
        decode=decode_experiment,
        replay=replay,
        purged=lambda: ExperimentNotFoundError(f"experiment {name!r} was deleted and purged"),
    )


def new_experiment(name: str) -> ExperimentState:
    """Return the state that an experiment begins with."""
    return ExperimentState(experiment_id=clock.new_id(), name=name, created=clock.now())


def full_name(store: Store, piece: str) -> str | None:
    """Return the name of an experiment whose folder's name was cut, from its last version.

    None where there is no version, or a damaged one, of which a CorruptObjectWarning tells.
    """
    folder = f"{keys.EXPERIMENTS}{piece}/state/"
    scheme: Scheme[ExperimentState] = Scheme(
        folder=folder,
        key=lambda version: f"{folder}{version:0{keys.VERSION_DIGITS}d}.json",
        encode=encode_experiment,
        decode=decode_experiment,
        replay=replay,
        purged=lambda: ExperimentNotFoundError(piece),
    )

    def read() -> str | None:
        version = load_last(store, scheme)
        state = version.state if version else None
        return state.name if state else version.experiment if version else None

    return unless_damaged(read)


def unless_damaged(read: Callable[[], T]) -> T | None:
    """Return what is read; None, with a warning, where it is damaged or too new to be read."""
    try:
        return read()
    except FormatError as error:
        warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=3)
        return None
