"""Every conversion does what the rules say."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.libraries import ON_CPU, need

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What happened in a process of its own, by source and target."""
    need(*ON_CPU)
    command = [sys.executable, "-m", "tests.unit.memory.cells", *ON_CPU]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"the process ended with {done.returncode} at {lines[-1:]}\n{done.stderr[-3000:]}"
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if "outcome" in line:
            found.setdefault((line["source"], line["target"]), []).append(line)
    return found


@pytest.mark.parametrize(("source", "target"), list(permutations(ON_CPU, 2)))
def test_every_dtype_and_layout_converts_as_the_rules_say(source: str, target: str, cells: Any) -> None:
    tried = cells[source, target]
    assert len(tried) >= 7
    for cell in tried:
        if cell["refused"]:
            assert (cell["outcome"], cell["fields"]) == ("refused", True), cell
            assert cell["text"].startswith(f"Failed to convert {source} → {target} via "), cell
        else:
            assert (cell["outcome"], cell["found"]) == ("equal", cell["dtype"]), cell
            if cell["size"]:  # without elements there is nothing to share
                assert cell["shared"] == (cell["copies"] == 0), cell
            assert cell["same"], f"the source was changed: {cell}"
