"""What is recorded of every run when it starts: the commit, the host, the program."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import Final

from objrun import clock
from objrun.secret import redact

MOST_DIFF: Final = 1_000_000
"""Bytes of a diff that is kept."""

_PATIENCE: Final = 2.0
_FRESH_SECONDS: Final = 30
_GIT: Final = ("repository_uri", "branch", "commit", "dirty", "build_id", "build_uri")
_MLFLOW: Final = {"repository_uri": "repoURL", "branch": "branch", "commit": "commit"}
_USER: Final = re.compile(r"(?:[^/]*|[^/:\[]*:(?!\d*/).*)@")
"""User and password at the beginning of what follows `://`; a password may hold a slash."""


def start_properties() -> dict[str, str]:
    """Return properties of this process: `objrun.*` always, `azureml.git.*` in a git work tree.

    A commit, a checkout and `git add` are seen at once, a change of a file within 30 seconds. The
    variables `AZUREML_GIT_<REPOSITORY_URI|BRANCH|COMMIT|DIRTY|BUILD_ID|BUILD_URI>` win over what
    git says. No other part of the environment is kept, as it holds secrets.

    >>> "objrun.host" in start_properties()
    True
    """
    git = _git_facts()
    properties = {f"azureml.git.{name}": value for name, value in git.items()}
    mlflow = {f"mlflow.source.git.{_MLFLOW[name]}": git[name] for name in _MLFLOW if name in git}
    return {**_process(os.getpid()), **properties, **mlflow}


def _git_facts() -> dict[str, str]:
    """Return what is known of the commit by the names of `_GIT`."""
    facts: dict[str, str] = {}
    folder = _folder()
    place = _work_tree(folder)
    if place:
        facts |= _asked_of_git(folder, _moves(place), int(clock.monotonic() // _FRESH_SECONDS))
    for name in _GIT:
        given = os.environ.get(f"AZUREML_GIT_{name.upper()}", "").strip()
        if given:
            facts[name] = _readable(given)
    if facts.get("dirty", "").lower() in ("1", "true"):
        facts["dirty"] = "True"
    else:
        facts.pop("dirty", None)
    for name in ("repository_uri", "build_uri"):
        if name in facts:
            facts[name] = _without_credentials(facts[name])
    return facts


def uncommitted() -> bytes:
    """Return what `git diff` says of tracked files here, b"" where it says nothing or too much."""
    folder = _folder()
    place = _work_tree(folder)
    if not place:
        return b""
    known = (folder, _moves(place), int(clock.monotonic() // _FRESH_SECONDS))
    return _diff(*known) if _asked_of_git(*known).get("dirty") else b""


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
        "objrun.program": _readable(os.path.basename(sys.argv[0]) if sys.argv else ""),  # noqa: PTH119
    }


def _readable(text: str) -> str:
    """Escape what UTF-8 cannot hold: names of files and variables are bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _work_tree(folder: str) -> str:
    """Return the `.git` here or above, else "": outside of a work tree git is not even started."""
    while folder:
        place = os.path.join(folder, ".git")  # noqa: PTH118
        if os.path.exists(place):  # noqa: PTH110
            return place
        above = os.path.dirname(folder)  # noqa: PTH120
        folder = above if above != folder else ""
    return ""


def _moves(place: str) -> tuple[int, ...]:
    """Return when HEAD and the index last changed; in a linked work tree that is not known here."""
    times = []
    for name in ("logs/HEAD", "index"):
        try:
            times.append(os.stat(f"{place}/{name}").st_mtime_ns)  # noqa: PTH116
        except OSError:
            times.append(0)
    return tuple(times)


@lru_cache(maxsize=8)
def _asked_of_git(folder: str, _moved: tuple[int, ...], _period: int) -> dict[str, str]:
    """Run git, two processes; the last two arguments say for how long the answer holds."""
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
    facts = {
        "commit": head["oid"],
        "branch": head.get("head", "").replace("(detached)", ""),
        "repository_uri": _run(folder, "config", "--get", "remote.origin.url").strip(),
        "dirty": "True" if dirty else "",
    }
    return {name: value for name, value in facts.items() if value}


@lru_cache(maxsize=8)
def _diff(folder: str, _moved: tuple[int, ...], _period: int) -> bytes:
    """Run git, one process; of what it prints only so much comes into memory."""
    import subprocess
    import tempfile

    # No program of the user's configuration is run, and the form is always the same.
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "--no-optional-locks", "diff", "--binary", *plain, "HEAD"],  # noqa: S607
                cwd=folder,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return b""
        if output.seek(0, os.SEEK_END) > MOST_DIFF:
            return b""
        output.seek(0)
        text = output.read().decode("utf-8", "surrogateescape")
    return redact(text).encode("utf-8", "surrogateescape")


def _run(folder: str, *arguments: str) -> str:
    import subprocess  # outside of work trees nobody pays for it

    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - git is found by PATH
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _without_credentials(url: str) -> str:
    """Return a URL without user and password; the user of SSH stays, who is no secret.

    >>> _without_credentials("https://me:secret@example.org/x.git")
    'https://example.org/x.git'
    >>> _without_credentials("ssh://git:secret@example.org/x.git")
    'ssh://git@example.org/x.git'
    """
    scheme, mark, rest = url.partition("://")
    found = _USER.match(rest)
    if not mark or not found:
        return url
    user = found[0].rstrip("@").partition(":")[0] if "ssh" in scheme.lower() else ""
    return f"{scheme}://{user}{'@' if user else ''}{rest[found.end() :]}"
