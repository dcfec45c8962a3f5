"""The functions of ``benchmarks/peers/counting.py`` as steps of a pipeline, declared as a user would declare them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.pipeline import special_outputs

sys.path.insert(0, str(Path(__file__).parent / "peers"))

import counting


def project(image: Any) -> Any:
    """Return the maximum projection."""
    return counting.project(image)


def segment(image: Any) -> Any:
    """Return the labels of nuclei."""
    return counting.segment(image)


@special_outputs(("objects", MaterializationSpec(CsvOptions(), ParquetOptions())))
def measure(image: Any, *, labels: Any) -> tuple[Any, dict[str, Any]]:
    """Measure nuclei in all channels."""
    return image, counting.measure(labels, image)
