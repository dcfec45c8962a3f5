"""All behaviours of a storage backend as one test class."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellfield.storage.conformance.changing import ChangingBehaviours
from wellfield.storage.conformance.checks import needs
from wellfield.storage.conformance.faults import FaultBehaviours
from wellfield.storage.conformance.folders import FolderBehaviours
from wellfield.storage.conformance.machine import TreeMachine, run_machine
from wellfield.storage.conformance.reading import ReadingBehaviours
from wellfield.storage.conformance.subject import Capability, Subject


class BackendBehaviours(ReadingBehaviours, ChangingBehaviours, FolderBehaviours, FaultBehaviours):
    """The behaviours of every storage backend. A subclass overrides the fixture :meth:`subject`."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        """Return the backend under test, new and empty."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture 'subject' that returns a Subject")

    @needs(Capability.OBJECTS, Capability.FOLDERS, Capability.TREES)
    def test_any_sequence_of_operations_ends_as_in_a_dictionary(self, subject: Subject) -> None:
        """Hypothesis tries many sequences: values, folders and errors must be the same as in a dictionary."""
        run_machine(TreeMachine, subject)
