"""`objrun images`: the images that a run has logged, listed and written into a folder."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import Csv, Json, RunName, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_rows
from objrun.cli.style import one_line
from objrun.errors import ServiceException
from objrun.format.keys import MAX_PIECE, encode_name
from objrun.format.names import choices

if TYPE_CHECKING:
    from objrun.query.media import LoggedImage

_AMBIGUOUS: Final = re.compile(r"^\.{1,2}$|%(?=[0-9A-Fa-f]{2})")
"""What is a folder of every folder, and what looks as if it were encoded."""

FIELDS = ("name", "step", "time", "size", "kind", "width", "height", "reference")


def images(
    run: RunName,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One metric; else all.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Write them there, a folder for each metric."
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List the images of a run, or write them into a folder."""
    one_format(as_json=as_json, as_csv=as_csv)
    there = find_run(open_workspace(url, option), run)
    found = there.images(name)
    if name is not None and not found:
        names = choices(name, (image.name for image in there.images()))
        message = f"run {there.id} has no images {name!r}: {names}"
        raise ServiceException(message)
    rows = [_row(image) for image in found]
    if out is not None:
        for image, path in zip(found, _paths(found, out), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.data)
    if print_rows(FIELDS, rows, as_json=as_json, as_csv=as_csv):
        return
    if out is not None:
        new_console().print(f"{len(found)} images: in {out}", soft_wrap=True)
    else:
        columns = [
            Column("name", [one_line(row["name"]) for row in rows], least=12),
            Column("step", ["" if row["step"] is None else f"{row['step']}" for row in rows],
                   right=True),
            Column("kind", [row["kind"] for row in rows]),
            Column("pixels", [f"{r['width']} x {r['height']}" if r["width"] else "" for r in rows],
                   right=True),
            Column("size", [decimal(row["size"]) for row in rows], right=True),
            Column("logged (UTC)", [f"{row['time']:%Y-%m-%d %H:%M:%S}" for row in rows]),
        ]  # fmt: skip
        print_table(new_console(), columns)


def _row(image: LoggedImage) -> dict[str, Any]:
    width, height = image.shape or (None, None)
    about = (image.name, image.step, image.time, image.size, image.ending[1:], width, height)
    return dict(zip(FIELDS, (*about, image.reference), strict=True))


def _paths(found: list[LoggedImage], folder: Path) -> list[Path]:
    """Return a path for each image: a folder for its metric, and its place or step in it."""
    counts: Counter[str] = Counter()
    steps = Counter((image.name, image.step) for image in found)
    paths = []
    for image in found:
        named = image.step is not None and steps[image.name, image.step] == 1
        last = f"step-{image.step}" if named else f"{counts[image.name]:06d}"
        counts[image.name] += 1
        paths.append(folder / folder_name(image.name) / f"{last}{image.ending}")
    return paths


def folder_name(metric: str) -> str:
    r"""Return a name as one piece of a path, unlike that of any other; what cannot stay is encoded.

    >>> folder_name("val loss, ü"), folder_name("val/loss"), folder_name(".."), folder_name("a%2F")
    ('val loss, ü', 'val%2Floss', '%2E%2E', 'a%252F')
    """
    found = _AMBIGUOUS.sub(lambda part: "".join(f"%{ord(c):02X}" for c in part[0]), metric)
    found = "".join(c if c.isprintable() and c not in "/\\" else quote(c, "") for c in found)
    return found if len(found.encode()) <= MAX_PIECE else encode_name(metric)
