"""Registered models: their versions, files, tags, trash, on every backend."""

from __future__ import annotations

import io
import os
import pickle
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Model, Run, Workspace
from objrun.errors import (
    CorruptObjectError,
    CorruptObjectWarning,
    ModelNotFoundError,
    ModelPathNotFoundException,
    PropertyConflictError,
    StoreError,
    UnavailableError,
    UserErrorException,
    WebserviceException,
)
from objrun.format import model_keys
from objrun.protocol import models, purge_models
from objrun.protocol.files import PART
from objrun.storage import CountingStore, FaultyStore, ObjectInfo
from objrun.tables.verify.findings import repair
from objrun.tables.verify.store import verify
from tests.api.places import another, refused, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = timedelta()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(run: Run) -> Run:
    """A run with the files of a model."""
    for name in ("outputs/cnn/weights", "outputs/cnn/deep/ü 1.json", "outputs/other", "digits"):
        run.upload_file(name, io.BytesIO(name.encode()))
    return run


def test_a_life_of_models(live_ws: Workspace) -> None:
    """Registered from a run and from disk, found again, changed, downloaded byte by byte."""
    run = Experiment(live_ws, "models").start_logging()
    large = os.urandom(PART + 5)
    run.upload_file("outputs/cnn/weights", io.BytesIO(large))
    run.upload_file("outputs/cnn/deep/ü 1.json", io.BytesIO(b"{}"))
    made = run.register_model(
        model_name="digits",
        model_path="outputs/cnn",
        tags={"stage": "test", "n": 1},
        properties={"data": "v3"},
        model_framework="PyTorch",
        model_framework_version="2.4",
        description="the first",
    )
    Path("folder/sub").mkdir(parents=True)
    Path("folder/a").write_bytes(b"a")
    Path("folder/sub/b").write_bytes(large)
    second = Model.register(live_ws, model_path="folder/", model_name="digits")
    assert (made.id, second.id, second.run_id, second.run) == ("digits:1", "digits:2", None, None)
    run.complete()
    ws = another(live_ws)
    found = Model(ws, "digits", version=1)
    assert (found.name, found.version, found.description) == ("digits", 1, "the first")
    assert (found.tags, found.properties) == ({"stage": "test", "n": "1"}, {"data": "v3"})
    assert (found.model_framework, found.model_framework_version) == ("PyTorch", "2.4")
    assert (found.run_id, found.experiment_name) == (run.id, "models")
    assert found.run is not None
    assert found.run.number == 1
    assert found.created_time == made.created_time
    assert {name: len(large) == file.size for name, file in found.files.items()} == {
        "cnn/deep/ü 1.json": False,
        "cnn/weights": True,
    }
    assert found.download("one") == "one/cnn"
    assert Path("one/cnn/weights").read_bytes() == large
    assert Path("one/cnn/deep/ü 1.json").read_bytes() == b"{}"
    assert Model(ws, "digits").download("two") == "two/folder"
    assert Path("two/folder/sub/b").read_bytes() == large
    found.add_tags({"stage": "live"})
    found.remove_tags("n")
    found.add_properties({"by": "me"})
    found.update(description="better")
    made.refresh()
    assert (made.tags, made.properties["by"], made.description) == (
        {"stage": "live"}, "me", "better",
    )  # fmt: skip
    assert [*ws.models] == ["digits"]
    assert ws.models["digits"].version == 2


def test_files_outlive_their_run(live_ws: Workspace) -> None:
    """A model has bytes of its own: the purge of its run leaves it whole, and without a run."""
    run = Experiment(live_ws, "models").start_logging()
    run.upload_file("m", io.BytesIO(b"weights"))
    model = run.register_model("m")
    run.complete()
    run.delete()
    live_ws.gc(NOW)
    again = Model(another(live_ws), "m")
    assert (again.run, again.run_id) == (None, run.id)
    again.download()
    assert Path("m").read_bytes() == b"weights"
    assert model.url.endswith("/m")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("outputs/cnn/weights", ["weights"]),
        ("outputs/cnn", ["cnn/deep/ü 1.json", "cnn/weights"]),
        ("./outputs/", ["outputs/cnn/deep/ü 1.json", "outputs/cnn/weights", "outputs/other"]),
        (None, ["digits"]),
    ],
)
def test_which_files_are_the_models(trained: Run, path: str | None, names: list[str]) -> None:
    """A file or a folder of the run, without what is above; by default the model's name."""
    model = trained.register_model("digits", path)
    assert [*model.files] == names
    root = names[0].partition("/")[0]
    assert model.download("there") == f"there/{root}"
    for name, file in model.files.items():
        assert len(Path("there", name).read_bytes()) == file.size


