"""Which modules are imported, and how long that takes (SPEC X5)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from benchmarks.harness import Case, Statistics, Table, compare, measure
from benchmarks.process_tree import environment

# What no job may import that does not use it.
HEAVY = (
    *("torch", "tensorflow", "jax", "cupy", "pyclesperanto", "pandas", "matplotlib", "skimage", "scipy"),
    *("zarr", "tensorstore", "tifffile", "pyarrow", "snakemake", "pydantic"),
)
IMPORTED = {
    "nothing": "pass",
    "numpy": "import numpy",
    "wellfield": "import wellfield",
    "process_well's module": "import wellfield.workflow.process_well",
    "materialize_well's module": "import wellfield.workflow.materialize_well",
    "snakemake": "import snakemake.api",
}


def modules(statement: str) -> list[str]:
    """Return what a statement imports."""
    code = f"import sys; before = {{*sys.modules}}; {statement}; print(*sorted({{*sys.modules}} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    return done.stdout.split()


def run(*, quick: bool = False) -> list[Table]:
    """Measure a fresh Python with each import."""
    imported = {name: modules(statement) for name, statement in IMPORTED.items()}
    heavy = {name: [module for module in found if module in HEAVY] for name, found in imported.items()}
    if heavy["wellfield"]:
        raise RuntimeError(f"import wellfield imports {', '.join(heavy['wellfield'])}")

    def start(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], check=True, env=environment())

    cases = [Case(name, lambda _, s=statement: start(s)) for name, statement in IMPORTED.items()]  # type: ignore[misc]
    found = measure(cases, 3 if quick else 15)

    def units(name: str, _: Statistics) -> Mapping[str, str]:
        return {"modules": str(len(imported[name])), "of those large": ", ".join(heavy[name]) or "none"}

    table = compare("A fresh Python that imports", found, baseline="numpy", at_most={"wellfield": 1}, units=units)
    table.notes.append("Functions import what they use when they are called first.")
    return [table]
