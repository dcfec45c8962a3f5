"""What the tests of implementations share."""

from __future__ import annotations

import pytest

from tests.libraries import need
from tests.unit.processing.libraries import LIBRARIES, STAND_IN, Library, library_of, stand_in


@pytest.fixture
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Give the library named by the parameter; skip where it cannot work."""
    if request.param == STAND_IN:
        return stand_in(monkeypatch)
    memory_type = LIBRARIES[request.param]
    need(memory_type)
    return library_of(memory_type)