def test_some_of_a_folder(ws: Workspace) -> None:
    """Only the files and folders that are named."""
    for name in ("all/a", "all/sub/b", "all/c"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    model = Model.register(ws, "all", "m", child_paths=["sub", "c"])
    assert [*model.files] == ["all/c", "all/sub/b"]
    with refused(ws, ModelPathNotFoundException, "all"):
        Model.register(ws, "all", "m", child_paths=["d"])


def test_what_cannot_be_registered(trained: Run, ws: Workspace) -> None:
    """It is said why, and nothing is written."""
    for name in ("", ".hidden", "a/b", "a b", "ü", "a" * 256, "../x", 7):
        with refused(ws, WebserviceException, "name"):
            trained.register_model(name, "digits")  # type: ignore[arg-type]
    with refused(ws, ModelPathNotFoundException, "'outputs/cn'", "outputs/cnn/weights", "digits"):
        trained.register_model("m", "outputs/cn")
    with refused(ws, ModelPathNotFoundException, "'m'"):
        trained.register_model("m")
    with refused(ws, WebserviceException, "model_framework"):
        trained.register_model("m", "digits", model_framework_version="1")
    with refused(ws, UserErrorException, "tag"):
        trained.register_model("m", "digits", tags={"": 1})
    with refused(ws, ModelPathNotFoundException, "absent"):
        Model.register(ws, "absent", "m")
    Path("empty").mkdir()
    with refused(ws, ModelPathNotFoundException, "no files"):
        Model.register(ws, "empty", "m")
    longest = "a" * 255
    assert trained.register_model(longest, "digits").name == longest
    assert [*ws.models] == [longest]


def test_properties_are_written_once(trained: Run) -> None:
    """Also by two handles at once; what is refused writes nothing."""
    model = trained.register_model("digits", properties={"data": "v3"})
    other = Model(model.workspace, "digits")
    model.add_properties({"by": "me"})
    for handle in (model, other):
        with pytest.raises(PropertyConflictError, match="digits:1"):
            handle.add_properties({"new": "x", "by": "you"})
    other.update_tags_properties({"a": 1, "b": 2}, ["no"], {"by": "me"})
    other.update(tags={"b": 3})
    model.refresh()
    assert (model.properties, model.tags) == ({"data": "v3", "by": "me"}, {"b": "3"})


def test_downloads_replace_nothing_unasked(trained: Run) -> None:
    """A file in the way is named before the first one is written."""
    model = trained.register_model("m", "outputs/cnn")
    Path("cnn").mkdir()
    Path("cnn/weights").write_bytes(b"mine")
    with pytest.raises(WebserviceException, match="cnn/weights"):
        model.download()
    assert [*map(str, Path("cnn").iterdir())] == ["cnn/weights"]
    model.download(exist_ok=True)
    assert Path("cnn/weights").read_bytes() == b"outputs/cnn/weights"
    store = store_of(model.workspace)
    store.put(model.files["cnn/weights"].key, b"outputs/cnn/weightz")
    with pytest.raises(CorruptObjectError, match="weights"):
        model.download("there")
    assert not Path("there/cnn/weights").exists()


def test_a_model_as_a_folder(trained: Run) -> None:
    """`get_model_path` downloads what is not there whole, once."""
    trained.register_model("m", "outputs/cnn")
    path = Path(Model.get_model_path("m", _workspace=trained.experiment.workspace))
    assert path == Path("azureml-models/m/1/cnn")
    before = (path / "weights").stat().st_ino
    Model.get_model_path("m", 1, trained.experiment.workspace)
    assert (path / "weights").stat().st_ino == before
    (path / "weights").write_bytes(b"half")
    Model.get_model_path("m", _workspace=trained.experiment.workspace)
    assert (path / "weights").read_bytes() == b"outputs/cnn/weights"
    (path / "weights").write_bytes(b"outputs/cnn/WEIGHTS")
    Model.get_model_path("m", _workspace=trained.experiment.workspace)
    assert (path / "weights").read_bytes() == b"outputs/cnn/weights"


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, ["a:2", "a:1", "b:1"]),
        ({"name": "a"}, ["a:2", "a:1"]),
        ({"latest": True}, ["a:2", "b:1"]),
        ({"tags": "k"}, ["a:1", "b:1"]),
        ({"tags": ["k", ["n", "1"]]}, ["a:1"]),
        ({"tags": {"n": None}}, ["b:1"]),
        ({"tags": "k", "latest": True}, ["b:1"]),
        ({"properties": [["p", "q"]]}, ["b:1"]),
        ({"run_id": "nobody"}, []),
        ({"model_framework": "Onnx"}, ["a:2"]),
    ],
)
def test_lists(trained: Run, ws: Workspace, filters: dict[str, object], ids: list[str]) -> None:
    """By name, the newest first; every filter as the reference has it."""
    trained.register_model("a", "digits", tags={"k": "v", "n": "1"})
    trained.register_model("a", "digits", model_framework=Model.Framework.ONNX)
    trained.register_model("b", "digits", tags={"k": "w", "n": None}, properties={"p": "q"})
    assert [model.id for model in Model.list(ws, **filters)] == ids  # type: ignore[arg-type]


