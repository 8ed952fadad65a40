"""Registered models: their chains, and whether their files are there and as they were stored."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from objrun.errors import CorruptObjectError, NotFoundError
from objrun.format import model_keys as keys
from objrun.protocol.chain import load_last
from objrun.protocol.files import StoredFile, read_whole
from objrun.protocol.models import model_scheme
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.verify.chains import FILLED, hole, look_at_chain, refill
from objrun.tables.verify.findings import Finding, Mend
from objrun.tables.verify.stored import WRONG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from objrun.format.states import ModelState
    from objrun.storage import Store
    from objrun.tables.verify.findings import Checked

MISSING = "missing_file"


def look_at_models(store: Store, checked: Checked, *, deep: bool) -> Iterator[Finding]:
    """Yield what is wrong with models; with `deep` the bytes of all their files are read, too.

    Files that no version names are those of a registration that goes on or has died: no harm.
    """
    # Chains before files: those of a version that is listed were there before it.
    states = insist(lambda: store.list(keys.STATES))
    files = insist(lambda: store.list(keys.FILES))
    checked.add(known=len(states) + len(files))
    versions: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for key in (info.key for info in (*states, *files)):
        if parsed := keys.parse_model_state(key):
            versions[parsed[:2]].append(parsed.version)
        elif keys.parse_model_file(key) is None:
            told = "its key is none of the format; nobody reads it"
            yield Finding("unknown_object", key, told)
    sizes = {info.key: info.size for info in files}

    def look(whose: tuple[str, int]) -> list[Finding]:
        return [*_look(store, *whose, versions[whose], sizes, deep=deep)]

    for answer in together(store, look, sorted(versions)):
        yield from answer()
    checked.add(objects=len(states) + len(files))


def _look(
    store: Store,
    name: str,
    number: int,
    listed: list[int],
    sizes: Mapping[str, int],
    *,
    deep: bool,
) -> Iterator[Finding]:
    """Look at one version of a model."""
    scheme = model_scheme(name, number)
    look = look_at_chain(store, scheme, _identity, listed)
    yield from look.findings
    for stretch in look.missing:
        found = hole(scheme, stretch)
        mend = Mend(_refill, (name, number)) if look.known else None
        yield Finding("hole", found.key, found.message, FILLED, mend)
    if look.last and look.last.state:
        yield from _look_at_files(store, look.last.state, sizes, deep=deep)


def _look_at_files(
    store: Store, state: ModelState, sizes: Mapping[str, int], *, deep: bool
) -> Iterator[Finding]:
    """Compare the files of a version with what it says of them."""
    if state.purged:
        return
    for file in state.files:
        key = keys.model_file(state.name, state.nonce, file.name)
        stored = StoredFile(key, file.size, file.sha256)
        if key not in sizes:
            if not _is_purged(store, state):
                told = f"it is of model {state.name}:{state.number}, which cannot be used without"
                yield Finding(MISSING, key, told)
        elif sizes[key] != file.size:
            yield Finding(WRONG, key, f"it has {sizes[key]} bytes, and {file.size} by its model")
        elif deep:
            try:
                for _ in read_whole(store, stored):
                    pass
            except CorruptObjectError as error:
                yield Finding(WRONG, key, error.problems[0].message)
            except NotFoundError:
                continue  # purged since it was listed


def _is_purged(store: Store, state: ModelState) -> bool:
    last = load_last(store, model_scheme(state.name, state.number))
    return last is not None and last.state is not None and last.state.purged is not None


def _identity(state: ModelState) -> tuple[object, ...]:
    fixed = state.framework, state.framework_version, state.run_id, state.experiment
    return state.name, state.number, state.created, state.nonce, state.files, *fixed


def _refill(store: Store, name: str, number: int) -> None:
    refill(store, model_scheme(name, number))
