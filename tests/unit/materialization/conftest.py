"""What the tests of writers share."""

from __future__ import annotations

import pytest

from wellfield.storage import FileManager, create_storage_registry


@pytest.fixture
def files() -> FileManager:
    """Return a file manager with backends of its own."""
    return FileManager(create_storage_registry())
