"""What to run: a script with its source, or a command."""

from __future__ import annotations

import os
import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objrun.errors import ExperimentExecutionException, UserErrorException

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARED = {
    "script": "script",
    "arguments": "arguments",
    "command": "command",
    "compute_target": "target",
    "environment": "environment",
    "max_run_duration_seconds": "max_run_duration_seconds",
}
"""Arguments, and what a `run_config` calls them."""


class RunSettings:
    """The `run_config` of a ScriptRunConfig that was given none: what is set here counts.

    >>> config = ScriptRunConfig("src", script="train.py")
    >>> config.run_config.arguments = ["--lr", 0.1]
    >>> config.line()
    ['python', 'train.py', '--lr', '0.1']
    """

    __slots__ = (*_SHARED.values(),)

    def __getattr__(self, name: str) -> None:
        """Return None for what was not set; AttributeError, which says what there is, else."""
        if name in self.__slots__:
            return
        message = f"run_config has {', '.join(self.__slots__)}, and no {name}"
        raise AttributeError(message)


class ScriptRunConfig:
    """A script or a command, the folder it needs, and where and with what it runs.

    `script`: a path in `source_directory` (default: here), with `arguments`, a list or a text.
    `command`: instead of it a list of program and arguments, or a text for a shell; the program
    `python` is the interpreter of `environment`. `compute_target`: see `objrun.submission.targets`;
    None and "local" start it at once on this machine. `environment`: the folder of a virtual
    environment, or an interpreter; None: that of the caller. `max_run_duration_seconds`: it is
    canceled after so long, more than 0. `run_config`: any object with `target` and others of these
    as attributes, which count where the argument is not given, and where they are set later.
    `docker_runtime_config` is accepted, and means nothing.

    Raises UserErrorException where script and command are both given, or neither, for a duration
    that is not above 0, and for `distributed_job_config` and `resume_from`, which there are not.

    >>> ScriptRunConfig("src", script="train.py", arguments=["--lr", 0.1]).line()
    ['python', 'train.py', '--lr', '0.1']
    """

    def __init__(
        self,
        source_directory: str | os.PathLike[str] | None = None,
        script: str | None = None,
        arguments: Sequence[Any] | str | None = None,
        run_config: Any = None,
        compute_target: Any = None,
        environment: Any = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: float | None = None,
        command: Sequence[Any] | str | None = None,
        docker_runtime_config: Any = None,  # noqa: ARG002 - of the reference
    ) -> None:
        """Take over what is given; the folder is looked at when it is submitted."""
        if distributed_job_config is not None or resume_from is not None:
            message = "distributed_job_config and resume_from are not supported: leave them out"
            raise UserErrorException(message)
        self.source_directory = os.fspath(source_directory or ".")
        self.script = script
        self.arguments = arguments
        self.compute_target = compute_target
        self.environment = environment
        self.max_run_duration_seconds = max_run_duration_seconds
        self.command = command
        self.run_config: Any = RunSettings() if run_config is None else run_config
        self._theirs = self._told()
        for name, theirs in self._theirs.items():
            self._share(name, theirs)
        if bool(self.script) == (not _is_blank(self.command)):
            message = "either a script or a command is wanted, and one that is not empty"
            raise UserErrorException(message)
        limit = self.max_run_duration_seconds
        if limit is not None and not limit > 0:  # NaN is refused, too
            message = f"max_run_duration_seconds is above 0, or None for no limit, not {limit!r}"
            raise UserErrorException(message)

    def _share(self, name: str, theirs: Any) -> None:
        if theirs is None or theirs == []:
            return
        if getattr(self, name) is None:
            setattr(self, name, theirs)
        else:
            warnings.warn(f"{name} is given twice: that of run_config is ignored", stacklevel=4)

    def _told(self) -> dict[str, Any]:
        """Return what `run_config` says by now."""
        return {name: getattr(self.run_config, theirs, None) for name, theirs in _SHARED.items()}

    def settle(self) -> None:
        """Take over what was set in `run_config` since."""
        before, self._theirs = self._theirs, self._told()
        for name, theirs in self._theirs.items():
            if theirs is not before[name]:
                setattr(self, name, theirs)

    def line(self) -> list[str]:
        """Return the program with its arguments; the word `python` is the interpreter."""
        self.settle()
        if self.script:
            given = self.arguments or []
            arguments = shlex.split(given) if isinstance(given, str) else [*map(str, given)]
            return ["python", self.script, *arguments]
        if isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        return [*map(str, self.command or [])]

    def interpreter(self) -> str | None:
        """Return the path of the interpreter, None for that of whoever launches the run."""
        self.settle()
        if self.environment is None:
            return None
        if not isinstance(self.environment, str | os.PathLike):
            message = (
                "environment is the folder of a virtual environment, or an interpreter, not "
                f"{self.environment!r:.200}"
            )
            raise UserErrorException(message)
        path = Path(os.fspath(self.environment)).expanduser().absolute()
        found = path / "bin" / "python" if path.is_dir() else path
        if not os.access(found, os.X_OK):
            message = f"environment {str(path)!r} is neither a virtual environment nor a program"
            raise UserErrorException(message)
        return str(found)

    def check(self) -> None:
        """Raise ExperimentExecutionException where the folder or the script is not there."""
        self.settle()
        if not Path(self.source_directory).is_dir():
            message = f"there is no folder {self.source_directory!r}"
            raise ExperimentExecutionException(message)
        if self.script and not Path(self.source_directory, self.script).is_file():
            message = f"there is no script {self.script!r} in {self.source_directory!r}"
            raise ExperimentExecutionException(message)


def _is_blank(command: Sequence[Any] | str | None) -> bool:
    words = [command] if isinstance(command, str) else [*(command or [])]
    return not words or not str(words[0]).strip()
