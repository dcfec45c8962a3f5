"""One piece of data for every format, another that it cannot hold, and how to compare what comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
from roifile import ImagejRoi

NOISE = np.random.default_rng(0).integers(0, 60_000, (32, 48), "u2")
TABLE = {"well": ["A01", "ü\n,"], "count": [3, 4]}


def roi(name: str, start: int = 0) -> ImagejRoi:
    return ImagejRoi.frompoints([[start, 2], [start + 7, 2], [start + 7, 9]], name=name)


SAMPLES: dict[str, Any] = {
    ".tif": NOISE,
    ".tiff": NOISE,
    ".ome.tif": NOISE,
    ".ome.tiff": NOISE,
    ".png": NOISE,
    ".npy": NOISE,
    ".csv": TABLE,
    ".parquet": TABLE,
    ".json": {"a": [1, 2.5, "µ", None]},
    ".txt": "text µ\r\n",
    ".roi.zip": [roi("cell 1"), roi("ü", 20)],
}

UNFIT: dict[str, Any] = dict.fromkeys(SAMPLES, object()) | dict.fromkeys(
    (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".png", ".npy"), np.array([["text"]], object)
)


def same(found: Any, expected: Any) -> bool:
    """Tell whether what was read is what was written: values, types, names and their order."""
    if hasattr(found, "to_pydict"):
        found = found.to_pydict()
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and found.shape == expected.shape and bool(np.array_equal(found, expected))
    if isinstance(expected, dict) and isinstance(found, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    return type(found) is type(expected) and bool(found == expected)
