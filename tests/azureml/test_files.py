"""Files uploaded, captured and downloaded as scripts for Azure ML do."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from objrun import Experiment, Run, UserErrorException


def write(path: str, text: str) -> str:
    """Write a file, with its folders."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return path


def read(path: str) -> str:
    """Return what is in a file."""
    return Path(path).read_text(encoding="utf-8")


def test_a_file(run: Run) -> None:
    run.upload_file(name="important", path_or_stream=write("on/disk/file.txt", "one"))
    run.upload_file("from/a/stream", BytesIO(b"two"))
    assert run.get_file_names() == ["from/a/stream", "important"]
    run.download_file("important", "copy.txt")
    run.download_file(name="from/a/stream")
    run.download_file("important", output_file_path="new/folder/copy.txt")
    assert (read("copy.txt"), read("stream"), read("new/folder/copy.txt")) == ("one", "two", "one")
    with pytest.raises(UserErrorException, match="nothing here"):
        run.download_file("nothing here")


def test_several_files(run: Run) -> None:
    paths = [write("a/file_1.txt", "1"), write("b/file_2.txt", "2")]
    run.upload_files(names=["file_1", "file_2"], paths=paths)
    artifacts, _ = run.upload_files(["file_3"], [paths[0]], return_artifacts=True)
    assert list(artifacts) == ["file_3"]
    run.download_file("file_1", "file_1.txt")
    run.download_file("file_2", "folder/file_2.txt")
    assert (read("file_1.txt"), read("folder/file_2.txt")) == ("1", "2")


def test_a_folder(run: Run) -> None:
    write("on/disk/first.txt", "1")
    write("on/disk/below/second.txt", "2")
    run.upload_folder(name="important", path="on/disk")
    assert run.get_file_names() == ["important/below/second.txt", "important/first.txt"]
    run.download_file("important/first.txt", "local.txt")
    run.download_files(prefix="important", output_directory="all")
    run.download_files("important/", "short", append_prefix=False)
    assert read("local.txt") == read("all/important/first.txt") == read("short/first.txt") == "1"
    assert read("short/below/second.txt") == "2"


def test_outputs_are_captured(exp: Experiment) -> None:
    with exp.start_logging() as run:
        run.upload_file("outputs/metrics.txt", write("outputs/metrics.txt", "1"))
        write("outputs/model.pkl", "weights")
    assert run.get_file_names() == ["outputs/metrics.txt", "outputs/model.pkl"]
    with exp.start_logging(outputs="results") as other:
        write("results/plot.svg", "<svg/>")
    assert other.get_file_names() == ["results/plot.svg"]


def test_what_has_a_name_keeps_it(run: Run) -> None:
    run.upload_file("data.csv", write("data.csv", "1,2"))
    with pytest.raises(Exception, match=r"data\.csv"):
        run.upload_file("data.csv", write("other.csv", "3,4"))
    with pytest.raises(FileNotFoundError):
        run.upload_file("never", "no-such-file")
    assert run.get_file_names() == ["data.csv"]


def test_source_is_kept_and_comes_back(exp: Experiment, folder: Path) -> None:
    write("source/train.py", "print(1)")
    write("source/data/large.bin", "0" * 1000)
    write("source/.amlignore", "data/\n")
    run = exp.start_logging(snapshot_directory="source")
    snapshot_id = run.get_snapshot_id()
    assert snapshot_id
    archive = run.restore_snapshot(snapshot_id=snapshot_id, path="restored")
    assert archive == str(folder / "restored" / f"{snapshot_id}.zip")
    later = exp.start_logging(snapshot_directory=None)
    assert later.take_snapshot("source") == snapshot_id


def test_the_folder_of_outputs_is_there_from_the_start(exp: Experiment, folder: Path) -> None:
    run = exp.start_logging()
    with open("outputs/notes.txt", "w") as file:  # noqa: PTH123 - as notebooks do
        file.write("written without making the folder")
    run.complete()
    assert run.get_file_names() == ["outputs/notes.txt"]
    with exp.start_logging(outputs=["left", "right/"]) as run:
        (folder / "left/1").write_bytes(b"1")
        (folder / "right/2").write_bytes(b"2")
    assert run.get_file_names() == ["left/1", "right/2"]
    with exp.start_logging(outputs="unused"):
        assert (folder / "unused").is_dir()
    assert not (folder / "unused").exists()
