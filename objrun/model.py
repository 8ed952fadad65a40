"""A registered model: named, versioned files that outlive the run they are of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.errors import (
    ModelNotFoundError,
    PropertyConflictError,
    WebserviceException,
)
from objrun.format.names import check_key, check_model
from objrun.models.facts import ModelFacts
from objrun.models.filters import ModelFilter, list_models
from objrun.protocol.chain import Chain
from objrun.protocol.files import StoredFile, read_whole
from objrun.protocol.models import find_model, model_scheme
from objrun.protocol.updates import (
    AddProperties,
    Describe,
    RemoveTags,
    SetLifecycle,
    SetTags,
)
from objrun.runs.artifacts import each, write_file
from objrun.runs.start import property_texts, tag_texts
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from objrun.format.states import ModelState
    from objrun.models.filters import Wanted
    from objrun.runs.artifacts import Artifact
    from objrun.workspace import Workspace


class Model(ModelFacts):
    """One version of a registered model: `name:version`.

    `Model(ws, name)` is the latest version, `Model(ws, name, version=3)` and
    `Model(ws, id="name:3")` that one; with filters it is the latest version that passes them. What
    is deleted is not found. Raises ModelNotFoundError, which is a WebserviceException, if there is
    none.

    >>> from io import BytesIO
    >>> done = run.upload_file("outputs/cnn.pt", BytesIO(b"weights"))
    >>> run.register_model("digits", "outputs/cnn.pt", tags={"kind": "cnn"}).id
    'digits:1'
    >>> Model(ws, "digits").run_id == run.id
    True
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,
        tags: Wanted = None,
        properties: Wanted = None,
        version: int | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,  # noqa: ARG002 - of the reference
    ) -> None:
        """Fetch the version."""
        if id is not None:
            name, _, number = id.partition(":")
            if not number.isdecimal():
                message = f"the id of a model is NAME:VERSION, such as digits:3, not {id!r}"
                raise WebserviceException(message)
            version = int(number)
        if name is None:
            message = "a model is named by its name, or by its id, which is name:version"
            raise WebserviceException(message)
        store = workspace.reading()
        wanted = ModelFilter(check_model(name), tags, properties, run_id, model_framework)
        if version is None and wanted.is_more_than_a_name:
            found = next(list_models(store, wanted), None)
            if found is None:
                message = f"no version of model {name!r} in {workspace.url} passes the filters"
                raise ModelNotFoundError(message)
        else:
            found = find_model(store, name, version)
            if not wanted.passes(found):
                message = f"model {name}:{version} does not pass the filters"
                raise ModelNotFoundError(message)
        state = found.state
        if state is None:
            raise TypeError
        self.workspace = workspace
        self._chain = Chain(workspace.store, model_scheme(state.name, state.number), found)

    @classmethod
    def of_chain(cls, workspace: Workspace, chain: Chain[ModelState]) -> Model:
        """Return the model that a chain is of."""
        model = cls.__new__(cls)
        model.workspace, model._chain = workspace, chain  # noqa: SLF001 - its own class
        return model

    # -- finding and making

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Wanted = None,
        properties: Wanted = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,  # noqa: ARG004 - of the reference
        expand: bool = True,  # noqa: ARG004 - of the reference
        page_count: int = 255,  # noqa: ARG004 - of the reference
        model_framework: str | None = None,
    ) -> builtins.list[Model]:
        """Return the models that pass all filters, by name, the greatest version first.

        `tags` and `properties`: a key that must be there, a list of keys and [key, value] pairs, or
        a dict. `latest`: only of the latest version of each name. `dataset_id`, `expand` and
        `page_count` are accepted and mean nothing. Damaged ones are left out with a
        CorruptObjectWarning each. One LIST a 1000 versions, and one GET for each.

        >>> from io import BytesIO
        >>> done = run.upload_file("digits.pt", BytesIO(b"weights"))
        >>> made = run.register_model("digits", "digits.pt", tags={"kind": "cnn"})
        >>> [model.id for model in Model.list(ws, tags=[["kind", "cnn"]])]
        ['digits:1']
        """
        store = workspace.querying()
        wanted = ModelFilter(
            None if name is None else check_model(name), tags, properties, run_id, model_framework
        )
        return [
            Model.of_chain(
                workspace, Chain(workspace.store, model_scheme(state.name, state.number), version)
            )
            for version in list_models(store, wanted, latest=latest)
            if (state := version.state)
        ]

    @staticmethod
    def register(  # noqa: PLR0913, PLR0917 - as the reference has it
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        description: str | None = None,
        datasets: Any = None,  # noqa: ARG004 - of the reference
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Iterable[str | os.PathLike[str]] | None = None,
        sample_input_dataset: Any = None,  # noqa: ARG004 - of the reference
        sample_output_dataset: Any = None,  # noqa: ARG004 - of the reference
        resource_configuration: Any = None,  # noqa: ARG004 - of the reference
    ) -> Model:
        """Register a local file, or a folder with all below it, and return the model.

        `child_paths`: only these files and folders below the folder. What the reference has for
        data sets and deployment is accepted and means nothing. Raises ModelPathNotFoundException
        where there is nothing, WebserviceException for a name that a model cannot have.
        """
        from objrun.models.registering import About, register_local

        about = About(
            model_name, tags, properties, model_framework, model_framework_version, description
        )
        return Model.of_chain(workspace, register_local(workspace, model_path, about, child_paths))

    @staticmethod
    def get_model_path(
        model_name: str, version: int | None = None, _workspace: Workspace | None = None
    ) -> str:
        """Return a local path of the model, downloaded to `azureml-models/<name>/<version>`.

        What is there with the same SHA-256 stays; else all is downloaded anew. The workspace is
        that of `_workspace`, of the run of this process, or of `OBJRUN_URL`.
        """
        from objrun.context import get_context
        from objrun.workspace import Workspace

        run = get_context()
        found = _workspace or (run.experiment.workspace if hasattr(run, "experiment") else None)
        model = Model(found or Workspace(), model_name, version=version)
        folder = Path("azureml-models", model.name, str(model.version))
        if all(_holds(folder / name, file) for name, file in model.files.items()):
            return str(folder / model._root)
        return model.download(folder, exist_ok=True)

    def download(
        self,
        target_dir: str | os.PathLike[str] = ".",
        exist_ok: bool = False,
        exists_ok: bool | None = None,
    ) -> str:
        """Write the files below `target_dir`, checked, and return the path of the file or folder.

        `exists_ok` is the older name of `exist_ok`. Raises WebserviceException where a file is
        there already, unless `exist_ok`: then it is replaced. CorruptObjectError where one is
        damaged.
        """
        targets = {name: Path(target_dir) / name for name in self.files}
        in_the_way = [str(path) for path in targets.values() if path.exists()]
        if in_the_way and not (exist_ok or exists_ok):
            message = f"{in_the_way[0]} is there already: pass exist_ok=True to replace it"
            raise WebserviceException(message)
        store, files = self.workspace.querying(), self.files

        def fetch(name: str) -> None:
            file = files[name]
            write_file(
                targets[name], read_whole(store, StoredFile(file.key, file.size, file.sha256))
            )

        each(targets, fetch)
        return str(Path(target_dir) / self._root)

    # -- changing it

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags, of which others stay."""
        self._commit(SetTags(tag_texts(tags)))

    def remove_tags(self, tags: Iterable[str] | str) -> None:
        """Remove tags; unknown keys are ignored."""
        self._commit(RemoveTags(_keys(tags)))

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties, which never change: another value is a PropertyConflictError."""
        self._commit(_Properties(property_texts(properties)))

    def update_tags_properties(
        self,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Iterable[str] | str | None = None,
        add_properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Remove tags, set tags and add properties, all at once."""
        self._commit(
            RemoveTags(_keys(remove_tags or ())),
            SetTags(tag_texts(add_tags or {})),
            _Properties(property_texts(add_properties or {})),
        )

    def update(
        self,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,  # noqa: ARG002 - of the reference
        sample_output_dataset: Any = None,  # noqa: ARG002 - of the reference
        resource_configuration: Any = None,  # noqa: ARG002 - of the reference
    ) -> None:
        """Replace all tags, or the description, or both; what is None stays."""
        changes: builtins.list[Any] = []
        if tags is not None:
            new = tag_texts(tags)
            old = self._chain.refresh().tags
            changes += [RemoveTags(tuple(key for key in old if key not in new)), SetTags(new)]
        if description is not None:
            changes.append(Describe({"description": to_text(description, "description")}))
        self._commit(*changes)

    def delete(self) -> None:
        """Put this version into the trash: it is not found any more, and its number stays used.

        `objrun gc` removes its files a month later; `restore()` brings it back until then.
        """
        self._commit(SetLifecycle("deleted", clock.now()))

    def restore(self) -> None:
        """Take this version out of the trash; ModelNotFoundError where its files are gone."""
        self._commit(SetLifecycle("active", clock.now()))

    def refresh(self) -> None:
        """Read again what may have changed."""
        self._chain.refresh()

    def _commit(self, *changes: Any) -> None:
        self.workspace.writing()
        if changes and self._chain.commit(*changes).purged:
            raise self._chain.scheme.purged()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as workspace and version."""
        return _model_at, (self.workspace, self._chain.head)

    def __repr__(self) -> str:
        """Name the workspace, the model and its run."""
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, "
            f"version={self.version}, tags={self.tags}, properties={self.properties})"
        )


class _Properties(AddProperties):
    """Add properties; another value of one that is there is refused, on whatever state it meets."""

    def apply(self, state: Any) -> Any:
        for key, value in self.properties.items():
            if state.properties.get(key, value) != value:
                message = (
                    f"property {key!r} of model {state.name}:{state.number} is "
                    f"{state.properties[key]!r} and cannot become {value!r}: properties are "
                    "written once; use a tag for what changes"
                )
                raise PropertyConflictError(message)
        return super().apply(state)


def _holds(path: Path, file: Artifact) -> bool:
    """Return whether a local file has the bytes of one of a model."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as local:
        return hashlib.file_digest(local, "sha256").hexdigest() == file.sha256


def _keys(tags: Iterable[str] | str) -> tuple[str, ...]:
    named: Sequence[str] = (tags,) if isinstance(tags, str) else tuple(tags)
    return tuple(check_key(key, "tag") for key in named)


def _model_at(workspace: Workspace, head: Any) -> Model:
    state = head.state
    scheme = model_scheme(state.name, state.number)
    return Model.of_chain(workspace, Chain(workspace.store, scheme, head))