def test_which_version_is_meant(trained: Run, ws: Workspace) -> None:
    """The latest that is there, that one, or the latest that passes."""
    for stage in ("old", "live", "new"):
        trained.register_model("m", "digits", tags={"stage": stage})
    assert Model(ws, "m").version == 3
    assert Model(ws, id="m:2").tags == {"stage": "live"}
    assert Model(ws, "m", tags=[["stage", "live"]]).version == 2
    Model(ws, "m").delete()
    assert Model(ws, "m").version == ws.models["m"].version == 2
    assert trained.register_model("m", "digits").version == 4, "a number is not used twice"
    missing: list[Callable[[], Model]] = [
        lambda: Model(ws, "n"),
        lambda: Model(ws, "m", version=3),
        lambda: Model(ws, "m", tags="no"),
        lambda: Model(ws, "m", version=1, tags={"stage": "new"}),
    ]
    for absent in missing:
        with pytest.raises(ModelNotFoundError) as caught:
            absent()
        assert isinstance(caught.value, WebserviceException)
    with pytest.raises(WebserviceException):
        Model(ws)
    with pytest.raises(WebserviceException, match="NAME:VERSION"):
        Model(ws, id="m")
    with pytest.raises(UserErrorException, match="filter"):
        Model.list(ws, tags=7)  # type: ignore[arg-type]
    copy = pickle.loads(pickle.dumps(Model(ws, "m")))  # noqa: S301 - made right here
    assert (copy.id, copy.serialize()["runId"]) == ("m:4", trained.id)


def test_the_trash_of_models(trained: Run, ws: Workspace) -> None:
    """What is deleted can be brought back until its files are gone, and then stays gone."""
    first, second = (trained.register_model("m", "outputs/cnn") for _ in range(2))
    first.delete()
    assert ws.gc() == [], "it was deleted just now"
    first.restore()
    first.delete()
    stale = models.find_model(store_of(ws), "m", 2)
    (planned,) = ws.gc(NOW, dry_run=True)
    assert (planned.model, planned.objects) == ("m:1", 2)
    assert ws.gc(NOW) == [planned]
    assert ws.gc(NOW) == []
    with pytest.raises(ModelNotFoundError, match="files"):
        first.restore()
    with pytest.raises(ModelNotFoundError, match="files"):
        first.add_tags({"a": 1})
    assert [model.id for model in Model.list(ws)] == ["m:2"]
    second.download()
    assert stale.state is not None
    assert models.read_head(store_of(ws), models.list_heads(store_of(ws))[0]).version == 1


