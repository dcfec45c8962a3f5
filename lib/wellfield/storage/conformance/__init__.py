"""What a storage backend must do, as tests that any backend can be put through. Needs pytest and hypothesis.

Describe the backend as a :class:`Subject` and give it to the behaviours; pytest runs them like any test class:

>>> class TestMyBackend(BackendBehaviours):  # doctest: +SKIP
...     @pytest.fixture
...     def subject(self, tmp_path):
...         return MySubject(tmp_path)

What a backend says it cannot do is not skipped: it is tested to refuse.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that their asserts explain themselves.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("checks", "reading", "changing", "faults", "folders", "machine"))
)

from wellfield.storage.conformance.behaviours import BackendBehaviours  # noqa: E402
from wellfield.storage.conformance.machine import TreeMachine, WellMachine, run_machine  # noqa: E402
from wellfield.storage.conformance.subject import Capability, Files, Subject  # noqa: E402

__all__ = ["BackendBehaviours", "Capability", "Files", "Subject", "TreeMachine", "WellMachine", "run_machine"]
