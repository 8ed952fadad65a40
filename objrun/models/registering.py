"""Registering a model: its files are stored below a nonce, then its next version is claimed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun import clock
from objrun.errors import ModelPathNotFoundException, UnavailableError, WebserviceException
from objrun.format import model_keys
from objrun.format.keys import NONCE_DIGITS
from objrun.format.names import check_file_name, check_model
from objrun.format.states import ModelFile, ModelState
from objrun.protocol.files import find_file, list_files, part_length, read_file
from objrun.protocol.models import claim
from objrun.protocol.settle import upload
from objrun.runs.artifacts import below, each
from objrun.runs.start import property_texts, tag_texts
from objrun.storage.keys import check_key
from objrun.storage.sharing import share
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from objrun.protocol.chain import Chain
    from objrun.run import Run
    from objrun.storage import Store
    from objrun.workspace import Workspace

    Sources = Mapping[str, Callable[[], Iterator[bytes]]]


class About(NamedTuple):
    """What is said of a model when it is registered, as the caller gave it.

    >>> About("digits").tags is None
    True
    """

    name: str
    tags: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] | None = None
    framework: str | None = None
    framework_version: str | None = None
    description: str | None = None

    def draft(self) -> ModelState:
        """Return the state that a model begins with, without files and number.

        Raises WebserviceException for what a model cannot be, UserErrorException for what tags and
        properties cannot.
        """
        if self.framework_version is not None and self.framework is None:
            message = "a model_framework_version needs a model_framework"
            raise WebserviceException(message)
        return ModelState(
            name=check_model(self.name),
            number=1,
            created=clock.now(),
            nonce=clock.random_hex(NONCE_DIGITS // 2),
            files=(),
            description=to_text(self.description, "description"),
            framework=to_text(self.framework, "model_framework"),
            framework_version=to_text(self.framework_version, "model_framework_version"),
            tags=tag_texts(self.tags or {}),
            properties=property_texts(self.properties or {}),
        )


def register_of_run(run: Run, path: str | None, about: About) -> Chain[ModelState]:
    """Register files of a run: those at `path`, by default at the name of the model."""
    draft = about.draft()
    workspace = run.experiment.workspace
    if run.is_spooled:
        message = f"run {run.id} is in the spool: its models can be registered when it is back"
        raise UnavailableError(message)
    store = workspace.reading()
    names = _chosen(run.id, [*list_files(store, run.id)], about.name if path is None else path)
    sources = {name: partial(_of_run, store, run.id, full) for name, full in names.items()}
    draft = replace(draft, run_id=run.id, experiment=run.experiment.name)
    return _register(workspace, draft, sources)


def register_local(
    workspace: Workspace,
    path: str | os.PathLike[str],
    about: About,
    children: Iterable[str | os.PathLike[str]] | None = None,
) -> Chain[ModelState]:
    """Register a local file, or a folder with all files below it, or only `children` of these."""
    draft = about.draft()
    place = Path(path).resolve()
    if not place.exists():
        message = f"there is no file or folder {str(path)!r}"
        raise ModelPathNotFoundException(message)
    files = below(place.name, place) if place.is_dir() else {place.name: place}
    if children is not None:
        wanted = [place / child for child in children]
        files = {
            name: file
            for name, file in files.items()
            if any(file == each or each in file.parents for each in wanted)
        }
    if not files:
        message = f"there are no files in {str(path)!r}"
        raise ModelPathNotFoundException(message)
    sources = {check_file_name(name): partial(_of_file, file) for name, file in files.items()}
    return _register(workspace, draft, sources)


def _chosen(run: str, names: Sequence[str], path: str) -> dict[str, str]:
    """Return the files at a path: their names within the model, and in full."""
    place = path.removeprefix("./").strip("/")
    above = place.rpartition("/")[0]
    found = {
        name.removeprefix(f"{above}/"): name
        for name in names
        if name == place or name.startswith(f"{place}/")
    }
    if not found:
        has = "\n  ".join(names[:20]) + ("\n  ..." if names[20:] else "")
        told = f"it has these:\n  {has}" if names else "it has none"
        message = f"run {run} has no files at {path!r}: {told}"
        raise ModelPathNotFoundException(message)
    return found


def _register(workspace: Workspace, draft: ModelState, sources: Sources) -> Chain[ModelState]:
    store = workspace.writing()
    places = {name: model_keys.model_file(draft.name, draft.nonce, name) for name in sources}
    for key in places.values():
        check_key(key)
    files = each(sources, lambda name: _store(store, places[name], name, sources[name]))
    chain = claim(store, replace(draft, files=tuple(files)))
    # Not before: files with the times of older ones could be taken for left over.
    for file in files:
        share(store, places[file.name], file.sha256)
    return chain


def _store(store: Store, key: str, name: str, source: Callable[[], Iterator[bytes]]) -> ModelFile:
    """Store one file in bounded memory; return what it came to."""
    sent: list[ModelFile] = []

    def parts() -> Iterator[bytes]:
        digest, size = hashlib.sha256(), 0
        for part in source():
            digest.update(part)
            size += len(part)
            yield part
        sent[:] = [ModelFile(name=name, size=size, sha256=digest.hexdigest())]

    upload(store, key, parts)
    return sent[0]


def _of_run(store: Store, run: str, name: str) -> Iterator[bytes]:
    yield from read_file(store, *find_file(store, run, name))


def _of_file(path: Path) -> Iterator[bytes]:
    length = part_length(path.stat().st_size)
    with path.open("rb") as file:
        while part := file.read(length):
            yield part
