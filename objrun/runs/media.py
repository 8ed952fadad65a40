"""Images and other things to look at, logged as metrics; logging never waits for the store."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from objrun.errors import UserErrorException
from objrun.format.names import check_key, check_text, choices
from objrun.format.values import dumps
from objrun.protocol.columns import Cell
from objrun.protocol.packs import Content
from objrun.runs.metrics import RunMetrics
from objrun.values.conversion import to_step, to_table
from objrun.values.sizes import SHORT, SMALL, checked_size

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import polars as pl

    from objrun.query.media import LoggedImage


class RunMedia(RunMetrics):
    """The part of `Run` that logs and reads what is more than numbers and words."""

    def log_image(
        self,
        name: str,
        path: str | os.PathLike[str] | IO[bytes] | bytes | None = None,
        plot: Any = None,
        description: str = "",  # noqa: ARG002 - of the reference
        step: int | None = None,
    ) -> None:
        """Log an image and return at once; a background thread stores it.

        Only while 256 MB wait to be sent this waits, too, for a minute at most.

        Either `path`: a file, a binary stream or bytes of a format that is known by its content
        (PNG, JPEG, GIF, BMP, TIFF, WebP, SVG, PBM, PGM, PPM, EXR), kept as they are. Or `plot`,
        which becomes a PNG: a matplotlib figure or pyplot, a PIL image, or a numpy array or tensor
        of height x width, or x 1, 3 or 4 channels, of uint8, bool, or floats from 0 to 1.

        Raises UserErrorException for both or neither, and for anything else.

        >>> import numpy as np
        >>> run.log_image("square", plot=np.zeros((8, 8)), step=1)
        >>> run.get_metrics("square", populate=True)["square"].filename
        '000000.png'
        """
        from objrun.values.pictures import picture

        place = check_key(name, "metric")
        number = to_step(step)
        self._append(place, "image", picture(place, path, plot), number)

    def images(self, name: str | None = None) -> list[LoggedImage]:
        """Return the images of the run, or of one metric, in reading order.

        Each knows its step, size and format; `data` are its bytes, fetched when asked for and with
        those behind it, so that a loop over all takes few requests.

        >>> run.log_image("dot", path=b"P1 1 1 0", step=1)
        >>> [(image.step, image.shape, image.data) for image in run.images("dot")]
        [(1, (1, 1), b'P1 1 1 0')]
        """
        from objrun.query.media import images_of

        return images_of(self._own_points(name), self._querying())

    def log_table(self, name: str, value: Any, description: str = "") -> None:  # noqa: ARG002
        """Log a table of any size: a dict of column name to list, or a frame.

        Frames of Arrow, polars and pandas (without its index). Columns are equally long and hold
        None, bool, integers, floats or texts; dates, times, durations and decimals of a frame
        become their text. Reads back as a dict of lists, and by `get_table` as a frame. Raises
        UserErrorException for anything else.

        >>> run.log_table("sine", {"x": [0, 1], "y": [0.0, 0.84]})
        """
        place = check_key(name, "metric")
        where = f"metric {place!r}"
        if isinstance(value, dict) and sum(map(_length, value.values())) <= SMALL:
            columns = to_table(value, where)
            parts: Any = [Cell("table", "json", None, dumps(columns))] * any(columns.values())
        else:
            from objrun.values.frames import pieces

            parts = pieces(where, value)
        logged = False
        for part in parts:
            self._append(place, "table", part, None)
            logged = True
        if not logged:
            self._drop(name, "an empty table")

    def get_table(self, name: str) -> pl.DataFrame:
        """Return all of a metric that is a table, or rows, as a polars frame.

        Large ones are no Python objects on the way. Raises UserErrorException where the run has no
        table of this name; it names those that it has.

        >>> run.log_table("sine", {"x": [0, 1], "y": [0.0, 0.84]})
        >>> run.get_table("sine").shape
        (2, 2)
        """
        from objrun.query.values import TABLES, table_frame

        points = self._own_points(name)
        if not len(points.chunk):
            kinds = dict(self.metrics().select("name", "kind").collect().rows())
            tables = [each for each, kind in kinds.items() if kind in TABLES]
            message = f"run {self._address.run} has no table {name!r}: {choices(name, tables)}"
            raise UserErrorException(message)
        return table_frame(points, self._querying(), name)

    def log_text(self, name: str, text: Any, step: int | None = None) -> None:
        """Log a text of any length, such as an answer of a model, and return at once.

        It reads back as str. Raises UserErrorException for what is no text.

        >>> run.log_text("answer", "42", step=1)
        >>> run.get_metrics("answer")
        {'answer': '42'}
        """
        where = f"metric {check_key(name, 'metric')!r}"
        if not isinstance(text, str):
            message = f"{where}: a text is wanted, not {type(text).__name__}"
            raise UserErrorException(message)
        data = check_text(text, where).encode()
        short = Cell("text", "str", None, text)
        value = short if len(data) <= SHORT else Content(".txt", checked_size(where, data))
        self._append(name, "text", value, to_step(step))

    def log_histogram(
        self,
        name: str,
        values: Any = None,
        *,
        counts: Sequence[float] | None = None,
        edges: Sequence[float] | None = None,
        bins: Any = 30,
        step: int | None = None,
    ) -> None:
        """Log how values are distributed: counted here, or `counts` in bins between `edges`.

        `values`: an array, tensor or sequence of numbers; `bins`: how many, or their edges, as for
        `numpy.histogram`. Values that are not finite are left out. Reads back as a dict of
        `counts`, n of them, and `edges`, n + 1. Raises UserErrorException where both or neither
        are given, or they do not fit each other.

        >>> run.log_histogram("weights", [0.0, 0.5, 1.0], bins=2, step=1)
        >>> run.get_metrics("weights")
        {'weights': {'counts': [1, 2], 'edges': [0.0, 0.5, 1.0]}}
        """
        from objrun.values.histograms import histogram

        where = f"metric {check_key(name, 'metric')!r}"
        made = histogram(where, values, counts, edges, bins)
        self._append(name, "histogram", Cell("histogram", "json", None, dumps(made)), to_step(step))

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:  # noqa: ARG002
        """Log a confusion matrix: a document of Azure ML's schema, as a dict or JSON text.

        `objrun.schemas.confusion_matrix(y_true, y_pred)` makes one. Raises UserErrorException that
        names all that is wrong with it; then nothing is logged.

        >>> from objrun import schemas
        >>> run.log_confusion_matrix("confusion", schemas.confusion_matrix([0, 1, 1], [0, 1, 0]))
        >>> artifact = run.get_metrics("confusion", populate=True)["confusion"]
        >>> artifact.convert_to_object()["data"]["matrix"]
        [[1, 0], [1, 1]]
        """
        self._log_document(name, "confusion_matrix", value)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:  # noqa: ARG002
        """Log an accuracy table, of which ROC and precision-recall curves are drawn.

        `objrun.schemas.accuracy_table(y_true, y_prob)` makes one; see `log_confusion_matrix`.
        """
        self._log_document(name, "accuracy_table", value)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:  # noqa: ARG002
        """Log a histogram of residuals.

        `objrun.schemas.residuals(y_true, y_pred)` makes one; see `log_confusion_matrix`.
        """
        self._log_document(name, "residuals", value)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:  # noqa: ARG002
        """Log averages of predictions against true values.

        `objrun.schemas.predictions(y_true, y_pred)` makes one; see `log_confusion_matrix`.
        """
        self._log_document(name, "predictions", value)

    def _log_document(self, name: str, kind: str, value: Any) -> None:
        import orjson

        from objrun.schemas import check

        where = f"metric {check_key(name, 'metric')!r}"
        try:
            document = check(value, kind)
        except UserErrorException as error:
            message = f"{where}: {error.message}\nobjrun.schemas.{kind}() makes a document"
            raise UserErrorException(message) from None
        try:
            data = orjson.dumps(document)
        except (TypeError, ValueError) as error:
            message = f"{where}: what the document holds is no JSON: {error}"
            raise UserErrorException(message) from None
        self._append(name, kind, Content(".json", checked_size(where, data)), None)


def _length(column: Any) -> int:
    return len(column) if hasattr(column, "__len__") else 1
