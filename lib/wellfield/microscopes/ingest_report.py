"""Reading ``ingest_report.json``."""

from __future__ import annotations

import os
from typing import Any

from wellfield.formats.checked_json import OwnJson
from wellfield.plate.index import AGAIN, SCHEMA_VERSION

_NUMBER = (float, None)
REPORT = OwnJson(
    "ingest report",
    SCHEMA_VERSION,
    {
        "plate": str,
        "microscope": {"name": str, "why": str},
        "found": {
            "planes": int,
            "bytes": int,
            "wells": [str],
            "fields": [int],
            "timepoints": [int],
            "channels": {str: {"name": str, "z_and_projections": [str]}},
            "planes_per_well": {str: int},
        },
        "image": {
            "shape": ([int], None),
            "dtype": (str, None),
            "pixel_size_um": _NUMBER,
            "z_spacing_um": _NUMBER,
            "field_grid_rows_columns": ([int], None),
            "time_interval_s": _NUMBER,
        },
        "missing_planes": [str],
        "promised_but_absent": {str: [object]},
        "ignored": {str: {"count": int, "files": [str]}},
        "notes": [str],
        "acquisition?": {"minutes": float, "files": int},
        "mapped_again?": int,
        "vanished?": [str],
    },
    AGAIN,
)


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return an ingest report.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MetadataError
        It is no ingest report.
    SchemaVersionError
        Another version of Wellfield wrote it.
    """
    return REPORT.read(path)
