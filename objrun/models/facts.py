"""What is known of a registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.errors import RunNotFoundError
from objrun.format import model_keys
from objrun.format.checking import format_time
from objrun.runs.artifacts import Artifact

if TYPE_CHECKING:
    from datetime import datetime

    from objrun.format.states import ModelState
    from objrun.protocol.chain import Chain
    from objrun.run import Run
    from objrun.workspace import Workspace


class Framework:
    """Names of what models are made with, as Azure ML has them; any other text goes, too.

    >>> Framework.ONNX
    'Onnx'
    """

    CUSTOM = "Custom"
    MULTI = "Multi"
    ONNX = "Onnx"
    SCIKITLEARN = "ScikitLearn"
    SPACY = "Spacy"
    TENSORFLOW = "TensorFlow"
    TFKERAS = "TFKeras"


class ModelFacts:
    """The part of `Model` that says what it is, as far as this handle knows."""

    Framework = Framework

    workspace: Workspace
    _chain: Chain[ModelState]

    @property
    def name(self) -> str:
        """The name, which all versions share."""
        return self._chain.state.name

    @property
    def version(self) -> int:
        """The version, from 1: it counts up with each registration of the name."""
        return self._chain.state.number

    @property
    def id(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"

    @property
    def description(self) -> str | None:
        """What the model is about."""
        return self._chain.state.description

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags that this handle knows last."""
        return dict(self._chain.state.tags)

    @property
    def properties(self) -> dict[str, str | None]:
        """The properties: each is written once."""
        return dict(self._chain.state.properties)

    @property
    def model_framework(self) -> str | None:
        """What made the model, such as `ScikitLearn`."""
        return self._chain.state.framework

    @property
    def model_framework_version(self) -> str | None:
        """Its version."""
        return self._chain.state.framework_version

    @property
    def created_time(self) -> datetime:
        """When it was registered, by the clock of who did, in UTC."""
        return self._chain.state.created

    @property
    def run_id(self) -> str | None:
        """The id of the run that registered it, None if none did."""
        return self._chain.state.run_id

    @property
    def experiment_name(self) -> str | None:
        """The experiment of that run."""
        return self._chain.state.experiment

    @property
    def run(self) -> Run | None:
        """The run that registered it, None if none did or it is not there any more."""
        try:
            return self.workspace.get_run(self.run_id) if self.run_id else None
        except RunNotFoundError:
            return None

    @property
    def files(self) -> dict[str, Artifact]:
        """The files by name, each with size, SHA-256 and key."""
        state = self._chain.state
        return {
            file.name: Artifact(file.name, file.size, file.sha256, self._key(file.name))
            for file in state.files
        }

    @property
    def url(self) -> str:
        """Where its file stands, or the folder of its files."""
        return f"{self.workspace.url}/{self._key(self._root)}"

    @property
    def _root(self) -> str:
        """The file or folder that all files are in."""
        return self._chain.state.files[0].name.partition("/")[0] if self._chain.state.files else ""

    def _key(self, name: str) -> str:
        state = self._chain.state
        return model_keys.model_file(state.name, state.nonce, name)

    def serialize(self) -> dict[str, Any]:
        """Return all about the model as a dict that JSON can hold."""
        state = self._chain.state
        return {
            "createdTime": format_time(state.created),
            "description": state.description,
            "experimentName": state.experiment,
            "framework": state.framework,
            "frameworkVersion": state.framework_version,
            "id": self.id,
            "name": state.name,
            "properties": dict(state.properties),
            "runId": state.run_id,
            "tags": dict(state.tags),
            "url": self.url,
            "version": state.number,
        }
