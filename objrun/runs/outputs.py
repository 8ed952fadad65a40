"""The folder of a run's outputs: what is new in it at the end becomes files of the run."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from objrun.errors import FileConflictError, ObjrunError, UserErrorException
from objrun.logs import logger
from objrun.protocol.endings import is_ending
from objrun.storage import in_flight

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE: Final = 4
"""Files that are captured at the same time."""

FOLDER: Final = "outputs"
"""The folder that is watched where none is named, below the working directory of the start."""

_LINK: Final = -1
"""The size of a link to a folder."""

LOGS: Final = "logs"
"""The folder that is watched beside it, as Azure ML does."""


class Stamp(NamedTuple):
    """What tells that a file was written since: nanoseconds of its last change, and its size.

    >>> Stamp(1, 2) == Stamp(1, 3)
    False
    """

    changed: int
    size: int


class Outputs:
    """A folder that is watched from now on: `made()` are the files that were written since.

    What stood there before is another run's. `beside`: more folders.
    """

    def __init__(
        self, name: str, folder: str, known: dict[str, Stamp], *, is_new: bool = False
    ) -> None:
        """Keep what is `known`, and whether the folder was made for this; `watch` makes one."""
        self.name = name
        self.folder = folder
        self.beside: list[Outputs] = []
        self._known = known
        self._is_new = is_new

    def leave(self) -> None:
        """Remove folders that were made for this and hold nothing."""
        for each in (self, *self.beside):
            if each._is_new:  # noqa: SLF001 - its own class
                with suppress(OSError):
                    os.rmdir(each.folder)  # noqa: PTH106 - as it was made

    def made(self) -> dict[str, str]:
        """Return the paths of the files that are new or have changed, by names for the run."""
        beside = [each.made() for each in self.beside]
        return {name: path for found in (self._made(), *beside) for name, path in found.items()}

    def _made(self) -> dict[str, str]:
        stamps = sorted(_stamps(self.folder).items())
        new = {path: stamp for path, stamp in stamps if self._known.get(path) != stamp}
        links = [f"{self.name}/{path}" for path in new if new[path].size == _LINK]
        if links:
            told = "links to folders are not captured (upload_folder stores a folder): %s"
            logger().warning(told, ", ".join(map(repr, links)))
        return {
            f"{self.name}/{path}": os.path.join(self.folder, path)  # noqa: PTH118 - as it was walked
            for path in new
            if new[path].size != _LINK
        }


def watch(outputs: Any) -> Outputs | None:
    """Return the folder that `start_logging(outputs=...)` means, watched from now on.

    None and True are `./outputs`, and `./logs` beside it; False is none; a path is that folder,
    whose files have its name, and a list are several. They are made where they are not there, but
    for `./logs`: scripts write to them at once.

    >>> watch(False)

    Raises UserErrorException for what is neither.
    """
    if isinstance(outputs, list | tuple) and outputs:
        first, *others = [watch(path) for path in outputs]
        if first:
            first.beside = [each for each in others if each]
        return first
    if outputs is False:
        return None
    path = FOLDER if outputs is None or outputs is True else outputs
    is_usual = path is FOLDER
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        message = f"outputs is a folder, a list of folders, True or False, not {outputs!r}"
        raise UserErrorException(message)
    try:
        folder = os.path.abspath(os.fspath(path))  # noqa: PTH100 - pathlib costs more than the start
    except FileNotFoundError:
        # The working directory was removed, and the folder with it.
        return None
    is_new = _make(folder)
    name = os.path.basename(folder) or FOLDER  # noqa: PTH119
    found = Outputs(name, folder, _stamps(folder), is_new=is_new)
    if is_usual:
        logs = os.path.join(os.path.dirname(folder), LOGS)  # noqa: PTH118, PTH120
        found.beside.append(Outputs(LOGS, logs, _stamps(logs)))
    return found


def _make(folder: str) -> bool:
    """Make a folder; return whether it was not there. Whoever may not do so has none, as before."""
    try:
        os.makedirs(folder)  # noqa: PTH103
    except OSError:
        return False
    return True


def _stamps(folder: str) -> dict[str, Stamp]:
    """Return all files below a folder, hidden ones too; links to folders are not followed.

    These have the size `_LINK`.
    """
    found: dict[str, Stamp] = {}
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            entries = os.scandir(os.path.join(folder, below))  # noqa: PTH118
        except OSError:
            continue
        with entries:
            for entry in entries:
                path = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                elif entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path):  # noqa: PTH113
                    status = entry.stat()
                    found[path] = Stamp(status.st_mtime_ns, status.st_size)
                elif os.path.isdir(entry.path):  # noqa: PTH112 - where a DirEntry raises for circles
                    found[path] = Stamp(entry.stat(follow_symlinks=False).st_mtime_ns, _LINK)
    return found


def capture(run: str, made: dict[str, str], upload: Callable[..., object]) -> bool:
    """Store files of a run that ends by `upload(name, path, overwrite=...)`, some at once.

    A file that was uploaded before and has changed since is stored again, with a warning. What
    fails is logged, and the others are stored: the end of a run does not wait for a file. Returns
    whether all were.
    """

    def store(item: tuple[str, str]) -> bool:
        name, path = item
        try:
            try:
                upload(name, path)
            except FileConflictError:
                logger().warning("run %s: %s has changed since it was uploaded", run, name)
                upload(name, path, overwrite=True)
        except (ObjrunError, OSError) as error:
            logger().error("run %s: %s is not captured: %s", run, path, error)
            return False
        return True

    if len(made) == 1 or is_ending():
        done = [store(item) for item in made.items()]
    else:
        done = [answer() for answer in in_flight(store, made.items(), at_once=AT_ONCE)]
    return all(done)
