"""What the tests of implementations share."""

from __future__ import annotations

import contextlib

import pytest

from tests.unit.processing.libraries import LIBRARIES, STAND_IN, Library, library_of, stand_in
from wellfield.memory import MemoryConversionError, MemoryType, prepare


@pytest.fixture(scope="session")
def opencl_first() -> None:
    """Open OpenCL, if it is there, before TensorFlow is imported."""
    with contextlib.suppress(MemoryConversionError):
        prepare([MemoryType.PYCLESPERANTO])


@pytest.fixture
def library(request: pytest.FixtureRequest, opencl_first: None, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Give the library named by the parameter; skip where it cannot work."""
    if request.param == STAND_IN:
        return stand_in(monkeypatch)
    memory_type = LIBRARIES[request.param]
    try:
        prepare([memory_type])
    except MemoryConversionError as error:
        pytest.skip("no CUDA device" if memory_type == MemoryType.CUPY else str(error))
    return library_of(memory_type)
