"""The files of the repository, for the tests that hold the house together."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> list[Path]:
    """Every file git knows or would add, relative to the repository, sorted."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    names = (Path(name) for name in told.decode().split("\0") if name)
    return sorted(name for name in names if (ROOT / name).is_file())


def below(folder: str, suffix: str) -> list[Path]:
    """The files below a folder ("" for all) whose name ends so."""
    return [path for path in files() if path.is_relative_to(folder) and path.name.endswith(suffix)]


def module_name(path: Path) -> str:
    """`objrun/storage/__init__.py` is the module `objrun.storage`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of one Python file."""
    return ast.parse((ROOT / path).read_bytes(), filename=str(path))


def modules() -> dict[str, ast.Module]:
    """The syntax tree of each module of the package."""
    return {module_name(path): parsed(path) for path in below("objrun", ".py")}
