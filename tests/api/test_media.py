"""Images and other blobs: logged without waiting, few objects, each byte as it was."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import CorruptObjectError, MetricDroppedWarning, UserErrorException
from objrun.format.media import parse_pack, parse_reference
from objrun.protocol.blobs import BlobReader, Kept
from objrun.storage import CountingStore
from objrun.tables.verify.store import verify
from objrun.values.pictures import kind_of, png, size_of
from tests.api.places import another, contents, refused, store_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PNG = png(np.zeros((2, 3, 1), np.uint8))


def packs_of(ws: Workspace) -> dict[str, bytes]:
    return {key: data for key, data in contents(ws).items() if parse_pack(key)}


def test_ten_thousand_images_are_few_objects(live_ws: Workspace) -> None:
    with Experiment(live_ws, "e").start_logging(snapshot_directory=None) as run:
        for step in range(10_000):
            run.log_image("digit", path=b"P2 1 1 65535 %d" % step, step=step)
    assert len(contents(live_ws)) < 100
    again = Run.get(another(live_ws), run.id).get_metrics(populate=True)["digit"]
    assert [image.data for image in again] == [b"P2 1 1 65535 %d" % step for step in range(10_000)]


def test_large_images_are_sent_before_it_is_time(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "e").start_logging(snapshot_directory=None)
    images = [b"P5 1024 3072 255\n" + bytes([place]) * (3 << 20) for place in range(8)]
    for image in images:
        run.log_image("large", path=image)
    run.flush()
    assert max(map(len, packs_of(any_ws).values())) < 12 << 20
    artifacts = run.get_metrics("large", populate=True)["large"]
    assert [artifact.data for artifact in artifacts] == images
    run.complete()


def test_a_pack_is_a_zip_file_that_any_program_opens(ws: Workspace, run: Run) -> None:
    run.log_image("a/b", path=PNG, step=1)
    run.log_image("ü", path=b"P1 1 1 0")
    run.flush()
    (data,) = packs_of(ws).values()
    with zipfile.ZipFile(io.BytesIO(data)) as pack:
        assert pack.testzip() is None
        members = {name: pack.read(name) for name in pack.namelist()}
    assert members == {"a%2Fb/000000.png": PNG, "%C3%BC/000001.pbm": b"P1 1 1 0"}


def test_equal_bytes_are_stored_once(ws: Workspace, run: Run) -> None:
    for step in range(50):
        run.log_image("same", path=PNG, step=step)
        if step % 20 == 0:
            run.flush()
    run.flush()
    assert sum(map(len, packs_of(ws).values())) < 2 * len(PNG) + 500
    assert len({*run.get_metrics()["same"]}) == 1
    assert [image.data for image in run.get_metrics(populate=True)["same"]] == [PNG] * 50


def test_one_image_is_a_value_and_several_are_a_list_by_step(run: Run) -> None:
    run.log_image("one", path=PNG)
    for step in (3, 1, 2):
        run.log_image("more", path=b"P1 %d 1 0" % step, step=step)
    found = run.get_metrics(populate=True)
    assert (found["one"].data, found["one"].metric_type, found["one"].filename) == (
        PNG, "image", "000000.png",
    )  # fmt: skip
    assert [image.data[3:4] for image in found["more"]] == [b"1", b"2", b"3"]
    frame = run.metrics().collect()
    assert frame["kind"].to_list() == ["image"] * 4
    assert frame["data"].to_list() == [run.get_metrics()["one"], *run.get_metrics()["more"]]


def test_a_reference_is_opened_and_downloaded(run: Run, tmp_path: Path) -> None:
    run.log_image("one", path=PNG)
    reference = run.get_metrics()["one"]
    assert parse_reference(reference).shape == (3, 2)
    with run.open(reference) as file:
        assert (file.read(4), file.seek(0), file.read()) == (PNG[:4], 0, PNG)
    run.download_file(reference, tmp_path / "new" / "a.png")
    run.download_file(reference, tmp_path)
    assert (tmp_path / "new" / "a.png").read_bytes() == PNG
    assert (tmp_path / "000000.png").read_bytes() == PNG
    for wrong in (
        "media://",
        "media://../x",
        f"{reference} ",
        reference.replace("size=", "size=0"),
    ):
        with pytest.raises(UserErrorException, match="no reference"):
            run.download_file(wrong, tmp_path)


def test_changed_and_missing_bytes_are_named(ws: Workspace, run: Run) -> None:
    run.log_image("one", path=PNG)
    run.flush()
    ((key, data),) = packs_of(ws).items()
    for wrong in (data.replace(b"IDAT", b"IDAs"), data[:40]):
        store_of(ws).put(key, wrong)
        with pytest.raises(CorruptObjectError, match="not those that were logged") as caught:
            run.get_metrics(populate=True)
        assert caught.value.key == key
    store_of(ws).delete([key])
    with pytest.raises(CorruptObjectError, match="is not there"):
        run.get_metrics(populate=True)
    assert list(run.get_metrics()) == ["one"]


def test_a_name_keeps_its_kind(run: Run) -> None:
    run.log_image("a", path=PNG)
    with pytest.warns(MetricDroppedWarning, match="already is a image"):
        run.log("a", 1.0)
    run.log("b", 1.0)
    with pytest.warns(MetricDroppedWarning):
        run.log_image("b", path=PNG)
    assert run.get_metrics("b") == {"b": 1.0}


FILES = {
    ".png": (PNG, (3, 2)),
    ".gif": (b"GIF89a\x1c\0\x1e\0", (28, 30)),
    ".jpg": (b"\xff\xd8\xff\xe0\0\4ab\xff\xc0\0\x11\x08\0\x1e\0\x1c\3", (28, 30)),
    ".bmp": (b"BM" + bytes(12) + b"\x28\0\0\0\x1c\0\0\0\xe2\xff\xff\xff", (28, 30)),
    ".ppm": (b"P6 # a word\n 28\n30 255\n...", (28, 30)),
    ".tiff": (b"II*\0....", None),
    ".webp": (b"RIFF....WEBPVP8 ", None),
    ".exr": (b"\x76\x2f\x31\x01", None),
    ".svg": (b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns='...'>", None),
}


@pytest.mark.parametrize("ending", FILES)
def test_a_file_is_known_by_its_content(run: Run, tmp_path: Path, ending: str) -> None:
    data, shape = FILES[ending]
    (tmp_path / "a.dat").write_bytes(data)
    run.log_image("path", path=str(tmp_path / "a.dat"))
    run.log_image("stream", path=io.BytesIO(data))
    found = run.get_metrics(populate=True)
    assert [found[name].data for name in ("path", "stream")] == [data, data]
    assert found["path"].filename.endswith(ending)
    assert parse_reference(found["path"].data_location).shape == shape


@pytest.mark.parametrize(
    "data", [png(np.zeros((3, 2, 3), np.uint8)), *(d for d, _ in FILES.values())]
)
def test_no_beginning_of_a_file_breaks_anything(data: bytes) -> None:
    for stop in range(len(data)):
        if ending := kind_of(data[:stop]):
            shape = size_of(ending, data[:stop])
            assert shape is None or min(shape) > 0


def drawn() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=10)
    figure.subplots().plot([0, 1])
    return figure


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
PLOTS: dict[str, Callable[[], Any]] = {
    "figure": drawn,
    "grey": lambda: GREY,
    "rgb": lambda: np.stack([GREY] * 3, axis=2),
    "rgba": lambda: np.stack([GREY] * 4, axis=2),
    "floats": lambda: GREY.astype(np.float32) / 255,
    "half": lambda: GREY[:, :, None].astype(np.float16) / 16,
    "bool": lambda: GREY > 5,
}


@pytest.mark.parametrize("what", PLOTS)
def test_what_is_drawn_becomes_a_png(run: Run, what: str) -> None:
    image = pytest.importorskip("PIL.Image")
    plot = PLOTS[what]()
    run.log_image("plot", plot=plot)
    artifact = run.get_metrics(populate=True)["plot"]
    pixels = np.asarray(image.open(io.BytesIO(artifact.data)))
    if what == "figure":
        assert pixels.shape[:2] == (10, 10)
        return
    scale = 1 if plot.dtype == np.uint8 else 255
    assert np.array_equal(pixels, np.rint(plot * np.float64(scale)).astype(np.uint8).squeeze())
    run.log_image("pil", plot=image.open(io.BytesIO(artifact.data)))
    again = run.get_metrics(populate=True)["pil"].data
    assert np.array_equal(np.asarray(image.open(io.BytesIO(again))), pixels)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "either"), ({"path": PNG, "plot": GREY}, "either"),
        ({"path": b"%PDF"}, "no known format"), ({"path": b""}, "no known format"),
        ({"path": "missing.png"}, "no file"), ({"path": 3}, "not 3"),
        ({"path": io.StringIO("a")}, "binary stream"), ({"plot": 3}, "not int"),
        ({"plot": PNG}, "as path"),
        ({"plot": np.zeros(3)}, "shape"), ({"plot": np.zeros((2, 2, 2))}, "shape"),
        ({"plot": np.zeros((0, 2))}, "shape"), ({"plot": GREY * 2.0}, "scale or clip"),
        ({"plot": np.array([[np.nan]])}, "from nan"), ({"plot": GREY.astype(int)}, "int64"),
        ({"path": PNG, "step": "a"}, "step"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused(ws: Workspace, run: Run, given: Any, word: str) -> None:
    with refused(ws, UserErrorException, word):
        run.log_image("a", **given)


def test_what_is_too_large_for_a_blob_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objrun.values.pictures.MOST_BLOB", 100)
    with pytest.raises(UserErrorException, match="upload_file"):
        run.log_image("a", path=io.BytesIO(bytes(101)))


def test_a_copy_has_a_pack_before_points_refer_to_it(ws: Workspace, run: Run) -> None:
    run.log_image("a", path=PNG)
    run.complete()
    there = Workspace(f"memory://{clock.random_hex(8)}")
    ws.copy_to(there)
    assert Run.get(there, run.id).get_metrics(populate=True)["a"].data == PNG
    assert packs_of(there) == packs_of(ws)


def test_images_are_listed_without_their_bytes_and_read_by_few_requests(
    ws: Workspace, run: Run
) -> None:
    for step in range(300):
        run.log_image("a", path=b"P2 1 1 65535 %d" % step, step=-step)
    run.log_image("b", path=PNG)
    run.log("loss", 0.5)
    run.flush()
    counting = CountingStore(another(ws).store)
    images = Run.get(ws, run.id).images()
    assert [image.step for image in images] == [*range(-299, 1), None]
    last = images[-1]
    assert (last.name, last.size, last.shape, last.ending) == ("b", len(PNG), (3, 2), ".png")
    kept = [Kept(run.id, parse_reference(image.reference)) for image in images]
    assert [*BlobReader(counting).read(kept)] == [image.data for image in images]
    assert sum(counting.counts.values()) == 1
    assert images[0].data == b"P2 1 1 65535 299"
    assert [image.name for image in run.images("b")] == ["b"]
    assert run.images("loss") == run.images("none") == []


@pytest.mark.parametrize("compacted", [False, True])
def test_a_deep_look_finds_blobs_that_are_missing_or_other_bytes(
    ws: Workspace, run: Run, compacted: bool
) -> None:
    for step in range(3):
        run.log_image("a", path=b"P1 %d 1 0" % step, step=step)
        run.flush()
    run.complete()
    if compacted:
        ws.compact()
        ws.vacuum(retention=timedelta(0))
    store = store_of(ws)
    assert [*verify(store, deep=True)] == []
    first, second, _ = packs_of(ws)
    store.delete([first])
    store.put(second, packs_of(ws)[second].replace(b"P1 1", b"P1 9"))
    found = [(each.code, each.key) for each in verify(store, deep=True)]
    assert found == [("wrong_blob", first), ("wrong_blob", second)]
