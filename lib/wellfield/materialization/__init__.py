"""From results in memory to files that other tools open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wellfield.materialization.spec import (
    CsvOptions,
    JsonOptions,
    MaterializationSpec,
    ParquetOptions,
    ROIOptions,
    TextOptions,
    TiffStackOptions,
)

if TYPE_CHECKING:
    from wellfield.materialization.writers import ImagePlace, materialize

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
    """Import the writers when they are first asked for: functions that only declare a spec do not need them."""
    if name in ("ImagePlace", "materialize"):
        from wellfield.materialization import writers

        return getattr(writers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
