"""NumPy: the memory type that every other one can reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.memory.types import MemoryType

memory_type = MemoryType.NUMPY


def owns(data: Any) -> bool:
    """Tell whether *data* is an array of this library."""
    return isinstance(data, np.ndarray)
