"""What Azure ML has and objrun has not: what to use instead, said where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

_DATA: Final = (
    "no data sets are kept: open the bucket with fsspec, polars or pyarrow, and note what was "
    "read with run.add_properties({'data': url})"
)
_STORAGE: Final = (
    "there are no datastores: files of runs are stored by run.upload_file and found with "
    "run.open, others with fsspec"
)
_TARGET: Final = (
    "there are no clusters of Azure: compute_target of a ScriptRunConfig is 'local' or a target "
    "such as objrun.LocalTarget"
)
_ENVIRONMENT: Final = (
    "nothing is built: environment of a ScriptRunConfig is the folder of a virtual environment, by "
    "default that of the caller; run.get_environment() says what was installed"
)
_SERVICE: Final = (
    "nothing is deployed: download the files of a model with Model(workspace, name).download()"
)
_SECRETS: Final = (
    "secrets are not kept: run.get_secret(name) finds them in the environment and the keyring"
)
MODULE: Final = {
    "AmlCompute": _TARGET,
    "ComputeTarget": _TARGET,
    "ContainerRegistry": _ENVIRONMENT,
    "Dataset": _DATA,
    "Datastore": _STORAGE,
    "Environment": _ENVIRONMENT,
    "Image": _SERVICE,
    "Keyvault": _SECRETS,
    "RunConfiguration": "give compute_target and environment to ScriptRunConfig itself",
    "Webservice": _SERVICE,
}
"""Names of `azureml.core`."""
OF: Final[dict[str, dict[str, str]]] = {
    "Workspace": {
        "datasets": _DATA,
        "datastores": _STORAGE,
        "delete": "no bucket is deleted: Run.delete() and Experiment.delete() use a trash",
        "environments": _ENVIRONMENT,
        "get_default_compute_target": _TARGET,
        "get_default_datastore": _STORAGE,
        "get_default_keyvault": _SECRETS,
        "get_mlflow_tracking_uri": "the runs of objrun are no runs of MLflow: use run.log",
        "compute_targets": _TARGET,
        "set_default_datastore": _STORAGE,
        "tags": "experiments and runs have tags, a store has none",
    },
    "Run": {"input_datasets": _DATA, "output_datasets": _DATA},
}
"""Members of its classes."""


def advice(name: str) -> str | None:
    """Return what to do without a name of `azureml.core`, None where it is none.

    >>> advice("Datastore")[:48]
    'objrun has no Datastore: there are no datastores'
    """
    return f"objrun has no {name}: {MODULE[name]}" if name in MODULE else None


class Elsewhere:
    """A class of which Azure ML's has names that objrun has not: asking for one says what to do."""

    # Type checkers are to see that these names are not there.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, which says what to use instead."""
            for cls in type(self).__mro__:
                told = OF.get(cls.__name__, {}).get(name)
                if told:
                    raise AttributeError(f"{cls.__name__} has no {name}: {told}")
            # As Python says it.
            return object.__getattribute__(self, name)