def test_a_registration_that_died_leaves_files_that_go_later(trained: Run, ws: Workspace) -> None:
    """Nobody sees them, and they are no version."""
    store = store_of(ws)

    def plan(verb: str, key: str) -> Exception | None:
        died = verb == "put_if_absent" and key.startswith("models/")
        return StoreError("killed") if died else None

    ws.go_through(lambda inner: FaultyStore(inner, plan))
    with pytest.raises(StoreError, match="killed"):
        trained.register_model("m", "outputs/cnn")
    ws = another(ws)
    assert (ws.models, len(store.list("models/files/"))) == ({}, 2)
    assert ws.gc() == [], "they are too young"
    (freed,) = ws.gc(NOW)
    assert (freed.model, freed.objects, store.list("models/")) == ("m", 2, [])
    assert Run.get(ws, trained.id).register_model("m", "digits").version == 1


@pytest.mark.parametrize("moment", ["before", "within"])
def test_files_that_are_taken_for_left_over(trained: Run, ws: Workspace, moment: str) -> None:
    """Whoever is so slow registers nothing; it never stands there without its files."""
    store = store_of(ws)

    class Slow(CountingStore):
        def put_if_absent(self, key: str, data: bytes) -> None:
            if key == model_keys.model_state("m", 1, 1):
                if moment == "before":
                    assert [freed.model for freed in another(ws).gc(NOW)] == ["m"]
                else:
                    (info,) = store.list("models/files/")
                    folder = model_keys.parse_model_file(info.key)
                    assert folder
                    assert purge_models._is_nobodys(store, folder)  # noqa: SLF001 - in between
            super().put_if_absent(key, data)

    ws.go_through(Slow)
    with pytest.raises(UnavailableError, match="again"):
        trained.register_model("m", "digits")
    assert another(ws).models == {}
    another(ws).gc(NOW)
    assert store.list("models/files/") == []
    assert Run.get(another(ws), trained.id).register_model("m", "digits").version == 2


def test_files_that_were_claimed_meanwhile_stay(trained: Run, ws: Workspace) -> None:
    """The look behind the mark sees the claim, also where the first one did not."""
    store = store_of(ws)
    limit = store.now() + timedelta(days=1)
    model = trained.register_model("m", "digits")

    class Blinking(CountingStore):
        """A store whose first LIST of states is from before the claim."""

        def list(self, prefix: str) -> list[ObjectInfo]:
            return [] if prefix == model_keys.STATES else [*super().list(prefix)]

    found = purge_models.collect_models(Blinking(store), limit, limit, dry_run=False)
    assert [*found] == []
    model.download()


def test_a_damaged_version_is_left_out_and_keeps_the_files_of_its_name(
    trained: Run, ws: Workspace
) -> None:
    """It is named; the rest goes on."""
    for _ in range(2):
        trained.register_model("m", "digits")
    store = store_of(ws)
    before = {info.key for info in store.list("models/files/")}
    store.put(model_keys.model_state("m", 2, 1), b"{}")
    with pytest.warns(CorruptObjectWarning, match="m/00000002"):
        assert [model.version for model in Model.list(ws)] == [1]
    assert ws.gc(NOW) == []
    assert {info.key for info in store.list("models/files/")} == before
    assert trained.register_model("m", "digits").version == 3


def test_what_models_cost(trained: Run, ws: Workspace) -> None:
    """One LIST a listing, and a GET for what is shown; a registration a handful of requests."""
    counted = CountingStore(store_of(ws))
    ws.go_through(lambda _inner: counted)
    trained.register_model("m", "digits")
    assert dict(counted.counts) == {
        "list": 3, "get": 2, "get_range": 1, "upload": 1, "put_if_absent": 1,
    }  # fmt: skip
    for number in range(4):
        trained.register_model("m" if number % 2 else "n", "digits")
    counted.reset()
    assert len(ws.models) == 2
    assert dict(counted.counts) == {"list": 1, "get": 2}


