"""Find the memory type of an array without importing a library."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.types import MemoryType

# Cache: the memory type of a Python type never changes.
_types: dict[type, MemoryType] = {}


def known_type(data: Any) -> MemoryType | None:
    """Return the memory type of an array; ``None`` if *data* is not an array of a known library."""
    kind = type(data)
    found = _types.get(kind)
    if found is None:
        found = next((name for name, adapter in ADAPTERS.items() if adapter.owns(data)), None)
        if found is not None:
            _types[kind] = found
    return found


def detect_memory_type(data: Any) -> MemoryType:
    """Return the memory type of an array. Imports no library.

    Raises
    ------
    MemoryTypeError
        *data* is not an array of a supported library.

    Examples
    --------
    >>> import numpy as np
    >>> print(detect_memory_type(np.zeros(3)))
    numpy
    """
    found = known_type(data)
    if found is None:
        kind = type(data)
        raise MemoryTypeError(
            f"{kind.__module__}.{kind.__qualname__} is not an array of a supported memory type "
            f"({', '.join(MemoryType)})"
        )
    return found


def is_array_argument(value: Any) -> bool:
    """Tell whether an argument is an array of a known library with at least one axis (not a number or an option)."""
    return bool(getattr(value, "shape", None)) and not isinstance(value, np.generic) and known_type(value) is not None
