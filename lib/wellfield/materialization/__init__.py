"""From results in memory to files that other tools open."""

from wellfield.materialization.spec import CsvOptions, JsonOptions, MaterializationSpec, ParquetOptions

__all__ = ["CsvOptions", "JsonOptions", "MaterializationSpec", "ParquetOptions"]
