"""`.objrun/config.json`: where a project's store is, found by looking upwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from objrun.errors import UserErrorException

PLACES: Final = (
    ".objrun/config.json",
    ".azureml/config.json",
    "aml_config/config.json",
    "config.json",
)
"""Where a configuration is looked for, first to last; each place in all parents first."""


def find_config(path: str | Path | None = None) -> Path:
    """Return the configuration at `path`, a file, or above it, a folder (default: this one).

    Raises UserErrorException where there is none.
    """
    start = Path(path or ".").resolve()
    if start.is_file():
        return start
    for place in PLACES:
        for folder in (start, *start.parents):
            if (folder / place).is_file():
                return folder / place
    message = f"no {PLACES[0]} in {start} or above; write one with Workspace.write_config()"
    raise UserErrorException(message)


def read_config(path: Path) -> dict[str, Any]:
    """Return {"url": ..., "storage_options": ...} of a configuration; UserErrorException if bad."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path} is not JSON: {error}"
        raise UserErrorException(message) from None
    if not isinstance(config, dict) or not isinstance(config.get("url"), str):
        message = f'{path} has no "url": it is not a configuration of objrun'
        if isinstance(config, dict) and "subscription_id" in config:
            message += ", but of Azure ML: write one with Workspace(url).write_config()"
        raise UserErrorException(message)
    options = config.get("storage_options")
    if options is not None and not isinstance(options, dict):
        message = f'{path}: "storage_options" is an object, not {type(options).__name__}'
        raise UserErrorException(message)
    return config


def write_config(folder: str | Path, file_name: str, config: dict[str, Any]) -> Path:
    """Write `<folder>/.objrun/<file_name>` and return its path; the folder must exist."""
    place = Path(folder)
    if not place.is_dir():
        message = f"{place} is not a folder"
        raise UserErrorException(message)
    file = place / ".objrun" / file_name
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return file
