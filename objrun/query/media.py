"""What blobs read back as: references, their bytes, texts and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from objrun.errors import CorruptObjectError, Problem
from objrun.format.frames import decode_frame
from objrun.format.media import Blob
from objrun.protocol.blobs import Kept, read_blobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.storage import Store


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

    def __repr__(self) -> str:
        """Tell the kind and size instead of the bytes."""
        return f"MetricArtifact({self.metric_type}, {self.path}, {len(self.data)} bytes)"


def resolved(
    store: Store, run: str, kind: str, values: Sequence[Any], *, populate: bool
) -> list[Any]:
    """Return the values of points of one kind, what is in blobs put in the place of these.

    That is a reference, or with `populate` a MetricArtifact; of texts the text.
    """
    wanted = [Kept(run, value) for value in values if isinstance(value, Blob)]
    if kind in ("text", "table") or populate:
        fetched = zip(wanted, read_blobs(store, wanted), strict=True)
        return [_made(kind, *next(fetched)) if isinstance(v, Blob) else v for v in values]
    return [value.reference() if isinstance(value, Blob) else value for value in values]


def frames_of(store: Store, run: str, values: Sequence[Any]) -> list[pl.DataFrame]:
    """Return tables as frames, of blobs and of dicts."""
    wanted = [Kept(run, value) for value in values if isinstance(value, Blob)]
    fetched = zip(wanted, read_blobs(store, wanted), strict=True)
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
