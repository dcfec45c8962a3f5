"""From results in memory to files that other tools open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wellfield.materialization.spec import CsvOptions, JsonOptions, MaterializationSpec, ParquetOptions

if TYPE_CHECKING:
    from wellfield.materialization.writers import materialize

__all__ = ["CsvOptions", "JsonOptions", "MaterializationSpec", "ParquetOptions", "materialize"]


def __getattr__(name: str) -> Any:
    """Import the writers when they are first asked for: functions that only declare a spec do not need them."""
    if name == "materialize":
        from wellfield.materialization.writers import materialize

        return materialize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
