"""Images, and documents that have a schema, logged as scripts for Azure ML do."""

from __future__ import annotations

import json
import zlib
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest

from objrun import Run, UserErrorException


def png() -> bytes:
    """Return the smallest picture: one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )


def test_an_image_of_a_file(run: Run) -> None:
    Path("roc.png").write_bytes(png())
    run.log_image(name="ROC", path="./roc.png")
    run.log_image("as a stream", BytesIO(png()))
    assert sorted(run.get_metrics()) == ["ROC", "as a stream"]
    assert isinstance(run.get_metrics("ROC")["ROC"], str)
    assert run.get_metrics("ROC", populate=True)["ROC"].data == png()


def test_a_plot(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    angle = np.linspace(-3, 3, 50)
    plt.plot(angle, np.tanh(angle), label="tanh")
    plt.legend(fontsize=12)
    plt.grid(visible=True)
    run.log_image(name="tanh", plot=plt, description="a curve")
    figure = plt.figure()
    run.log_image("of a figure", plot=figure)
    plt.close("all")
    images = run.get_metrics(populate=True)
    assert {name: images[name].data[:4] for name in images} == {
        "tanh": b"\x89PNG",
        "of a figure": b"\x89PNG",
    }


DOCUMENTS: dict[str, dict[str, Any]] = {
    "confusion_matrix": {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": ["0", "1", "2"], "matrix": [[4, 1, 0], [0, 5, 0], [1, 0, 3]]},
    },
    "accuracy_table": {
        "schema_type": "accuracy_table",
        "schema_version": "1.0.1",
        "data": {
            "probability_tables": [[[2, 2, 0, 0], [1, 1, 1, 1]], [[2, 2, 0, 0], [2, 0, 2, 0]]],
            "percentile_tables": [[[2, 2, 0, 0], [0, 0, 2, 2]], [[2, 2, 0, 0], [1, 2, 0, 1]]],
            "probability_thresholds": [0.0, 0.5],
            "percentile_thresholds": [0.0, 0.5],
            "class_labels": ["no", "yes"],
        },
    },
    "residuals": {
        "schema_type": "residuals",
        "schema_version": "1.0.0",
        "data": {"bin_edges": [-1.0, 0.0, 1.0, 2.0], "bin_counts": [3, 9, 2]},
    },
    "predictions": {
        "schema_type": "predictions",
        "schema_version": "1.0.0",
        "data": {
            "bin_averages": [0.2, 1.3],
            "bin_errors": [0.05, 0.4],
            "bin_counts": [7, 5],
            "bin_edges": [0.0, 1.0, 2.0],
        },
    },
}


def test_documents_that_have_a_schema(run: Run) -> None:
    run.log_confusion_matrix("confusion", DOCUMENTS["confusion_matrix"])
    run.log_confusion_matrix(name="as text", value=json.dumps(DOCUMENTS["confusion_matrix"]))
    run.log_accuracy_table("accuracy", DOCUMENTS["accuracy_table"], "of two classes")
    run.log_residuals("residuals", DOCUMENTS["residuals"])
    run.log_predictions("predictions", value=DOCUMENTS["predictions"], description="in two bins")
    assert all(isinstance(each, str) for each in run.get_metrics().values())
    found = run.get_metrics(populate=True)
    assert found["confusion"].convert_to_object() == DOCUMENTS["confusion_matrix"]
    assert found["as text"].convert_to_object() == DOCUMENTS["confusion_matrix"]
    for name, kind in {"accuracy": "accuracy_table", "residuals": "residuals"}.items():
        assert found[name].convert_to_object() == DOCUMENTS[kind]
    assert json.loads(found["predictions"].data) == DOCUMENTS["predictions"]


def test_documents_that_are_wrong(run: Run) -> None:
    for log in (
        run.log_confusion_matrix,
        run.log_accuracy_table,
        run.log_residuals,
        run.log_predictions,
    ):
        with pytest.raises(UserErrorException, match="schema_type"):
            log("wrong", {"schema_type": "nope", "data": {}})
        with pytest.raises(UserErrorException):
            log("no JSON", "{")
    assert run.get_metrics() == {}


def test_an_offline_run_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.get_context()
    run.log_image("ROC", path="roc.png")
    run.log_confusion_matrix("confusion", DOCUMENTS["confusion_matrix"])
    run.log_accuracy_table("accuracy", DOCUMENTS["accuracy_table"])
    run.log_residuals("residuals", DOCUMENTS["residuals"])
    run.log_predictions("predictions", DOCUMENTS["predictions"])
    run.upload_file("outputs/model.pkl", "model.pkl")
    run.upload_files(["a"], ["b"])
    run.upload_folder("folder", "path")
    told = capsys.readouterr().out
    names = ("ROC", "confusion", "accuracy", "residuals", "predictions", "model.pkl", "folder")
    assert [name for name in names if name not in told] == []