def test_copies(trained: Run, ws: Workspace, live_ws: Workspace) -> None:
    """Files and chains arrive whole, once; what went on in both places is on both, in the end."""
    first = trained.register_model("m", "outputs/cnn", tags={"at": "home"})
    second = trained.register_model("m", "digits")
    second.delete()
    assert ws.copy_to(live_ws, dry_run=True).objects == ws.copy_to(live_ws).objects
    assert ws.copy_to(live_ws).objects == 0
    there = another(live_ws)
    assert [model.id for model in Model.list(there)] == ["m:1"]
    Model(there, "m").download("there")
    assert Path("there/cnn/weights").read_bytes() == b"outputs/cnn/weights"
    Model(there, "m").add_tags({"there": 1})
    first.add_tags({"here": 1})
    assert ws.copy_to(live_ws).objects == 1
    there.copy_to(ws)
    first.refresh()
    assert first.tags == Model(there, "m").tags == {"at": "home", "here": "1", "there": "1"}
    trained.register_model("m", "digits")
    Model.register(there, "there", "m")
    with pytest.raises(StoreError, match="m:3 is another model"):
        ws.copy_to(live_ws)
    assert [*Model(there, "m", version=3).files] == ["there/cnn/deep/ü 1.json", "there/cnn/weights"]


def test_models_of_chosen_runs_stay_and_are_named(trained: Run, ws: Workspace) -> None:
    """All that are not there yet, of the runs that were meant, and of no others."""
    trained.register_model("m", "digits")
    trained.register_model("m", "outputs/cnn")
    trained.register_model("m", "digits").delete()
    other = trained.experiment.start_logging()
    other.upload_file("digits", io.BytesIO(b"other"))
    other.register_model("n", "digits")
    there = Workspace("memory://" + os.urandom(4).hex())
    for dry_run in (True, False):
        assert ws.copy_to(there, runs=[trained.id], dry_run=dry_run).models == ["m:2", "m:1"]
    assert Model.list(there) == []
    found = ws.copy_to(there, experiments=[trained.experiment.name])
    assert found.models == ["m:2", "m:1", "n:1"]
    assert ws.copy_to(there).models == ws.copy_to(there, runs=[trained.id]).models == []
    other.complete()


@pytest.mark.parametrize("writes", range(1, 5))
def test_a_copy_that_breaks_off_is_finished_by_the_next(
    trained: Run, ws: Workspace, writes: int
) -> None:
    """No version stands there without its files."""
    trained.register_model("m", "outputs/cnn").add_tags({"a": 1})
    target = Workspace("memory://" + os.urandom(4).hex())
    ws.copy_to(target, runs=[trained.id])
    left = [writes]

    def plan(verb: str, key: str) -> Exception | None:
        left[0] -= key.startswith("models/") and verb in ("upload", "put_if_absent")
        return None if left[0] else StoreError("killed")

    broken = another(target)
    broken.go_through(lambda inner: FaultyStore(inner, plan))
    with pytest.raises(StoreError, match="killed"):
        ws.copy_to(broken)
    for model in Model.list(another(target)):
        model.download("early")
    ws.copy_to(target)
    Model(another(target), "m", tags=["a"]).download("late")


def test_verify(trained: Run, ws: Workspace) -> None:
    """Sound models are, damaged ones are named, holes are filled."""
    trained.complete()
    model = trained.register_model("m", "outputs/cnn")
    model.add_tags({"a": 1})
    model.add_tags({"b": 1})
    trained.register_model("n", "digits").delete()
    store = store_of(ws)
    assert [*verify(store, deep=True)] == []
    files = model.files
    store.put(files["cnn/weights"].key, b"outputs/cnn/weightz")
    assert [*verify(store)] == []
    assert [f.code for f in verify(store, deep=True)] == ["wrong_file"]
    store.put(files["cnn/weights"].key, b"short")
    store.delete([files["cnn/deep/ü 1.json"].key, model_keys.model_state("m", 1, 2)])
    store.put("models/state/x", b"")
    found = [*verify(store)]
    assert sorted(f.code for f in found) == ["hole", "missing_file", "unknown_object", "wrong_file"]
    assert [error for _, error in repair(store, found)] == [None]
    assert "hole" not in [f.code for f in verify(store)]
    ws.gc(NOW)
    assert not [f for f in verify(store) if "/n/" in f.key], "what was purged has no files"
