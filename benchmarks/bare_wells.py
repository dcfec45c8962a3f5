"""Do the work of well jobs in one process: ``python -m benchmarks.bare_wells STAGE PROJECT FOLDER WELLS``.

*STAGE* is ``process`` or ``materialize``; ``materialize`` reads what ``process`` left in *FOLDER*. Prints JSON with the
seconds of ``import``, of each of the ``wells``, and of staging and manifest in all wells together (``parts``). The
first well also imports what the pipeline uses.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_spent: defaultdict[str, float] = defaultdict(float)


def _count(owner: Any, name: str, part: str) -> None:
    """Add the time of every call of *owner.name* to a part."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            _spent[part] += time.perf_counter() - start

    setattr(owner, name, counted)


def process(project: Path, folder: Path) -> Callable[[str], Any]:
    """Return what processes a well."""
    from wellfield.results.stage_writer import StageWriter
    from wellfield.workflow.process_well import process_well

    for name in ("image", "finish"):
        _count(StageWriter, name, "staging")
    results = project / "results" / "P1"
    return lambda well: process_well(results / "index.parquet", results / "plan.json", well, folder / "staging" / well)


def materialize(project: Path, folder: Path) -> Callable[[str], Any]:
    """Return what materializes a well."""
    import wellfield.results.well_writer as materialization
    from wellfield.workflow.materialize_well import materialize_well

    _count(materialization._ResultsWriter, "_load", "staging")
    _count(materialization, "write_manifest", "manifest")
    results, out = project / "results" / "P1", folder / "results"
    return lambda well: materialize_well(
        folder / "staging" / well,
        results / "plan.json",
        results / "index.parquet",
        out,
        well=well,
    )


def main(stage: str, project: str, folder: str, *wells: str) -> dict[str, Any]:
    """Carry out one stage of the wells, one after the other."""
    start = time.perf_counter()
    run = {"process": process, "materialize": materialize}[stage](Path(project), Path(folder))
    imported = time.perf_counter() - start
    seconds = []
    for number, well in enumerate(wells):
        if number == 1:
            _spent.clear()
        start = time.perf_counter()
        run(well)
        seconds.append(time.perf_counter() - start)
    return {"import": imported, "wells": seconds, "parts": dict(_spent)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
