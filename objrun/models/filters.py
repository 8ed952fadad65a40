"""Which models are meant: filters of `Model.list`, as Azure ML defines them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun.errors import UserErrorException
from objrun.protocol.experiments import unless_damaged
from objrun.protocol.models import is_there, list_heads, read_head
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.format.states import ModelState, Version
    from objrun.protocol.models import Head
    from objrun.storage import Store

Wanted = str | Mapping[str, str | None] | Sequence[str | Sequence[str | None]] | None
"""A key that must be there; keys and [key, value] pairs; keys that must have values; or nothing."""


class ModelFilter(NamedTuple):
    """What a model must have.

    >>> ModelFilter("digits").is_more_than_a_name
    False
    """

    name: str | None = None
    tags: Wanted = None
    properties: Wanted = None
    run_id: str | None = None
    framework: str | None = None

    @property
    def is_more_than_a_name(self) -> bool:
        """Whether anything but the name is asked for."""
        return any(each is not None for each in self[1:])

    def passes(self, version: Version[ModelState] | None) -> bool:
        """Return whether a version of a model is there and passes.

        Raises UserErrorException for a filter of another type.
        """
        state = version.state if version and is_there(version) else None
        return (
            state is not None
            and self.run_id in (None, state.run_id)
            and self.framework in (None, state.framework)
            and _matches(state.tags, self.tags)
            and _matches(state.properties, self.properties)
        )


def list_models(
    store: Store, wanted: ModelFilter, *, latest: bool = False
) -> Iterator[Version[ModelState]]:
    """Yield the versions of models that pass, by name, the greatest first.

    `latest`: only where the greatest version of the name that is there passes.
    """
    _matches({}, wanted.tags), _matches({}, wanted.properties)
    heads = list_heads(store, wanted.name)
    if latest:
        names = [[*group] for _, group in groupby(heads, key=lambda head: head.name)]
        found = together(store, partial(_latest, store), names)
    else:
        found = together(store, partial(read_head, store), heads)
    for answer in found:
        version = unless_damaged(answer)
        if version is not None and wanted.passes(version):
            yield version


def _latest(store: Store, heads: Sequence[Head]) -> Version[ModelState] | None:
    """Return the first of some versions that is not deleted."""
    return next(filter(is_there, (read_head(store, head) for head in heads)), None)


def _matches(actual: Mapping[str, str | None], wanted: Any) -> bool:
    """Return whether tags or properties pass a filter; UserErrorException if it is none."""
    if wanted is None or isinstance(wanted, str):
        return wanted is None or wanted in actual
    pairs = wanted.items() if isinstance(wanted, Mapping) else wanted
    found = [_has(actual, each) for each in (pairs if isinstance(pairs, Iterable) else [pairs])]
    return all(found)


def _has(actual: Mapping[str, str | None], wanted: Any) -> bool:
    if isinstance(wanted, str):
        return wanted in actual
    if isinstance(wanted, list | tuple) and len(wanted) == 2 and isinstance(wanted[0], str):
        return wanted[0] in actual and actual[wanted[0]] == wanted[1]
    message = f"a filter is a key, or a list of keys and [key, value] pairs, not {wanted!r}"
    raise UserErrorException(message)
