"""Experiments: made by whoever comes first, archived, deleted, tagged; and workspaces of them."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, UserErrorException, Workspace
from objrun.errors import (
    ExperimentNotFoundError,
    InvalidURLError,
    NotAStoreError,
    ServiceException,
)
from tests.api.places import another, contents, refused

if TYPE_CHECKING:
    from pathlib import Path


def names(experiments: Any) -> list[str]:
    return [experiment.name for experiment in experiments]


NAMES = ["a", "A" * 255, "0", "mnist-2_x", "añö", "x" + "日本" * 100, "a" + "é" * 254]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:9])
def test_names_of_letters_digits_hyphens(any_ws: Workspace, name: str) -> None:
    experiment = Experiment(any_ws, name)
    run = experiment.start_logging()
    run.log("x", 1)
    run.complete()
    fresh = another(any_ws)
    assert list(fresh.experiments) == [name]
    assert fresh.get_run(run.id).experiment.name == name
    assert fresh.get_run(run.id).get_metrics() == {"x": 1}
    assert [r.id for r in fresh.experiments[name].get_runs()] == [run.id]
    assert fresh.experiments[name].metrics().collect().height == 1


def test_two_long_names_are_two_experiments(ws: Workspace) -> None:
    for end in "ab":
        Experiment(ws, "é".join("x" * 120) + end).start_logging()
    assert len(another(ws).experiments) == 2


@pytest.mark.parametrize(
    "name", ["", "a b", "a.b", "a/b", "../x", "-a", "_a", "äb", "a\n", "a\0", "a" * 256, "a\ud800"]
)
def test_other_names_are_refused(ws: Workspace, name: str) -> None:
    with refused(ws, UserErrorException, "experiment", "name"):
        Experiment(ws, name)


def test_names_are_text(ws: Workspace) -> None:
    with refused(ws, UserErrorException, "an experiment's name is text, not int"):
        Experiment(ws, 5)  # type: ignore[arg-type]


def test_nothing_is_written_before_it_is_needed(ws: Workspace) -> None:
    experiment = Experiment(ws, "digits")
    assert (experiment.name, experiment.workspace) == ("digits", ws)
    repr(experiment)
    assert contents(ws) == {}


def test_first_users_make_one_experiment(live_ws: Workspace) -> None:
    """Each with handles of its own, as processes would have, in a place that holds nothing yet."""
    count = 8
    start = threading.Barrier(count)

    def work(number: int) -> tuple[str, str, int]:
        workspace = another(live_ws)
        start.wait()
        with Experiment(workspace, "digits").start_logging() as run:
            run.log("x", number)
        return run.experiment.id, workspace.store_id, run.number

    with ThreadPoolExecutor(count) as pool:
        done = list(pool.map(work, range(count)))
    assert len({experiment for experiment, _, _ in done}) == 1
    assert len({store for _, store, _ in done}) == 1
    assert len({number for _, _, number in done}) == count
    fresh = another(live_ws)
    runs = fresh.experiments["digits"].get_runs()
    assert sorted(run.get_metrics()["x"] for run in runs) == [*range(count)]
    assert {run.status for run in runs} == {"Completed"}


def test_one_handle_starts_runs_in_many_threads(experiment: Experiment) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: experiment.start_logging(), range(24)))
    assert sorted(run.number for run in runs) == [*range(1, 25)]


def test_tags(any_ws: Workspace) -> None:
    experiment = Experiment(any_ws, "digits")
    experiment.tag("a")
    experiment.set_tags({"b": 1, "c": None})
    assert experiment.tags == {"a": None, "b": "1", "c": None}
    other = Experiment(another(any_ws), "digits")
    assert other.remove_tags(["a", "nope"]) == {"b": "1", "c": None}
    assert experiment.tags["a"] is None, "stale until refresh"
    experiment.refresh()
    assert experiment.tags == {"b": "1", "c": None}
    assert names(Experiment.list(any_ws, tags={"b": "1"})) == ["digits"]
    assert names(Experiment.list(any_ws, tags="nope")) == []


def test_texts(ws: Workspace) -> None:
    experiment = Experiment(ws, "digits")
    experiment.description = "words"
    assert Experiment(another(ws), "digits").description == "words"
    experiment.description = 5  # type: ignore[assignment]
    assert Experiment(another(ws), "digits").description == "5"


def test_archiving_hides_and_reactivating_shows(any_ws: Workspace) -> None:
    experiment = Experiment(any_ws, "digits")
    run = experiment.start_logging()
    Experiment(any_ws, "other").start_logging()
    experiment.archive()
    assert experiment.archived_time is not None
    assert experiment.archived_time.tzinfo is not None
    fresh = another(any_ws)
    assert list(fresh.experiments) == ["other"]
    assert names(Experiment.list(fresh, view_type="ArchivedOnly")) == ["digits"]
    assert names(Experiment.list(fresh, view_type="All")) == ["digits", "other"]
    assert names(Experiment.list(fresh, "digits")) == []
    assert names(Experiment.list(fresh, "digits", "All")) == ["digits"]
    assert fresh.get_run(run.id).id == run.id
    experiment.start_logging()
    Experiment(fresh, "digits").reactivate()
    assert Experiment(another(any_ws), "digits").archived_time is None
    assert list(another(any_ws).experiments) == ["digits", "other"]


def test_archiving_twice_is_once(ws: Workspace) -> None:
    experiment = Experiment(ws, "digits")
    experiment.archive()
    before = contents(ws)
    experiment.archive()
    Experiment(another(ws), "digits").archive()
    assert contents(ws) == before


def test_reactivating_under_another_name_is_refused(ws: Workspace) -> None:
    experiment = Experiment(ws, "digits")
    experiment.archive()
    with refused(ws, UserErrorException, "keeps its name", "without new_name"):
        experiment.reactivate("other")


class TestDelete:
    def test_takes_the_id_of_an_empty_experiment(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        Experiment.delete(any_ws, experiment.id)
        fresh = another(any_ws)
        assert list(fresh.experiments) == []
        assert names(Experiment.list(fresh, view_type="All")) == []
        with refused(fresh, UserErrorException, "'digits' is deleted", "choose another name"):
            Experiment(fresh, "digits").start_logging()
        with refused(fresh, UserErrorException, "is deleted"):
            Experiment(fresh, "digits").tag("a")

    def test_a_handle_from_before_goes_on_until_it_looks_again(self, ws: Workspace) -> None:
        """What is documented: a look at each start would cost a request."""
        handle = Experiment(ws, "digits")
        assert handle.id
        Experiment.delete(another(ws), "digits")
        run = handle.start_logging()
        assert another(ws).get_run(run.id).id == run.id
        assert [found.id for found in Experiment(another(ws), "digits").get_runs()] == [run.id]
        assert names(Experiment.list(ws, view_type="All")) == []
        handle.refresh()
        with refused(ws, UserErrorException, "'digits' is deleted"):
            handle.start_logging()

    def test_refuses_one_with_runs(self, ws: Workspace) -> None:
        experiment = Experiment(ws, "digits")
        experiment.start_logging()
        with refused(ws, UserErrorException, "'digits' has runs", "only empty ones"):
            Experiment.delete(ws, experiment.id)

    def test_refuses_what_is_not_there(self, ws: Workspace) -> None:
        Experiment(ws, "digits").archive()
        with refused(ws, ExperimentNotFoundError, "'nope'", ws.url):
            Experiment.delete(ws, "nope")
        assert issubclass(ExperimentNotFoundError, ServiceException)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"view_type": "Active"}, ("'Active'", "ActiveOnly, ArchivedOnly, All")),
        ({"tags": ["a"]}, ("tags is a key or a dict", "list")),
    ],
)
def test_unknown_filters_are_refused(ws: Workspace, arguments: Any, words: Any) -> None:
    Experiment(ws, "digits").archive()
    with refused(ws, UserErrorException, *words):
        Experiment.list(ws, **arguments)


class TestWorkspace:
    def test_is_made_by_the_first_write(self, tmp_path: Path) -> None:
        workspace = Workspace(tmp_path / "store")
        assert not (tmp_path / "store").exists()
        Experiment(workspace, "digits").start_logging()
        assert (tmp_path / "store" / "objrun.json").is_file()

    def test_create_and_get(self, any_ws: Workspace) -> None:
        url, options = any_ws.url, any_ws.storage_options
        with pytest.raises(NotAStoreError, match="there is no objrun store"):
            Workspace.get(url, options)
        made = Workspace.create(url, options)
        with refused(any_ws, UserErrorException, "there is a store at", "exist_ok=True"):
            Workspace.create(url, options)
        again = Workspace.create(url, options, exist_ok=True)
        assert Workspace.get(url, options).store_id == made.store_id == again.store_id
        assert made.experiments == {}

    def test_is_where_the_environment_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBJRUN_URL", "memory://elsewhere")
        assert Workspace().url == "memory://elsewhere"
        assert Workspace(tmp_path).url != Workspace().url
        monkeypatch.delenv("OBJRUN_URL")
        monkeypatch.chdir(tmp_path)
        with Experiment(Workspace(), "digits").start_logging():
            pass
        assert (tmp_path / "objrun" / "objrun.json").is_file()

    def test_stays_where_it_was_when_the_folder_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        workspace = Workspace("store")
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        Experiment(workspace, "digits").start_logging()
        assert (tmp_path / "store" / "objrun.json").is_file()

    def test_looks_like_the_call_that_makes_it(self, ws: Workspace) -> None:
        assert repr(ws) == f"Workspace({ws.url!r})"
        assert ws.name == ws.url.rpartition("/")[2]

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("", "empty"),
            (5, "text or a path, not int"),
            ("nope://x", "nope"),
            ("memory://", "memory://name"),
            ("simplecache::memory://x", "::"),
            ("s3://key:secret@bucket/x", "credentials"),
        ],
    )
    def test_refuses_what_is_no_url(self, url: Any, words: str) -> None:
        with pytest.raises(InvalidURLError) as caught:
            Workspace(url)
        assert words in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_refuses_unknown_options(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidURLError, match="nope"):
            Workspace(tmp_path, {"nope": 1})

    def test_has_details(self, tmp_path: Path) -> None:
        place = tmp_path / "store"
        with pytest.raises(NotAStoreError):
            Workspace(place).get_details()
        made = Workspace.create(place)
        details = Workspace.get(place).get_details()
        header = json.loads((place / "objrun.json").read_text())
        assert details == made.get_details()
        assert details == {
            "id": header["store_id"],
            "name": "store",
            "url": made.url,
            "creationTime": header["created"],
        }

    def test_shows_experiments_sorted(self, ws: Workspace) -> None:
        for name in ("b", "a", "c"):
            Experiment(ws, name).start_logging()
        assert list(ws.experiments) == ["a", "b", "c"]
        assert ws.experiments["a"].get_runs()[0].experiment.name == "a"


class TestConfig:
    def test_is_found_from_below(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        deep = tmp_path / "a" / "b"
        deep.mkdir(parents=True)
        Workspace("memory://configured").write_config(tmp_path)
        assert json.loads((tmp_path / ".objrun" / "config.json").read_text()) == {
            "url": "memory://configured"
        }
        monkeypatch.chdir(deep)
        assert Workspace.from_config().url == "memory://configured"
        assert Workspace.from_config(tmp_path).url == "memory://configured"
        assert Workspace.from_config(str(deep)).url == "memory://configured"

    def test_of_a_folder_far_up_wins_over_a_plain_file_close_by(self, tmp_path: Path) -> None:
        deep = tmp_path / "a"
        deep.mkdir()
        Workspace("memory://far").write_config(tmp_path)
        (deep / "config.json").write_text('{"url": "memory://near"}')
        assert Workspace.from_config(deep).url == "memory://far"
        assert Workspace.from_config(deep / "config.json").url == "memory://near"

    def test_may_have_another_name(self, tmp_path: Path) -> None:
        Workspace("memory://named").write_config(tmp_path, "mine.json")
        found = Workspace.from_config(tmp_path / ".objrun" / "mine.json")
        assert found.url == "memory://named"

    def test_goes_into_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Workspace("memory://here").write_config()
        assert Workspace.from_config(tmp_path / ".objrun" / "config.json").url == "memory://here"

    def test_holds_no_secrets(self, tmp_path: Path) -> None:
        Workspace(tmp_path / "s", {"durability": "none"}).write_config(tmp_path)
        assert "durability" not in (tmp_path / ".objrun" / "config.json").read_text()

    def test_may_hold_options(self, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        options = {"durability": "none"}
        file.write_text(json.dumps({"url": str(tmp_path / "s"), "storage_options": options}))
        assert Workspace.from_config(file).storage_options == options

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "is not JSON"),
            ("[]", 'has no "url"'),
            ('{"workspace_name": "x"}', 'has no "url"'),
            ('{"url": 5}', 'has no "url"'),
            ('{"url": "memory://x", "storage_options": "abc"}', "storage_options"),
            ("\xff", "is not JSON"),
        ],
    )
    def test_that_is_damaged_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        file = tmp_path / "config.json"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(UserErrorException) as caught:
            Workspace.from_config(file)
        assert words in str(caught.value)
        assert str(file) in str(caught.value)

    def test_that_is_missing_is_said_to_be(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="write_config"):
            Workspace.from_config(tmp_path)
        with pytest.raises(UserErrorException, match="is not a folder"):
            Workspace("memory://x").write_config(tmp_path / "nope")
        assert list(tmp_path.iterdir()) == []
