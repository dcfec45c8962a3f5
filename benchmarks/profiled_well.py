"""Show where the time of one well job goes: ``python -m benchmarks.profiled_well STAGE PROJECT FOLDER WELL``.

*STAGE* is ``process`` or ``materialize``; ``materialize`` reads what ``process`` left in *FOLDER*. Prints JSON: the
seconds of each part, which add up to the whole script after Python's start, and the peak of the resident memory. If one
part runs inside another, its time counts only for itself: for example, an image that is read during a function counts
as reading. Only the main thread is measured; the time that it waits counts for the part that it waits for.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_IMPORTS = "imports"
REST = "everything else"


class Profile:
    """Time by part; parts inside of parts are taken out of the outer one."""

    def __init__(self, rest: str) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open = [rest]
        self._since = time.perf_counter()
        self._main = threading.get_ident()

    def _turn(self, change: Callable[[], Any]) -> None:
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now
        change()

    def close(self) -> dict[str, float]:
        """Return the seconds of each part."""
        self._turn(lambda: None)
        return dict(self.seconds)

    def wrapped(self, function: Callable[..., Any], part: str | Callable[..., str]) -> Callable[..., Any]:
        """Return the function, counting its calls as a part, whose name may follow from the arguments."""

        @functools.wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() != self._main:
                return function(*arguments, **named)
            name = part if isinstance(part, str) else part(*arguments)
            self._turn(lambda: self._open.append(name))
            try:
                return function(*arguments, **named)
            finally:
                self._turn(self._open.pop)

        return counted

    def count(self, place: str, part: str | Callable[..., str]) -> None:
        """Count ``module:function`` or ``module:class.method``."""
        module, _, path = place.partition(":")
        owner = importlib.import_module(module)
        *outer, name = path.split(".")
        for step in outer:
            owner = getattr(owner, step)
        setattr(owner, name, self.wrapped(getattr(owner, name), part))

    def count_imports(self) -> None:
        """Count every import, whenever it happens."""
        bootstrap = sys.modules["importlib._bootstrap"]
        bootstrap._find_and_load = self.wrapped(bootstrap._find_and_load, _IMPORTS)  # type: ignore[attr-defined]


PARTS: dict[str, dict[str, str | Callable[..., str]]] = {
    "process": {
        "wellfield.workflow.process_well:read_index": "index and plan",
        "wellfield.workflow.process_well:Plan.read": "index and plan",
        "wellfield.workflow.process_well:PlaneWatch": "ask for sizes and times",
        "wellfield.workflow.process_well:planes_read": "ask for sizes and times",
        "wellfield.workflow.modification_guard:PlaneWatch.changed": "ask for sizes and times",
        "wellfield.pipeline.plane_reader:PlaneReader.read": "read TIFF",
        "wellfield.pipeline.plane_reader:stack_slices": "stack planes",
        "wellfield.pipeline.function_call:_run": lambda call, *_: f"function {str(call.func).rpartition(':')[2]}",
        "wellfield.results.stage_writer:StageWriter.image": "stage",
        "wellfield.results.stage_writer:StageWriter.output": "stage",
        "wellfield.results.stage_writer:StageWriter.finish": "stage",
    },
    "materialize": {
        "wellfield.workflow.materialize_well:Plan.read": "index and plan",
        "wellfield.workflow.materialize_well:read_info": "index and plan",
        "wellfield.results.well_writer:_ResultsWriter._load": "read staged",
        "wellfield.storage.zarr.writer:create_array": "Zarr metadata",
        "wellfield.storage.zarr.writer:write_node": "Zarr metadata",
        "wellfield.storage.zarr.writer:_LayoutWriter._write_pyramid": "pyramids",
        "wellfield.storage.zarr.pixels:PixelWriter.begin": "compress and write",
        "wellfield.storage.zarr.writer:_LayoutWriter._finish": "compress and write",
        "wellfield.storage.zarr.writer:_LayoutWriter._ids": "check ids of labels",
        "wellfield.storage.zarr.writer:WindowEstimator.add": "display window",
        "wellfield.storage.zarr.writer:WindowEstimator.windows": "display window",
        "wellfield.results.well_writer:_ResultsWriter._write_outputs": "tables",
        "wellfield.results.well_writer:_ResultsWriter.thumbnail": "thumbnail",
        "wellfield.results.well_writer:folder_entry": "manifest",
        "wellfield.results.well_writer:file_entry": "manifest",
        "wellfield.results.well_writer:write_manifest": "manifest",
    },
}


def main(stage: str, project: str, folder: str, well: str) -> dict[str, Any]:
    """Carry out one stage of a well."""
    from benchmarks import bare_wells

    profile = Profile(REST)
    profile.count_imports()
    run = getattr(bare_wells, stage)(Path(project), Path(folder))
    for place, part in PARTS[stage].items():
        profile.count(place, part)
    run(well)
    parts = profile.close()
    from benchmarks.memory import resident

    # Not by getrusage, which begins with the peak of the process that started this one.
    return {"parts": parts, "peak": resident("VmHWM")}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
