"""Footers of tables: what is read of them, and what is left of that."""

from __future__ import annotations

import gc
import io
import weakref

import pyarrow.parquet as pq

from objrun.format.tables import SCHEMAS
from objrun.tables.footers import open_footer


class Large:
    """Stands for what the caller of a reader holds."""


def test_nothing_of_the_caller_is_kept() -> None:
    """Arrow keeps the exception that ends the look at the columns, and it must not keep more."""
    out = io.BytesIO()
    pq.write_table(SCHEMAS["cuts"].empty_table(), out)
    data = out.getvalue()

    def read() -> weakref.ref[Large]:
        held = Large()
        open_footer("cuts", data, len(data))
        return weakref.ref(held)

    left = read()
    gc.collect()
    assert left() is None
