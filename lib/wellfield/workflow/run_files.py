"""Which results a run wrote: told by what their files were when it began.

Snakemake makes its jobs again after each checkpoint, and the new ones of a plate that is complete by then are not among
those that were run. The files tell it whatever the order of the jobs, and whatever clock the file server has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wellfield.formats.atomic import is_part

WELLS = "wells"
INGEST_REPORT = "ingest_report.json"

# A job of the plate writes one of these; each gets its name by a rename, and so another inode.
_PLATE_FILES = (
    INGEST_REPORT,
    "index.parquet",
    "plan.json",
    "cell_counts.csv",
    "report/summary.html",
    "check_plate.json",
)

# Time in nanoseconds, size and inode of each file, by its path in the plate's results.
Stamps = Mapping[str, tuple[int, int, int]]


def plate_stamps(results: str | os.PathLike[str], plates: Iterable[str]) -> dict[str, Stamps]:
    """Return what the manifests and the plate's own files are now, by plate."""
    return {plate: _stamps(Path(results, plate)) for plate in plates}


def files_written(before: Stamps, now: Stamps) -> frozenset[str]:
    """Return the files that are new or were replaced."""
    return frozenset(path for path, stamp in now.items() if before.get(path) != stamp)


def _stamps(folder: Path) -> Stamps:
    paths = [folder / name for name in _PLATE_FILES]
    wells = folder / WELLS
    if wells.is_dir():
        paths += [wells / name for name in os.listdir(wells) if name.endswith(".json") and not is_part(name)]
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path.relative_to(folder).as_posix()] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
