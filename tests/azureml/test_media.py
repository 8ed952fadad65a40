"""Images, and documents that have a schema, logged as scripts for Azure ML do."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pytest

    from objrun import Run


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
