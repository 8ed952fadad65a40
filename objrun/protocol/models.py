"""Registered models as they are stored: claimed, found, changed. SPEC section 9.10.

Each version of a model is a chain, and creating the first version of that claims the number. The
files are there before, below a nonce of the registration, so nobody sees a model without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun.errors import CorruptObjectError, ModelNotFoundError, UnavailableError
from objrun.format import model_keys as keys
from objrun.format.checking import Fields, format_time
from objrun.format.keys import MAX_VERSION
from objrun.format.model_documents import decode_model, encode_model
from objrun.format.names import choices
from objrun.protocol.chain import Chain, Scheme, create, first_version, load
from objrun.protocol.settle import insist
from objrun.protocol.updates import SetLifecycle, replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from objrun.format.states import ModelState, Version
    from objrun.storage import Store


class Head(NamedTuple):
    """Version `number` of a model, whose chain ends in version `last`, put at `modified`."""

    name: str
    number: int
    last: int
    modified: datetime


@dataclass(frozen=True)
class Purge:
    """Have the files of a deleted version of a model removed; there is no way back."""

    time: datetime

    def op(self) -> dict[str, Any]:
        """Return the JSON object that records this change."""
        return {"op": "purge", "time": format_time(self.time)}

    def apply(self, state: ModelState) -> ModelState:
        """Return the state after this change; what is not deleted any more stays."""
        is_due = state.lifecycle == "deleted" and state.purged is None
        return replace(state, purged=self.time) if is_due else state


def model_scheme(name: str, number: int) -> Scheme[ModelState]:
    """Return the scheme of the chain of a version of a model."""
    return Scheme(
        folder=keys.model_version(name, number),
        key=partial(keys.model_state, name, number),
        encode=encode_model,
        decode=decode_model,
        replay=_replay,
        purged=lambda: ModelNotFoundError(f"model {name}:{number} was deleted, and its files too"),
    )


def _replay(key: str, state: ModelState, ops: Iterable[Mapping[str, Any]]) -> ModelState:
    """Return the state after recorded operations, done in another store."""
    for op in ops:
        if op.get("op") != "purge":
            state = replay(key, state, [op])
            continue
        fields = Fields(op, "$.ops[0]", [])
        change = Purge(fields.time("time"))
        if fields.problems:
            raise CorruptObjectError(key, fields.problems)
        state = change.apply(state)
    return state


def list_heads(store: Store, name: str | None = None) -> list[Head]:
    """Return the versions of all models, or of one, by name, the greatest first: one LIST."""
    found: dict[tuple[str, int], Head] = {}
    prefix = keys.STATES if name is None else keys.model_states(name)
    # In the order of keys, so the last version of each chain comes last.
    for info in insist(lambda: store.list(prefix)):
        if parsed := keys.parse_model_state(info.key):
            found[parsed[:2]] = Head(*parsed, info.modified)
    return sorted(found.values(), key=lambda head: (head.name, -head.number))


def read_head(store: Store, head: Head) -> Version[ModelState]:
    """Return the last version of a chain that was listed."""
    return load(store, model_scheme(head.name, head.number), head.last)


def find_model(store: Store, name: str, number: int | None = None) -> Version[ModelState]:
    """Return a version of a model, the greatest one unless `number` is given.

    Raises ModelNotFoundError where there is none, or it is deleted.
    """
    heads = list_heads(store, name)
    for head in heads:
        if number in (None, head.number):
            version = read_head(store, head)
            if is_there(version):
                return version
    if heads and number is not None:
        named, there = f"{name}:{number}", (f"{name}:{head.number}" for head in heads)
    else:
        named, there = name, (head.name for head in list_heads(store) if head.name != name)
    message = f"there is no model {named} in {store.url}: {choices(named, there)}"
    raise ModelNotFoundError(message)


def is_there(version: Version[ModelState]) -> bool:
    """Return whether a version of a model is neither deleted nor purged."""
    state = version.state
    return state is not None and state.lifecycle == "active" and state.purged is None


def claim(store: Store, draft: ModelState) -> Chain[ModelState]:
    """Store a model under the next free number and return its chain.

    Raises UnavailableError where its files were taken for left over meanwhile and removed.
    """
    heads = list_heads(store, draft.name)
    number = heads[0].number + 1 if heads else 1
    while number <= MAX_VERSION:
        scheme = model_scheme(draft.name, number)
        version = first_version(replace(draft, number=number))
        if create(store, scheme, version):
            chain = Chain(store, scheme, version)
            check_files(chain)
            return chain
        number += 1
    message = f"model {draft.name!r} has all the versions that it can have"
    raise ModelNotFoundError(message)


def check_files(chain: Chain[ModelState]) -> None:
    """See that nobody removes the files: whoever does says so before looking for the claim.

    Raises UnavailableError where somebody does; then the model is deleted.
    """
    state = chain.state
    folder = keys.model_files(state.name, state.nonce)
    listed = {info.key for info in insist(lambda: chain.store.list(folder))}
    wanted = {keys.model_file(state.name, state.nonce, file.name) for file in state.files}
    if wanted <= listed and keys.needless(state.name, state.nonce) not in listed:
        return
    chain.commit(SetLifecycle("deleted", state.created))
    message = (
        f"model {state.name!r} is not registered: storing its files took so long that they were "
        "taken for left over: register it again"
    )
    raise UnavailableError(message)
