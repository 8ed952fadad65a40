"""What is recorded of every run when it starts: the commit, the host, the program."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_PATIENCE: Final = 2.0


def start_properties() -> dict[str, str]:
    """Return properties of this process: `objrun.*` always, `azureml.git.*` in a git work tree.

    Cached per process and folder. No command line and no environment is kept, as they hold secrets.

    >>> "objrun.host" in start_properties()
    True
    """
    return {**_process(os.getpid()), **_git(_folder())}


def _folder() -> str:
    """Return the working directory, "" where it has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib is not loaded
    except FileNotFoundError:
        return ""


@lru_cache(maxsize=1)
def _process(pid: int) -> dict[str, str]:
    system = os.uname()
    version = sys.version_info
    return {
        "objrun.host": system.nodename,
        "objrun.platform": f"{system.sysname}-{system.release}-{system.machine}",
        "objrun.python": f"{version.major}.{version.minor}.{version.micro}",
        "objrun.pid": str(pid),
        "objrun.program": _program(),
    }


def _program() -> str:
    """Return the name of the script; a file's name may hold bytes that are no UTF-8."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119
    return name.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=8)
def _git(folder: str) -> dict[str, str]:
    if not folder or not _in_work_tree(folder):
        return {}
    status = _run(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    head: dict[str, str] = {}
    dirty = False
    for line in status.splitlines():
        if line.startswith("# branch."):
            name, _, value = line.removeprefix("# branch.").partition(" ")
            head[name] = value
        else:
            dirty = True
    if head.get("oid", "(initial)") == "(initial)":
        return {}
    found = {"commit": head["oid"], "branch": head.get("head", "")}
    remote = _without_credentials(_run(folder, "config", "--get", "remote.origin.url").strip())
    properties = {f"azureml.git.{name}": value for name, value in found.items()}
    properties |= {f"mlflow.source.git.{name}": value for name, value in found.items()}
    if remote:
        properties |= {"azureml.git.repository_uri": remote, "mlflow.source.git.repoURL": remote}
    if dirty:
        properties["azureml.git.dirty"] = "True"
    return properties


def _in_work_tree(folder: str) -> bool:
    """Look for `.git` upwards, so that git is not even started outside of a work tree."""
    while True:
        if os.path.exists(os.path.join(folder, ".git")):  # noqa: PTH110, PTH118
            return True
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return False
        folder = above


def _run(folder: str, *arguments: str) -> str:
    import subprocess  # outside of work trees nobody pays for it

    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - git is found by PATH
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _without_credentials(url: str) -> str:
    """Return a remote's URL without user and password.

    >>> _without_credentials("https://me:secret@example.org/x.git")
    'https://example.org/x.git'
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc or not parts.scheme.startswith("http"):
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
