"""Look at a whole store, or at some of its experiments, and say what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from objrun.errors import FormatError, NotFoundError
from objrun.format import keys
from objrun.format.documents import decode_header, decode_number
from objrun.format.names import is_experiment
from objrun.protocol.experiments import full_name
from objrun.protocol.settle import insist
from objrun.tables.verify.deep import look_deeper
from objrun.tables.verify.experiments import list_parts, look_at_experiment, look_at_numbers
from objrun.tables.verify.findings import Checked, Finding, unreadable
from objrun.tables.verify.live import Live
from objrun.tables.verify.models import look_at_models
from objrun.tables.verify.runs import Runs, by_run
from objrun.tables.verify.shared import look_at_shared
from objrun.tables.verify.tables import REBUILT, look_at_tables, mended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from objrun.storage import ObjectInfo, Store

KNOWN = ("experiments", "runs", "snapshots", "environments", "models", "objrun.probe")
"""Folders that a store may have, the last one and what begins so."""


def verify(
    store: Store,
    experiments: Sequence[str] | None = None,
    *,
    deep: bool = False,
    tell: Callable[[Checked], None] = lambda _checked: None,
) -> Iterator[Finding]:
    """Yield everything that is wrong with a store, or with some experiments; write nothing.

    Every document and every segment that counts is read, and every table: each object against the
    format, and all against each other. `deep` also compares the rows of runs with their chains
    field by field, and makes all summaries again. The store may be in use: what looks wrong is
    looked at twice. `tell` is told how far it has come; at the end, how much there was.

    Memory holds the keys of the store, a little for each run and writer, and one file of a table.

    >>> from objrun.storage import MemoryStore
    >>> [finding.code for finding in verify(MemoryStore("nothing here"))]
    ['damaged']
    """
    checked = Checked(tell)
    yield from _header(store, checked)
    # Chains are listed before markers, and these before tables: a version that is listed was
    # announced by a marker, which stays until tables have it.
    folders = _folders(store)
    names = [name for name in folders.values() if name] if experiments is None else [*experiments]
    if experiments is None:
        yield from _strangers(store, folders)
        listed = insist(lambda: store.list("runs/"))
    else:
        listed = _listed(store, names)
    newest = max((info.modified for info in listed), default=datetime.min.replace(tzinfo=UTC))
    checked.add(known=len(listed))
    runs = Runs(store, checked, newest)
    yield from runs.look(by_run(listed))
    if experiments is None:
        yield from look_at_shared(store, runs.shared(), checked)
        yield from look_at_models(store, checked, deep=deep)
    lost = runs.experiments() - {*names} if experiments is None else set()
    for name in sorted({*names, *lost}):
        yield from _experiment(store, name, runs, checked, newest, deep=deep)


def _header(store: Store, checked: Checked) -> Iterator[Finding]:
    checked.add(objects=1, known=1)
    try:
        decode_header(keys.HEADER, insist(lambda: store.get(keys.HEADER)))
    except NotFoundError:
        yield Finding("damaged", keys.HEADER, "it is not there: this is no store")
    except FormatError as error:
        yield unreadable(keys.HEADER, error)


def _folders(store: Store) -> dict[str, str | None]:
    """Return the name behind each folder of an experiment, None where there is none."""
    pieces = insist(lambda: store.folders(keys.EXPERIMENTS))
    found = {piece: keys.decode_name(piece) or full_name(store, piece) for piece in pieces}
    return {piece: name if name and is_experiment(name) else None for piece, name in found.items()}


def _strangers(store: Store, folders: dict[str, str | None]) -> Iterator[Finding]:
    """Yield folders that are none of a store's."""
    top = [name for name in insist(lambda: store.folders("")) if not name.startswith(KNOWN)]
    odd = [f"{keys.EXPERIMENTS}{piece}" for piece, name in folders.items() if name is None]
    for folder in (*top, *odd):
        told = "no rule of the format knows this folder; nobody reads it"
        yield Finding("unknown_object", f"{folder}/", told)


def _listed(store: Store, names: Sequence[str]) -> list[ObjectInfo]:
    """Return the objects of the runs of some experiments, as claims, markers and segments tell."""
    runs: set[str] = set()
    for name in names:
        parts = list_parts(store, name)
        runs |= parts.runs()
        for key in parts.claims.values():
            try:
                runs.add(decode_number(key, insist(partial(store.get, key))).run_id)
            except (FormatError, NotFoundError):
                continue
    return [
        info for run in sorted(runs) for info in insist(partial(store.list, keys.run_folder(run)))
    ]


def _experiment(
    store: Store, name: str, runs: Runs, checked: Checked, newest: datetime, *, deep: bool
) -> Iterator[Finding]:
    early = runs.seen(name)
    parts = list_parts(store, name)
    checked.add(known=parts.count)
    times = [newest, *(info.modified for info in parts.markers.values())]
    tabled = look_at_tables(store, name, [*parts.segments], checked)
    yield from look_at_experiment(store, name, parts, runs.of(name))
    yield from runs.families(name)
    yield from look_at_numbers(store, name, parts.claims, runs)
    live = Live(store, name, early, parts, tabled, runs, max(times))
    found = [*tabled.findings, *live.look(checked)]
    if deep and not any(finding.repair == REBUILT for finding in found):
        found += look_deeper(store, name, runs)
    yield from mended(found, name, {facts.run for facts in runs.of(name)})
    checked.add(objects=checked.known - checked.objects)
