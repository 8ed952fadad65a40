"""What a run is done with: Python, packages, machine. Recorded at its start, cheaply.

What many processes have in common is one document that their runs share; what is of one process
alone, its command line, is a property. Nothing is imported, started or asked that takes longer than
reading a few small files: names and versions of packages are those of the folders that pip makes.
"""

# Paths are text here: pathlib would cost more than the files do.
# ruff: noqa: PTH118, PTH123, PTH208
from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, NamedTuple

from objrun.format.shared import encode_environment
from objrun.secret import MASK, redact_command

SWITCH: Final = "OBJRUN_ENVIRONMENT"
"""The environment variable that switches recording off: `off`."""

MOST_COMMAND: Final = 1000
"""Characters of a command line that are kept."""

_DRIVER: Final = "/proc/driver/nvidia"
_PATIENCE: Final = 2.0
_ASKED: Final = (
    "import json, sys; v = sys.version_info[:3]; "
    "print(json.dumps(['.'.join(map(str, v)), sys.implementation.name, sys.path]))"
)
_GIB: Final = 2**30
_VERSION: Final = re.compile(r"^Version: (.*)$", re.MULTILINE)
_MODEL: Final = re.compile(r"^Model:\s*(.*)$", re.MULTILINE)
_DRIVER_VERSION: Final = re.compile(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s")
_UNSAFE: Final = re.compile(r"[^\w@%+=:,./-]", re.ASCII)
_SEPARATORS: Final = re.compile(r"[-_.]+")


def is_off(switch: str) -> bool:
    """Return whether an environment variable says `off`."""
    return os.environ.get(switch, "").strip().lower() in ("off", "false", "no", "0")


def command_line() -> str:
    """Return how this process was started, without secrets and without code given by `-c`."""
    arguments = [*sys.orig_argv]
    if sys.argv[:1] == ["-c"] and "-c" in arguments:
        arguments[arguments.index("-c") + 1] = MASK
    told = " ".join(map(_quoted, redact_command(arguments)))
    return told.encode("utf-8", "backslashreplace").decode()[:MOST_COMMAND]


def _quoted(argument: str) -> str:
    """Return an argument as a shell wants it; `shlex`, which does the same, is slow to import."""
    plain = argument and not _UNSAFE.search(argument)
    return argument if plain else "'" + argument.replace("'", "'\"'\"'") + "'"


class Interpreter(NamedTuple):
    """What is to be known of a Python: its version, its kind, and where its packages are.

    >>> Interpreter.own().implementation
    'cpython'
    """

    python: str
    implementation: str
    path: list[str]

    @classmethod
    def own(cls) -> Interpreter:
        """Return that of this process."""
        version = ".".join(map(str, sys.version_info[:3]))
        return cls(version, sys.implementation.name, sys.path)

    @classmethod
    def asked(cls, program: str) -> Interpreter | None:
        """Return that of a program by starting it; None for one that is no Python."""
        import json
        import subprocess

        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that is to run the script
                [program, "-c", _ASKED], capture_output=True, timeout=_PATIENCE * 5, check=True
            )
            version, kind, path = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return cls(version, kind, [folder for folder in path if folder])


@lru_cache(maxsize=2)
def environment_document(python: str | None = None) -> tuple[str, bytes] | None:
    """Return an environment as a document, and what names it: its SHA-256.

    `python`: the program of an interpreter, by default this one; None for what is none.
    """
    import hashlib

    interpreter = Interpreter.asked(python) if python else Interpreter.own()
    if interpreter is None:
        return None
    data = encode_environment(describe(interpreter=interpreter))
    return hashlib.sha256(data).hexdigest(), data


def describe(driver: str = _DRIVER, interpreter: Interpreter | None = None) -> dict[str, Any]:
    """Return what the document says; what cannot be told is left out."""
    interpreter = interpreter or Interpreter.own()
    system = os.uname()
    found = {
        "python": interpreter.python,
        "implementation": interpreter.implementation,
        "packages": packages(interpreter.path),
        "system": system.sysname,
        "release": system.release,
        "machine": system.machine,
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory": _memory(),
        **_graphics(driver),
    }
    return {name: value for name, value in found.items() if value or name == "packages"}


def packages(path: list[str]) -> dict[str, str]:
    """Return the versions of installed packages by name, lower case, with `-`: first found counts.

    >>> packages(sys.path)["pyarrow"] > "17"
    True
    """
    found: dict[str, str] = {}
    for folder in path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        here: dict[str, str] = {}
        for entry in names:
            stem, dot, kind = entry.rpartition(".")
            if not dot or kind not in ("dist-info", "egg-info"):
                continue
            name, _, version = stem.partition("-")
            if kind == "egg-info":
                version = version.partition("-py")[0] or _told_version(os.path.join(folder, entry))
            here[_SEPARATORS.sub("-", name).lower()] = version
        found = {**here, **found}
    return found


def _told_version(folder: str) -> str:
    """Return the version of a package in development, whose folder does not have it in its name."""
    told = _VERSION.search(_text(os.path.join(folder, "PKG-INFO"), 4096))
    return told[1].strip() if told else ""


def _processor() -> str:
    # The first lines: telling of all of many processors takes a while.
    found = re.search(r"^model name\s*: (.*)$", _text("/proc/cpuinfo", 2048), re.MULTILINE)
    return found[1].strip() if found else ""


def _memory() -> int:
    """Return the bytes of memory in whole GiB: machines of one kind differ by a few pages."""
    with suppress(ValueError, OSError):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(1, round(pages / _GIB)) * _GIB
    return 0


def _graphics(driver: str) -> dict[str, Any]:
    """Return the GPUs, what drives them, and the CUDA that programs here use."""
    torch = sys.modules.get("torch")
    cuda = getattr(getattr(torch, "version", None), "cuda", None) or os.environ.get("CUDA_VERSION")
    gpus = []
    with suppress(OSError):
        for place in sorted(os.listdir(f"{driver}/gpus")):
            model = _MODEL.search(_text(f"{driver}/gpus/{place}/information"))
            gpus.append(model[1].strip() if model else "NVIDIA")
    version = _DRIVER_VERSION.search(_text(f"{driver}/version"))
    if gpus:
        return {"gpus": gpus, "driver": version[1] if version else "", "cuda": cuda}
    return {**_asked_of_nvidia(), "cuda": cuda}


def _asked_of_nvidia() -> dict[str, Any]:
    """Ask `nvidia-smi`, which takes a while, where there is one and no driver tells of itself."""
    places = (os.path.join(folder, "nvidia-smi") for folder in os.get_exec_path())
    program = next((place for place in places if os.access(place, os.X_OK)), None)
    if program is None:
        return {}
    import subprocess

    query = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [program, *query], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    rows = [line.rpartition(",") for line in done.stdout.splitlines() if "," in line]
    return {
        "gpus": [name.strip() for name, _, _ in rows],
        "driver": rows[0][2].strip() if rows else "",
    }


def _text(path: str, most: int = 65536) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""
