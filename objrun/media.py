"""Images and other things to look at, logged as metrics; logging never waits for the store."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from objrun.conversion import to_step
from objrun.format.names import check_key
from objrun.metrics import RunMetrics

if TYPE_CHECKING:
    import os


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
        from objrun.pictures import picture

        place = check_key(name, "metric")
        number = to_step(step)
        self._append(place, "image", picture(place, path, plot), number)
