"""Remove the files of models that were deleted long ago, and of registrations that died. SPEC 9.10.

Deleted versions first get a version of their chain that says so. Of files that no version names,
their writer may still be about to claim one: so they are marked before the claims are listed once
more, and whoever claims looks for the mark after that. One of the two sees the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from objrun.errors import FormatError
from objrun.format import model_keys as keys
from objrun.protocol.chain import create, new_version
from objrun.protocol.models import Purge, list_heads, model_scheme, read_head
from objrun.protocol.purge import Freed
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from objrun.format.model_keys import ModelFolder
    from objrun.format.states import ModelState, Version
    from objrun.protocol.models import Head
    from objrun.storage import ObjectInfo, Store

    Folders = dict[ModelFolder, list[ObjectInfo]]


@dataclass
class _Known:
    """What chains say: which registration each version is of, and which names cannot be told."""

    heads: dict[tuple[str, int], tuple[Head, Version[ModelState]]] = field(default_factory=dict)
    owners: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)


def collect_models(
    store: Store, limit: datetime, now: datetime, *, dry_run: bool
) -> Iterator[Freed]:
    """Remove the files of models that nobody wrote to since `limit`, and yield what each freed.

    Those are of versions that are deleted, or named by none. Where a version
    of a name cannot be read, all files of that name that are not of another stay.
    """
    folders = _list_folders(store)
    known = _read(store, list_heads(store))
    for folder, infos in sorted(folders.items()):
        if max(info.modified for info in infos) >= limit:
            continue
        owner = known.owners.get(folder)
        size = sum(info.size for info in infos)
        if owner is not None:
            freed = Freed(None, None, len(infos), size, f"{owner[0]}:{owner[1]}")
            may_go = _is_due(known, owner, limit) and (
                dry_run or _entomb(store, *known.heads[owner], now)
            )
        else:
            freed = Freed(None, None, len(infos), size, folder.name)
            may_go = folder.name not in known.unclear and (dry_run or _is_nobodys(store, folder))
        if may_go:
            if not dry_run:
                _remove(store, folder, infos)
            yield freed


def _list_folders(store: Store) -> Folders:
    folders: Folders = {}
    for info in insist(lambda: store.list(keys.FILES)):
        if folder := keys.parse_model_file(info.key):
            folders.setdefault(folder, []).append(info)
    return folders


def _read(store: Store, heads: Iterable[Head]) -> _Known:
    known = _Known()
    listed = [*heads]
    for head, answer in zip(
        listed, together(store, partial(read_head, store), listed), strict=True
    ):
        try:
            version = answer()
        except FormatError:
            known.unclear.add(head.name)
            continue
        if version.state:
            known.heads[head.name, head.number] = head, version
            known.owners[head.name, version.state.nonce] = head.name, head.number
    return known


def _is_due(known: _Known, owner: tuple[str, int], limit: datetime) -> bool:
    """Return whether a version was deleted that long ago, or a purge of it was broken off."""
    head, version = known.heads[owner]
    state = version.state
    if state is None or state.purged:
        return state is not None
    return state.lifecycle == "deleted" and head.modified < limit


def _entomb(store: Store, head: Head, version: Version[ModelState], now: datetime) -> bool:
    """Say that the files are removed; False where somebody has changed the model meanwhile."""
    state = version.state
    if state is None or state.purged:
        return state is not None
    purge = Purge(now)
    following = new_version(head.last + 1, purge.apply(state), [purge.op()])
    return create(store, model_scheme(head.name, head.number), following)


def _is_nobodys(store: Store, folder: ModelFolder) -> bool:
    """Mark files that no version names, and return whether still none does."""
    insist(lambda: store.put(keys.needless(*folder), b""))
    known = _read(store, list_heads(store, folder.name))
    return folder not in known.owners and folder.name not in known.unclear


def _remove(store: Store, folder: ModelFolder, infos: Iterable[ObjectInfo]) -> None:
    """Remove files, and the mark last."""
    mark = keys.needless(*folder)
    insist(lambda: store.delete([info.key for info in infos if info.key != mark]))
    insist(lambda: store.delete([mark]))
