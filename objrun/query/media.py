"""What blobs read back as: references, their bytes, texts and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from objrun.cards.pictures import bundle
from objrun.errors import CorruptObjectError, Problem
from objrun.format.frames import decode_frame
from objrun.format.media import Blob, parse_reference
from objrun.protocol.blobs import MANY, BlobReader, Kept, windows
from objrun.query.reading_order import in_reading_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from objrun.storage import Store
    from objrun.tables.points import Points


@dataclass(frozen=True, repr=False)
class MetricArtifact:
    """An image or document that was logged, with its bytes; attributes are named as in Azure ML.

    `filename` is a name to write it to, `path` that of its member in a pack, `data_location` the
    reference that `Run.open` and `Run.download_file` take, `metric_type` its kind.
    """

    data: bytes
    data_location: str
    filename: str
    metric_type: str
    path: str

    def convert_to_object(self) -> Any:
        """Return the JSON document; ValueError where it is none, such as an image.

        >>> MetricArtifact(b'{"a": 1}', "", "a.json", "residuals", "").convert_to_object()
        {'a': 1}
        """
        import orjson

        return orjson.loads(self.data)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show an image in a notebook."""
        return bundle(f".{self.filename.rpartition('.')[2]}", self.data, repr(self))

    def __repr__(self) -> str:
        """Tell the kind and size instead of the bytes."""
        return f"MetricArtifact({self.metric_type}, {self.path}, {len(self.data)} bytes)"


@dataclass(frozen=True, repr=False)
class LoggedImage:
    """An image of a run: what is known of it at once, and its bytes when they are asked for.

    `name` is the metric, `time` when it was logged, `size` in bytes, `shape` width and height in
    pixels where they are known, `ending` such as `.png`. `reference` is what `Run.open` takes.
    """

    name: str
    step: int | None
    time: datetime
    reference: str
    size: int
    shape: tuple[int, int] | None
    ending: str
    _place: int
    _reader: _Reader

    @property
    def data(self) -> bytes:
        """The bytes; those of the images behind it are fetched along, by few requests."""
        return self._reader.read(self._place)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show it in a notebook."""
        return bundle(self.ending, self.data, repr(self))

    def __repr__(self) -> str:
        """Tell what it is."""
        at = "" if self.step is None else f", step {self.step}"
        return f"LoggedImage({self.name}{at}, {self.ending}, {self.size} bytes)"


class _Reader:
    """Blobs in order; whoever asks for one gets a window of those behind it into memory."""

    def __init__(self, store: Store, every: Sequence[Kept]) -> None:
        self._blobs, self._every = BlobReader(store), every
        self._read: dict[int, bytes] = {}

    def read(self, place: int) -> bytes:
        if place not in self._read:
            window = next(windows(self._every[place : place + MANY]))
            self._read = dict(enumerate(self._blobs.read(window), place))
        return self._read[place]


def images_of(points: Points, store: Store) -> list[LoggedImage]:
    """Return the images among points, metric by metric in reading order; no bytes of them yet."""
    frame = in_reading_order(points.chunk).frame.filter(kind="image")
    rows = frame.select("run_id", "name", "step", "time", "data").rows()
    every: list[Kept] = []
    reader = _Reader(store, every)
    found: list[LoggedImage] = []
    for place, (run, name, step, time, reference) in enumerate(rows):
        try:
            blob = parse_reference(reference or "")
        except ValueError as error:
            writer, offset = frame.select("writer", "offset").row(place)
            problem = Problem(f"$.{name}", "bad_value", str(error))
            raise CorruptObjectError(points.key_of(run, writer, offset), [problem]) from None
        every.append(Kept(run, blob))
        ending = f".{blob.filename.rpartition('.')[2]}"
        about = (name, step, time, reference, blob.size, blob.shape, ending)
        found.append(LoggedImage(*about, place, reader))
    return found


def resolved(
    blobs: BlobReader, run: str, kind: str, values: Sequence[Any], *, populate: bool
) -> list[Any]:
    """Return the values of points of one kind, what is in blobs put in the place of these.

    That is a reference, or with `populate` a MetricArtifact; of texts the text.
    """
    wanted = [Kept(run, value) for value in values if isinstance(value, Blob)]
    if kind in ("text", "table") or populate:
        fetched = zip(wanted, blobs.read(wanted), strict=True)
        return [_made(kind, *next(fetched)) if isinstance(v, Blob) else v for v in values]
    return [value.reference() if isinstance(value, Blob) else value for value in values]


def frames_of(store: Store, run: str, values: Sequence[Any]) -> list[pl.DataFrame]:
    """Return tables as frames, of blobs and of dicts."""
    wanted = [Kept(run, value) for value in values if isinstance(value, Blob)]
    fetched = zip(wanted, BlobReader(store).read(wanted), strict=True)
    return [
        _frame(*next(fetched)) if isinstance(v, Blob) else pl.DataFrame(v, strict=False)
        for v in values
    ]


def _frame(kept: Kept, data: bytes) -> pl.DataFrame:
    return pl.DataFrame(decode_frame(kept.key, data))


def _made(kind: str, kept: Kept, data: bytes) -> Any:
    blob = kept.blob
    if kind == "table":
        return decode_frame(kept.key, data).to_pydict()
    if kind == "text":
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            problem = Problem("$", "bad_value", f"{blob.member} is no text: {error}")
            raise CorruptObjectError(kept.key, [problem]) from None
    return MetricArtifact(data, blob.reference(), blob.filename, kind, blob.member)
