"""The snakemake command that does wells of a plate again, whichever jobs they share."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from wellfield.config.load import WORKFLOW_CONFIG, read_config
from wellfield.config.plate_sheet import PlateEntry, read_plate_sheet
from wellfield.errors import ConfigError
from wellfield.plate.index import read_info
from wellfield.plate.wells import canonical_well
from wellfield.results.manifest import read_manifest
from wellfield.results.paths import PlateFile, WellFile
from wellfield.results.status import WellStatus
from wellfield.results.well_jobs import JOB_NAME, WellJobs, read_jobs
from wellfield.workflow.ingest_plate import select_wells

# Options that say where jobs run. Without one of them, Snakemake asks for --cores.
_PLACES = ("--profile", "--cores", "-c", "--jobs", "-j", "--executor", "-e", "--workflow-profile")


def rerun_command(
    plate: str,
    wells: Sequence[str],
    *,
    failed: bool = False,
    config: str | os.PathLike[str] | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """Return the command that does these wells again, and then the tables and the report of their plate.

    Parameters
    ----------
    wells:
        Names of wells, lists such as ``B03,B04``, and names of jobs such as ``A01-A12``. None: all wells of the plate.
    failed:
        The wells that failed instead.
    config:
        A configuration other than ``config/config.yaml``.
    options:
        Further options for snakemake.

    Raises
    ------
    ConfigError
        The plate sheet has no such plate, the plate has no such well, or there is nothing to do again.
    """
    settings = read_config(config or WORKFLOW_CONFIG)
    entry = _entry(plate, read_plate_sheet(settings.plates, layouts=settings.layouts, check_files=False))
    folder = Path(settings.results, plate)
    command = ["snakemake", *([] if any(map(_says_where, options)) else ["--cores", "all"])]
    if config is not None and not _is_usual(config):
        command += ["--configfile", os.fspath(config)]
    command += options
    if not (folder / PlateFile.INDEX).exists():
        raise ConfigError(f"plate {plate} has no results yet, so that nothing is done again. Type: {' '.join(command)}")
    info, jobs = read_info(folder / PlateFile.INDEX), read_jobs(folder)
    there = select_wells(info, entry.wells, vanished=entry.wells or ())
    if failed:
        named = [well for well in there if _failed(folder / WellFile.MANIFEST.of(well))]
        if not named:
            raise ConfigError(f"plate {plate} has no failed well")
    else:
        named = _named(plate, wells, jobs, there) or there
    names = [name for name in jobs.names(named) if set(jobs.wells(name)) <= set(named)]
    alone = [well for well in named if jobs.of(well) not in names]
    return [*command, "--forcerun", *((folder / WellFile.MANIFEST.of(name)).as_posix() for name in (*names, *alone))]


def _entry(plate: str, plates: dict[str, PlateEntry]) -> PlateEntry:
    if plate not in plates:
        raise ConfigError(f"the plate sheet has no plate {plate}; it has {', '.join(plates)}")
    return plates[plate]


def _named(plate: str, texts: Sequence[str], jobs: WellJobs, there: Sequence[str]) -> list[str]:
    """Return the wells that the user names, in the order of the plate."""
    found: set[str] = set()
    for text in (part for argument in texts for part in re.split(r"[,;\s]+", argument) if part):
        is_job = JOB_NAME.fullmatch(text.upper()) and text.upper() in jobs.jobs
        found.update(jobs.wells(text.upper()) if is_job else [canonical_well(text)])
    if unknown := sorted(found.difference(there)):
        raise ConfigError(f"plate {plate} has no well {', '.join(unknown)} to process; it has {', '.join(there)}")
    return [well for well in there if well in found]


def _failed(manifest: Path) -> bool:
    return manifest.exists() and read_manifest(manifest)["status"] == WellStatus.FAILED


def _says_where(option: str) -> bool:
    return option.partition("=")[0] in _PLACES or re.fullmatch(r"-[cj]\d+", option) is not None


def _is_usual(config: str | os.PathLike[str]) -> bool:
    return os.path.exists(WORKFLOW_CONFIG) and os.path.samefile(WORKFLOW_CONFIG, config)
