"""Every storage backend does what a storage backend must do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wellfield.storage.conformance import BackendBehaviours, Subject, WellMachine, run_machine
from wellfield.storage.conformance.subjects import PLATES, SUBJECTS


class TestBackends(BackendBehaviours):
    @pytest.fixture(params=list(SUBJECTS))
    def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
        return SUBJECTS[request.param](tmp_path)


@pytest.mark.parametrize("kind", list(PLATES))
def test_any_sequence_of_wells_ends_as_in_a_dictionary(kind: str, tmp_path: Path) -> None:
    run_machine(WellMachine, PLATES[kind](tmp_path), examples=10, steps=12)


def test_every_registered_backend_is_put_through_the_suite(tmp_path: Path) -> None:
    code = (
        "from wellfield.storage import STORAGE_BACKENDS, discover_all_backends; "
        "discover_all_backends(); print(*STORAGE_BACKENDS)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(found) == sorted({make(tmp_path).backend_name for make in SUBJECTS.values()})


def test_storage_does_not_import_the_suite() -> None:
    code = (
        "import sys, wellfield.storage as s; s.create_storage_registry(); "
        "print(*sys.modules.keys() & {'pytest', 'hypothesis', 'wellfield.storage.conformance'})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == []
