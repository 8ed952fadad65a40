"""Registering what a run has made as a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.model import Model


class RunModels:
    """The part of `Run` that registers models."""

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,  # noqa: ARG002 - of the reference
        sample_input_dataset: Any = None,  # noqa: ARG002 - of the reference
        sample_output_dataset: Any = None,  # noqa: ARG002 - of the reference
        resource_configuration: Any = None,  # noqa: ARG002 - of the reference
    ) -> Model:
        """Register files of this run as the next version of a model, and return it.

        `model_path` is a file of the run, or a folder of files; by default it is the name of the
        model. The model has files of its own, which stay when the run is purged. What the reference
        has for data sets and deployment is accepted and means nothing.

        Raises ModelPathNotFoundException, which names the files that there are; WebserviceException
        for a name that a model cannot have, or a version without a framework.

        >>> from io import BytesIO
        >>> done = run.upload_file("outputs/model.pt", BytesIO(b"weights"))
        >>> model = run.register_model("digits", "outputs/model.pt", tags={"stage": "test"})
        >>> model.version, [*model.files]
        (1, ['model.pt'])
        """
        from objrun.model import Model
        from objrun.models.registering import About, register_of_run

        about = About(
            model_name, tags, properties, model_framework, model_framework_version, description
        )
        run: Any = self
        return Model.of_chain(run.experiment.workspace, register_of_run(run, model_path, about))
