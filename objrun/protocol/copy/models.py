"""Registered models on the move: files first, then the chains that name them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from objrun.errors import FormatError, UnavailableError
from objrun.format import model_keys as keys
from objrun.protocol.chain import Chain, load
from objrun.protocol.copy.files import copy_bytes
from objrun.protocol.copy.forks import commit_again, lacking, meeting
from objrun.protocol.files import StoredFile
from objrun.protocol.models import check_files, is_there, list_heads, model_scheme, read_head
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.storage.sharing import share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from objrun.format.states import ModelState
    from objrun.protocol.copy.pair import Pair
    from objrun.protocol.copy.work import Work
    from objrun.storage import Store

    Sizes = dict[tuple[str, int], dict[int, int]]


def copy_models(pair: Pair, work: Work) -> None:
    """Copy what the target lacks of all models; what another one has the name of is told."""
    ours, theirs = map(_sizes, pair)
    for (name, number), sizes in sorted(ours.items()):
        try:
            for told in _copy(pair, name, number, sizes, theirs.get((name, number), {}), work):
                work.copied.conflicts.append(f"model {name}:{number} {told}")
        except (FormatError, UnavailableError) as error:
            work.copied.conflicts.append(f"model {name}:{number} is not copied: {error.message}")


def left_behind(pair: Pair, runs: Collection[str]) -> list[str]:
    """Return the models of some runs that the target does not have, each as `name:number`.

    A LIST on both sides, and a GET for each model that is not there.
    """
    theirs = {head[:2] for head in list_heads(pair.target)}
    heads = [head for head in list_heads(pair.source) if head[:2] not in theirs]
    found = []
    for head, answer in zip(
        heads, together(pair.source, partial(read_head, pair.source), heads), strict=True
    ):
        with suppress(FormatError):
            version = answer()
            if is_there(version) and version.state and version.state.run_id in runs:
                found.append(f"{head.name}:{head.number}")
    return found


def _sizes(store: Store) -> Sizes:
    """Return the sizes of the versions of all chains, by name, number and version."""
    found: Sizes = {}
    for info in insist(partial(store.list, keys.STATES)):
        if parsed := keys.parse_model_state(info.key):
            found.setdefault(parsed[:2], {})[parsed.version] = info.size
    return found


def _copy(
    pair: Pair,
    name: str,
    number: int,
    ours: Mapping[int, int],
    theirs: Mapping[int, int],
    work: Work,
) -> Iterator[str]:
    """Copy one version of a model; yield what could not be done."""
    if ours.items() <= theirs.items():
        return
    scheme = model_scheme(name, number)
    known = meeting(pair, scheme, ours, theirs)
    if theirs and not known:
        yield "is another model there: it is kept as it is on both sides"
        return
    state = load(pair.source, scheme, max(ours)).state
    files = [] if theirs or state is None or state.purged else _lacking(pair, state)
    if known == max(theirs, default=0):
        work.model(name, number, files, {n: s for n, s in ours.items() if n > known}, forked=False)
    elif again := lacking(pair, scheme, known, ours, theirs):
        work.model(name, number, files, {n: ours[n] for n in again}, forked=True)


def _lacking(pair: Pair, state: ModelState) -> list[StoredFile]:
    """Return the files of a model that a copy that was broken off has not brought."""
    folder = keys.model_files(state.name, state.nonce)
    there = {info.key: info.size for info in insist(partial(pair.target.list, folder))}
    files = (
        StoredFile(keys.model_file(state.name, state.nonce, file.name), file.size, file.sha256)
        for file in state.files
    )
    return [file for file in files if there.get(file.key) != file.size]


def carry_model(
    pair: Pair,
    name: str,
    number: int,
    files: list[StoredFile],
    versions: Mapping[int, int],
    *,
    forked: bool,
) -> Iterator[int]:
    """Copy files and then versions of a chain in order; yield the bytes of each object."""
    for file in files:
        yield copy_bytes(pair, file)
    scheme = model_scheme(name, number)
    for version in versions:
        if forked:
            yield commit_again(pair, scheme, version)
            continue
        size, stands = pair.copy(scheme.key(version))
        if not stands:
            # Somebody registered or changed it there just now: theirs stays.
            return
        yield size
    if files:
        check_files(Chain(pair.target, scheme, load(pair.target, scheme, max(versions))))
    for file in files:
        share(pair.target, file.key, file.sha256)
