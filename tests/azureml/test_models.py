"""Models registered, found and downloaded as scripts for Azure ML do."""

from __future__ import annotations

from pathlib import Path

import pytest

from objrun import Experiment, Model, Run, Workspace
from objrun.errors import ModelPathNotFoundException, WebserviceException


def test_a_model_of_the_best_run(exp: Experiment) -> None:
    for alpha in (0.1, 0.3):
        with exp.start_logging() as run:
            run.log("alpha", alpha)
            Path("outputs").mkdir(exist_ok=True)
            Path("outputs/model.pkl").write_text(f"alpha {alpha}", encoding="utf-8")
    best_run = max(exp.get_runs(), key=lambda run: run.get_metrics()["alpha"])
    model = best_run.register_model(model_name="best", model_path="outputs/model.pkl")
    assert (model.name, model.version, model.id) == ("best", 1, "best:1")
    assert (model.run_id, model.experiment_name) == (best_run.id, exp.name)
    again = best_run.register_model("best", "outputs/model.pkl", tags={"area": "diabetes"})
    assert again.version == 2
    fetched = Model(exp.workspace, "best")
    assert (fetched.version, fetched.tags) == (2, {"area": "diabetes"})
    path = fetched.download(target_dir="downloaded", exist_ok=True)
    assert Path(path).read_text(encoding="utf-8") == "alpha 0.3"
    assert Model(exp.workspace, "best", version=1).tags == {}
    with pytest.raises(ModelPathNotFoundException, match=r"outputs/model\.pkl"):
        best_run.register_model("other", "outputs/no-such-file")


def test_a_model_of_a_local_file(ws: Workspace) -> None:
    Path("ridge.pkl").write_text("weights", encoding="utf-8")
    model = Model.register(
        model_path="ridge.pkl",
        model_name="ridge",
        tags={"area": "diabetes", "type": "regression"},
        description="of a local file",
        workspace=ws,
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version="1.5",
    )
    assert (model.model_framework, model.model_framework_version) == ("ScikitLearn", "1.5")
    assert [each.id for each in Model.list(ws, tags=[["area", "diabetes"]])] == ["ridge:1"]
    assert [each.id for each in Model.list(ws, tags=["type"], latest=True)] == ["ridge:1"]
    assert ws.models["ridge"].description == "of a local file"
    with pytest.raises(WebserviceException, match="nobody"):
        Model(ws, "nobody")


def test_models_are_not_deployed_and_know_no_users_or_data_sets() -> None:
    absent = [
        *("deploy", "deserialize", "package", "print_configuration", "profile", "get_sas_urls"),
        *("add_dataset_references", "datasets", "sample_input_dataset", "sample_output_dataset"),
        *("created_by", "derived_model_ids", "parent_id"),
        *("mime_type", "resource_configuration", "unpack"),
    ]
    assert [name for name in absent if hasattr(Model, name)] == []


def test_a_run_has_no_model_yet(run: Run) -> None:
    assert run.experiment.workspace.models == {}
