"""The files of a run: stored under names, listed, downloaded, opened."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, BinaryIO

from objrun.errors import FileNotInRunError, UserErrorException
from objrun.format.names import check_file_name, choices
from objrun.format.values import PREFIX
from objrun.runs.outputs import Outputs, capture

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from objrun.runs.artifacts import Uploaded
    from objrun.storage import Store


class RunFiles:
    """The part of `Run` that stores files and reads them."""

    id: Any
    outputs: Outputs | None = None

    def _record(self, act: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def _readable(self) -> Store:
        raise NotImplementedError

    def upload_file(
        self,
        name: str,
        path_or_stream: str | os.PathLike[str] | IO[bytes],
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Uploaded:
        """Store a file, or what a binary stream holds from its position on, under a name.

        The name is a relative path such as `outputs/model.pt`. The same bytes again are not stored
        again. Large files go in parts, several at once, in bounded memory. `datastore_name` is
        accepted and means nothing.

        Raises FileConflictError where other bytes have the name, unless `overwrite`: then the
        earlier ones are kept as an earlier version. FileNotFoundError where there is no such file,
        UserErrorException for what is neither path nor binary stream; then nothing is stored.

        >>> from io import BytesIO
        >>> run.upload_file("outputs/notes.txt", BytesIO(b"fine")).artifacts.keys()
        dict_keys(['outputs/notes.txt'])
        """
        return self._uploaded({name: path_or_stream}, overwrite=overwrite)

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,  # noqa: ARG002 - of the reference
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Any:
        """Store files under names, some at once; see `upload_file`.

        Returns what was stored, with `return_artifacts` as a pair: a dict of name to Artifact, and
        what was stored. All names and paths are looked at before the first file is stored. Of
        several that cannot be stored the others are, and the error names each. TypeError where
        there are not as many names as paths.
        """
        if isinstance(names, str) or isinstance(paths, str) or len(names) != len(paths):
            message = "upload_files takes as many names as paths, as two lists"
            raise TypeError(message)
        if len({*map(check_file_name, names)}) < len(names):
            message = "upload_files was given one name twice"
            raise UserErrorException(message)
        done = self._uploaded(dict(zip(names, paths, strict=True)), overwrite=overwrite)
        return (dict(done.artifacts), done) if return_artifacts else done

    def upload_folder(
        self,
        name: str,
        path: str | os.PathLike[str],
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Uploaded:
        """Store all files below a folder, hidden ones too, under `name` and their relative paths.

        Links to files are followed, links to folders are not. See `upload_file` for errors;
        UserErrorException where `path` is no folder.
        """
        from objrun.runs.artifacts import below

        return self._uploaded(below(name, path), overwrite=overwrite)

    def get_file_names(self) -> list[str]:
        """Return the names of all files of the run, sorted, its logs among them: two LISTs.

        >>> from io import BytesIO
        >>> done = run.upload_file("outputs/notes.txt", BytesIO(b"fine"))
        >>> run.get_file_names()
        ['outputs/notes.txt']
        """
        from objrun.runs.artifacts import places_of

        return [*places_of(self._readable(), self.id)]

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None
    ) -> None:
        """Write a file of the run to `output_file_path`, by default its last piece, here.

        `name` may be a reference, as `get_metrics` gives it of an image or document.

        Where that is a folder, into it. Missing folders are made, a file that is there is
        replaced, but only when all bytes have come and are those that were stored. Raises
        FileNotInRunError where the run has no such file, CorruptObjectError where it is damaged.
        """
        from objrun.runs.artifacts import download_all, target_of

        name = _checked(name)
        download_all(self._readable(), self.id, [name], [target_of(name, output_file_path)])

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,  # noqa: ARG002 - of the reference
        append_prefix: bool = True,
        timeout_seconds: float | None = None,  # noqa: ARG002 - of the reference
    ) -> None:
        """Write all files of the run, or those in the folder `prefix`, below `output_directory`.

        They keep their names; with `append_prefix=False` and an `output_directory` without the
        prefix. `output_paths`: one for each file in order of names, used instead. `batch_size` and
        `timeout_seconds` are accepted and mean nothing. Raises FileNotInRunError where there is
        none, and what `download_file` raises.
        """
        from objrun.runs.artifacts import download_all, targets_of

        folder = (prefix or "").strip("/")
        there = self.get_file_names()
        names = [
            name for name in there if not folder or name == folder or name.startswith(f"{folder}/")
        ]
        if not names:
            where = f" in {prefix!r}" if prefix else ""
            message = f"run {self.id} has no files{where}: {choices(folder, there)}"
            raise FileNotInRunError(message)
        targets = targets_of(
            names, folder, output_directory, output_paths, keeps_prefix=append_prefix
        )
        download_all(self._readable(), self.id, names, targets)

    def open(self, name: str) -> BinaryIO:
        """Return a file of the run to read from, seekable; bytes come as they are read.

        `name` may be a reference, as `get_metrics` gives it of an image or document.

        Nothing is checked against the digest, since not all may be read. Raises FileNotInRunError.

        >>> from io import BytesIO
        >>> done = run.upload_file("outputs/notes.txt", BytesIO(b"fine"))
        >>> with run.open("outputs/notes.txt") as file:
        ...     file.read()
        b'fine'
        """
        from objrun.runs.artifacts import open_file

        return open_file(self._readable(), self.id, _checked(name))

    def _capture(self) -> None:
        """Store what is new in the folder of outputs, once."""
        if self.outputs is not None:
            outputs, self.outputs = self.outputs, None
            capture(self.id, outputs.made(), self.upload_file)
            outputs.leave()

    def _uploaded(self, files: Mapping[str, Any], *, overwrite: bool) -> Uploaded:
        from objrun.runs.artifacts import checked, store_files

        wanted = checked(files)
        done: Uploaded = self._record(
            lambda chain: store_files(chain.store, self.id, wanted, overwrite=overwrite)
        )
        return done


def _checked(name: str) -> str:
    """Return the name of a file, or a reference to a blob, which is no such name."""
    return name if name.startswith(PREFIX) else check_file_name(name)
