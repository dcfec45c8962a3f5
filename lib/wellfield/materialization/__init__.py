"""From results in memory to files that other tools open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wellfield.materialization.output_types import (
    CsvOptions,
    ImagePlace,
    JsonOptions,
    ParquetOptions,
    ROIOptions,
    TextOptions,
    TiffStackOptions,
)
from wellfield.materialization.spec import MaterializationSpec

if TYPE_CHECKING:
    from wellfield.materialization.writers import materialize

__all__ = [
    "CsvOptions",
    "ImagePlace",
    "JsonOptions",
    "MaterializationSpec",
    "ParquetOptions",
    "ROIOptions",
    "TextOptions",
    "TiffStackOptions",
    "materialize",
]


def __getattr__(name: str) -> Any:
    """Import the writer on first use: functions that only declare a spec do not need it."""
    if name == "materialize":
        from wellfield.materialization import writers

        return writers.materialize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
