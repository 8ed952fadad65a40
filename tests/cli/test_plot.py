"""`objrun plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (("digits/1",), ".png"),
        (("digits/1", "loss", "--smoothing", "0.9", "--over", "relative"), ".svg"),
        (("digits", "loss", "--by", "params.lr"), ".pdf"),
    ],
)
def test_a_picture_is_written(
    cli: Call, tmp_path: Path, arguments: tuple[str, ...], ending: str
) -> None:
    output = tmp_path / f"run{ending}"
    printed = cli("plot", *arguments, "-o", str(output))
    assert printed.code == 0, printed.err
    assert "".join(printed.out.split()) == str(output)
    assert output.read_bytes().startswith(STARTS[ending])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("digits/1", "nothing"), 3, "no metric 'nothing'"),
        (("digits/1", "los"), 3, "perhaps 'loss'; it has loss, top"),
        (("digits", "accurac"), 3, "perhaps 'accuracy'; it has accuracy, count, loss"),
        (("digits", "loss", "--by", "lr"), 2, "perhaps params.lr"),
        (("digits", "loss", "--by", "params.width"), 2, "perhaps params."),
        (("digits",), 2, "METRIC: is needed for an experiment; digits has accuracy, count, loss"),
        (("digits/1", "loss", "--by", "params.lr"), 2, "--by"),
        (("digits/1", "-o", "run.doc"), 2, ".png, .svg or .pdf"),
        (("digits/1", "--smoothing", "1"), 2, "smoothing"),
        (("nobody",), 3, "nobody"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    cli: Call, arguments: tuple[str, ...], code: int, told: str
) -> None:
    printed = cli("plot", *arguments)
    assert printed.code == code
    assert told in " ".join(printed.err.replace("│", " ").split())
