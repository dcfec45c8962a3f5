"""Array libraries to test implementations with, and NumPy in the place of the one that needs a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from wellfield.memory import MemoryType, convert_memory, to_numpy
from wellfield.processing import cupy_functions
from wellfield.processing.function_registry import get_implementation, implementations

STAND_IN = "cupy code with numpy"
LIBRARIES: dict[str, MemoryType] = {
    **{str(memory_type): memory_type for memory_type in MemoryType if memory_type != MemoryType.NUMPY},
    STAND_IN: MemoryType.CUPY,
}


@dataclass(frozen=True)
class Library:
    """Implementations of one array library."""

    memory_type: MemoryType
    array_type: MemoryType
    function: Callable[[str], Callable[..., Any]]

    def own(self, image: np.ndarray) -> Any:
        """Give a copy of the image as an array of the library."""
        return convert_memory(image.copy(), MemoryType.NUMPY, self.array_type)

    def run(self, name: str, image: np.ndarray, **parameters: Any) -> np.ndarray:
        """Give the result as a NumPy array."""
        return to_numpy(self.function(name)(image, **parameters))


def library_of(memory_type: MemoryType) -> Library:
    return Library(memory_type, memory_type, lambda name: get_implementation(name, memory_type))


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Run what is written for CuPy with NumPy and SciPy: names and meaning are the same, but for asnumpy."""
    numpy = SimpleNamespace(**vars(np), asnumpy=np.asarray)
    monkeypatch.setattr(cupy_functions, "_libraries", lambda: (numpy, ndimage))
    return Library(MemoryType.CUPY, MemoryType.NUMPY, lambda name: getattr(cupy_functions, name).__wrapped__)


def for_each_library(cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the cases, which begin with the name of a function, for every library that has the function."""
    return [
        pytest.param(library, *case, marks=[pytest.mark.gpu] if library == MemoryType.CUPY else [])
        for library, memory_type in LIBRARIES.items()
        for case in cases
        if memory_type in implementations(case[0])
    ]
