"""Fakes in the place of adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.memory.fakes import FakeAdapter
from wellfield.memory import MemoryType, detect, devices
from wellfield.memory.adapters import ADAPTERS


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeAdapter]]:
    """Put a fake in the place of a library's adapter: ``fake(MemoryType.CUPY)``."""
    monkeypatch.setattr(detect, "_types", {})
    monkeypatch.setattr(devices, "_thread", devices._Thread())

    def install(memory_type: MemoryType, **options: Any) -> FakeAdapter:
        adapter = FakeAdapter(memory_type, **options)
        monkeypatch.setitem(ADAPTERS, memory_type, adapter)
        return adapter

    yield install
