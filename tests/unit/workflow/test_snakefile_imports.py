"""What every dry-run and every job on a cluster imports before it does anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Top-level imports of our package; those of hooks are indented, but for what is registered when a run starts.
_IMPORTS = re.compile(r"^(?:    )?(from wellfield\.[\w.]+ import [\w, ]+)$", re.MULTILINE)

NEEDED_LATER = (
    *("pandas", "scipy", "skimage", "jsonschema", "matplotlib", "zarr", "tifffile"),
    *("wellfield.results.stage_writer", "wellfield.pipeline.compile", "wellfield.workflow.run_summary"),
)


def test_the_snakefile_imports_nothing_that_only_its_jobs_or_the_end_of_a_run_need() -> None:
    common = (ROOT / "rules" / "common.smk").read_text(encoding="utf-8")
    hooks = (ROOT / "rules" / "hooks.smk").read_text(encoding="utf-8").partition("if IS_MAIN:")[2]
    statements = _IMPORTS.findall(common) + _IMPORTS.findall(hooks)
    assert "from wellfield.config.load import load_config, taken_for_configuration" in statements
    assert "from wellfield.workflow.run_jobs import remove_stale_pages" in statements
    code = "\n".join([*statements, "import sys", f"print(*sorted(set({NEEDED_LATER}) & set(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
