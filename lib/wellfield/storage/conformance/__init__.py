"""Conformance tests for storage backends: any backend can be tested with them. They need pytest and hypothesis.

Describe the backend as a :class:`Subject` and return it from the fixture; pytest runs the tests like any test class:

>>> class TestMyBackend(BackendBehaviours):  # doctest: +SKIP
...     @pytest.fixture
...     def subject(self, tmp_path):
...         return MySubject(tmp_path)

If a backend lacks a capability, its tests are not skipped: the backend is tested to refuse the operations.
"""

from __future__ import annotations

import pytest

# Register the modules before they are imported: pytest then explains their failed asserts.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("checks", "reading", "changing", "faults", "folders", "machine"))
)

from wellfield.storage.conformance.behaviours import BackendBehaviours  # noqa: E402
from wellfield.storage.conformance.machine import TreeMachine, WellMachine, run_machine  # noqa: E402
from wellfield.storage.conformance.subject import Capability, Files, Subject  # noqa: E402

__all__ = ["BackendBehaviours", "Capability", "Files", "Subject", "TreeMachine", "WellMachine", "run_machine"]
