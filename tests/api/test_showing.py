"""What notebooks show of real stores, and how many requests that costs."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun.errors import PermissionDeniedError
from objrun.storage.wrappers import CountingStore, FaultyStore

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Run


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = str(tmp_path / "store")
    for number in range(30):
        with Experiment(Workspace(url), "e").start_logging() as run:
            run.log_params({"lr": number / 8})
            for step in range(3):
                run.log("loss", float(step), step=step)
            run.log("text", "words")
    Experiment(Workspace(url), "other").start_logging(display_name="else").fail("broke")
    return url


def counted(url: str) -> tuple[Workspace, CountingStore]:
    workspace = Workspace(url)
    counting = CountingStore(workspace.store)
    workspace.go_through(lambda _: counting)
    return workspace, counting


def test_a_run_costs_one_reading_of_its_points(store: str) -> None:
    workspace, counting = counted(store)
    run = Experiment(workspace, "e").get_runs()[0]
    counting.reset()
    html = run._repr_html_()
    assert sum(counting.counts.values()) <= 6
    for part in ("e / 30", "Completed", "lr=3.625", "loss", "<svg", "text=words"):
        assert part in html


def test_a_card_has_a_few_small_images_for_one_request(tmp_path: Path) -> None:
    workspace, counting = counted(str(tmp_path))
    with Experiment(workspace, "e").start_logging() as run:
        for step in range(3):
            for name in "abcdefgh":
                run.log_image(name, path=b"GIF89a%d" % step, step=step)
        run.log("answer", "x" * 10_000)
        run.log_image("large", path=b"GIF89a" + bytes(1 << 20))
        run.log_image("scan", path=b"II*\0")
    run = Experiment(workspace, "e").get_runs()[0]
    counting.reset()
    html = run._repr_html_()
    assert counting.counts["get_range"] == 1
    assert html.count("<img") == 6
    assert b64encode(b"GIF89a2").decode() in html, "the last of each"
    assert "x" * 60 not in html, "a long text is cut, also in the state of a widget"
    for part in ("a=3 images", "large=an image", "scan=an image"):
        assert part in html
    assert len(html) < 20_000


def test_an_image_shows_itself(run: Run) -> None:
    bundles = {}
    for path in (b"GIF89a", b"<svg onload='x'/>", b"II*\0"):
        run.log_image("image", path=path)
    for image in run.images():
        bundles[image.ending] = image._repr_mimebundle_(include=None, exclude=None)
    assert bundles[".gif"]["image/gif"] == b64encode(b"GIF89a").decode()
    assert "<img" in bundles[".svg"]["text/html"]
    assert "onload" not in bundles[".svg"]["text/html"], "no script of it runs"
    assert [*bundles[".tiff"]] == ["text/plain"]
    artifact = run.get_metrics("image", populate=True)["image"][0]
    assert artifact._repr_mimebundle_()["image/gif"] == b64encode(b"GIF89a").decode()


def test_a_list_shows_the_first_runs_for_few_requests(store: str) -> None:
    workspace, counting = counted(store)
    runs = Experiment(workspace, "e").get_runs()
    counting.reset()
    html = runs._repr_html_()
    assert sum(counting.counts.values()) <= 66
    assert html.count("<tr>") == 26
    assert "25 of 30 runs" in html
    assert '<th class="number">loss</th>' in html


def test_experiments_and_workspaces_are_counted(store: str) -> None:
    workspace, counting = counted(store)
    html = Experiment(workspace, "e")._repr_html_()
    assert "30 Completed" in html
    counting.reset()
    html = workspace._repr_html_()
    assert sum(counting.counts.values()) <= 80
    for part in ("30 Completed", "1 Failed", ": 2 experiments", "else"):
        assert part in html
    assert "0 experiments" in Workspace.create("memory://empty-shown")._repr_html_()


def test_what_few_objects_cannot_tell_is_left_out(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objrun.display.showing.SEGMENTS", 10)
    html = Experiment(Workspace(store), "e")._repr_html_()
    assert "would take too long to read" in html


def test_a_store_that_fails_leaves_what_is_known(store: str) -> None:
    workspace = Workspace(store)
    runs = Experiment(workspace, "e").get_runs()
    run = runs[0]
    refused = PermissionDeniedError("no lists")
    faulty = FaultyStore(workspace.store, lambda verb, _: refused if verb == "list" else None)
    workspace.go_through(lambda _: faulty)
    assert "could be read: no lists" in run._repr_html_()
    assert "could not be read" in runs._repr_html_()
