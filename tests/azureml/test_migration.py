"""Whole scripts for Azure ML run, in a process of their own, with nothing changed but imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace
from tests.house.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOK = """
import numpy as np
import azureml.core
from azureml.core import Experiment, Workspace

print("SDK version:", azureml.core.VERSION)
ws = Workspace.from_config()
print(ws.name, ws.location, ws.resource_group, ws.subscription_id, sep="\\t")

experiment = Experiment(workspace=ws, name="all-kinds")
run = experiment.start_logging()
run_id = run.id
run.log(name="category", value="Red")
run.log("scale", 2)
run.log_list(name="squares", value=(2 * i * i for i in range(10)))
for i in range(-10, 10):
    run.log(name="sigmoid", value=1 / (1 + np.exp(-i)))
table = {"angle": [], "sine": []}
for i in range(20):
    angle = i / 2.0
    run.log_row(name="cosine", angle=angle, cos=np.cos(angle))
    table["angle"].append(angle)
    table["sine"].append(np.sin(angle))
run.log_table(name="sine", value=table)

with open("notes.txt", "w") as file:
    file.write("uploaded explicitly")
run.upload_file(name="outputs/notes.txt", path_or_stream="notes.txt")
run.complete()

fetched = {r.id: r for r in experiment.get_runs()}[run_id]
metrics = fetched.get_metrics()
print("best:", np.max(metrics["sigmoid"]))
fetched.tag("angles", str(len(metrics["cosine"]["angle"])))
fetched.download_file(name="outputs/notes.txt")
for name in fetched.get_file_names():
    print(name)
print([r.id for r in experiment.get_runs(tags={"angles": "20"})] == [run_id])
"""

SCRIPT = """
import argparse
import os
import pickle

from azureml.core.run import Run

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=0.5)
args = parser.parse_args()

run = Run.get_context()
run.log("alpha", args.alpha)
for epoch in range(5):
    run.log("loss", args.alpha / (1 + epoch))
os.makedirs("outputs", exist_ok=True)
with open("outputs/model.pkl", "wb") as file:
    pickle.dump({"alpha": args.alpha}, file)
if not run.id.startswith("OfflineRun"):
    print("experiment:", run.experiment.name)
    run.upload_file(name="model.pkl", path_or_stream="outputs/model.pkl")
    run.tag("trained")
run.complete()
"""

SWEEP = """
from azureml.core import Workspace, Run
from azureml.core.experiment import Experiment

exp = Experiment(Workspace.from_config(), "sweep")
with exp.start_logging(snapshot_directory=None) as parent:
    for fold, child in enumerate(parent.create_children(tag_key="fold", tag_values=["a", "b"])):
        child.log("accuracy", 0.8 + fold / 10)
        child.complete()
    for alpha in [0.1, 0.3]:
        with parent.child_run(name="ridge") as child:
            child.log(name="alpha", value=alpha)
            child.log("accuracy", 1 - (alpha - 0.3) ** 2)
            child.add_properties({"kind": "ridge"})

best = None
for child in parent.get_children():
    if best is None or child.get_metrics()["accuracy"] > best.get_metrics()["accuracy"]:
        best = child
print(best.get_metrics()["accuracy"], best.get_properties()["kind"])
by_id = parent.get_metrics(name="accuracy", recursive=True)
print(len(by_id), by_id[best.id]["accuracy"])
print(len(list(parent.get_children(tags="fold"))), len(list(exp.get_runs(include_children=True))))
assert next(parent.get_children(properties={"kind": "ridge"})).parent.id == parent.id
"""

SUBMITTING = """
import os
from azureml.core import Experiment, ScriptRunConfig, Workspace
from azureml.core.model import Model

ws = Workspace.from_config()
exp = Experiment(workspace=ws, name="train-on-local")
src = ScriptRunConfig(source_directory="source", script="train.py", arguments=["--alpha", 0.25])
run = exp.submit(src)
run.wait_for_completion(show_output=True)
assert run.get_metrics()["alpha"] == 0.25
model = run.register_model(model_name="ridge", model_path="outputs/model.pkl")
print(model.name, model.id, model.version, sep="\\t")
os.makedirs("deployed", exist_ok=True)
Model(ws, "ridge").download(target_dir="deployed", exist_ok=True)
print(os.listdir("deployed"), {name: ws.models[name].version for name in ws.models})
"""


def migrated(script: str) -> str:
    """Change the imports of a script."""
    return script.replace("azureml.core", "objrun")


def run_migrated(script: str, folder: Path, *arguments: str, **told: str) -> str:
    """Run a script in a folder, as a process; return what it prints."""
    (folder / "script.py").write_text(migrated(script), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **told},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(ws: Workspace, folder: Path) -> Path:
    """A folder with a configuration."""
    ws.write_config()
    config = json.loads((folder / ".objrun/config.json").read_text(encoding="utf-8"))
    config["storage_options"] = ws.storage_options
    (folder / ".objrun/config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_a_notebook_that_logs_all_there_is_and_a_sweep_of_children(
    ws: Workspace, project: Path
) -> None:
    told = run_migrated(NOTEBOOK + SWEEP, project).splitlines()
    assert told[-3:] == ["1.0 ridge", "4 1.0", "2 5"]
    told = told[:-3]
    assert told[1].split("\t")[0] == ws.name
    assert told[2:] == [f"best: {1 / (1 + 2.718281828459045**-9)}", "outputs/notes.txt", "True"]
    (run,) = Experiment(ws, "all-kinds").get_runs()
    assert run.get_metrics("squares")["squares"] == [2 * i * i for i in range(10)]
    assert run.get_metrics("category") == {"category": "Red"}


@pytest.mark.parametrize("ws", ["local"], indirect=True)
def test_a_training_script_in_its_run(exp: Experiment, folder: Path) -> None:
    """Started by hand; submitted it is below, on S3 too."""
    run = exp.start_logging(outputs=False)
    told = run_migrated(
        SCRIPT,
        folder,
        *("--alpha", "0.25"),
        OBJRUN_RUN_ID=run.id,
        OBJRUN_URL=exp.workspace.url,
        OBJRUN_STORAGE_OPTIONS=json.dumps(exp.workspace.storage_options),
    )
    assert told == f"experiment: {exp.name}\n"
    again = Run.get(exp.workspace, run.id)
    assert again.get_metrics()["loss"] == [0.25, 0.125, 0.25 / 3, 0.0625, 0.05]
    assert again.get_tags() == {"trained": None}
    assert again.get_file_names() == ["model.pkl"]
    assert again.get_status() == "Running"


def test_a_training_script_on_its_own(folder: Path) -> None:
    told = run_migrated(SCRIPT, folder)
    assert "alpha" in told
    assert (folder / "outputs/model.pkl").exists()


def test_a_script_is_submitted_and_its_model_registered(
    ws: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJRUN_WORK", str(project.parent / "jobs"))
    (project / "source").mkdir()
    (project / "source/train.py").write_text(migrated(SCRIPT), encoding="utf-8")
    told = run_migrated(SUBMITTING, project).splitlines()
    assert told[-2:] == ["ridge\tridge:1\t1", "['model.pkl'] {'ridge': 1}"]
    (run,) = Experiment(ws, "train-on-local").get_runs()
    assert run.get_tags() == {"trained": None}
    assert run.get_file_names() == ["logs/std_log.txt", "model.pkl", "outputs/model.pkl"]
