"""Compute the values that the rules pass to Snakemake: digests, wells, memory, time. Rules decide nothing.

The index of a plate is there once the plate is ingested; what depends on it takes its path. The process of a single job
compares no digests and does without the scan of the plate that they take: it gets :data:`NOT_MAIN` instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from wellfield.config.models import Config
from wellfield.config.plate_sheet import PlateEntry
from wellfield.errors import ConfigError
from wellfield.formatting import counted
from wellfield.microscopes.handler import MICROSCOPES
from wellfield.microscopes.handler_registry import discover_microscopes
from wellfield.microscopes.scan import Scan, scan_plate
from wellfield.pipeline.plane_selection import choose_sources, planned_facts
from wellfield.plate.index import read_info, read_paths, read_place_digests
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.plate.platemap import plate_map_digest
from wellfield.results.paths import STAGING, PlateFile, WellFile
from wellfield.results.staged_well import broken_jobs, is_usable, killed_wells, remove_job
from wellfield.results.well_jobs import WellJobs, read_jobs, write_jobs
from wellfield.workflow import digests, resources
from wellfield.workflow.ingest_plate import next_generation, plate_map_notes, refuse_empty_plate, select_wells
from wellfield.workflow.stale_results import Asked, job_output, stale_lines, stale_outputs
from wellfield.workflow.vanished import refuse_lost_manifests, vanished_wells

# The digest of a whole plate in the process of a single job, where nobody compares it.
NOT_MAIN = "of the main process"

_Planes = list[tuple[PlaneKey, str]]


class RuleValues:
    """The answers to what rules ask, from the checked configuration and the plate sheet.

    Parameters
    ----------
    config:
        The checked configuration.
    plates:
        The entries of the plate sheet by plate.
    is_main:
        Whether this process chooses the jobs.
    """

    def __init__(self, config: Config, plates: Mapping[str, PlateEntry], *, is_main: bool) -> None:
        self._config = config
        self._plates = plates
        self._is_main = is_main
        self._not_empty: set[str] = set()
        self._jobs: dict[str, WellJobs] = {}
        self._killed: dict[str, list[str]] = {}
        self.pipeline = config.deciding_results()
        self.functions = digests.function_digest(resources.function_names(config))
        self.corrects_illumination = "correct_illumination" in resources.function_names(config)

    def folder(self, plate: str) -> Path:
        """Return the folder of the plate's results."""
        return Path(self._config.results, plate)

    # --- digests -------------------------------------------------------------------------------------------------

    def code(self, stage: str) -> str:
        """Return the digest of what the code of a stage does."""
        return digests.code_digest(stage) if self._is_main else NOT_MAIN

    def layout(self, plate: str) -> str:
        """Return the digest of the layout that the plate's file names are read by; presets are code."""
        return digests.digest_of(str(self._config.plate_layouts().get(self._plates[plate].microscope)))

    def raw(self, plate: str) -> str:
        """Return the digest of the names in the raw folder and of its metadata files.

        Raises
        ------
        EmptyPlateError
            The plate has results, and nothing is left in its raw folder.
        """
        if not self._is_main:
            return NOT_MAIN
        scan = self.scan(plate)
        if plate not in self._not_empty:
            layouts = self._config.plate_layouts()
            refuse_empty_plate(self.folder(plate), self._plates[plate], scan, layouts=layouts)
            self._not_empty.add(plate)
        discover_microscopes()
        suffixes = {suffix for handler in MICROSCOPES.values() for suffix in handler.metadata_suffixes}
        return scan.names_digest(tuple(suffixes))

    def plan_facts(self, index: str) -> str:
        """Return the digest of what a plan depends on besides the pipeline: channels, sources, calibration."""
        if not self._is_main:
            return NOT_MAIN
        info = self.info(index)
        keys = [key for planes in _planes(index, _time(index), None).values() for key, _ in planes]
        sources = choose_sources(keys, self._config.settings.source)
        facts: list[Any] = [asdict(planned_facts(info))]
        facts += [[number, layers.z, layers.projection, layers.timepoints] for number, layers in sources.items()]
        return digests.digest_of(facts)

    def microscope_profiles(self, index: str) -> str:
        """Return the digest of the microscope's own flat fields; the same for all plates where they are not used."""
        if self._config.illumination != "microscope":
            return ""
        info = self.info(index)
        return digests.digest_of([info.flatfields, info.shape, list(info.channels)])

    def planes(self, plate: str, job: str, index: str) -> str:
        """Return the digest of the planes of a job's wells: size and time of each file, size in µm and position.

        It includes wells that the plate sheet leaves out, so that taking a well out of the sheet reruns no other.

        Raises
        ------
        ConfigError
            There is no such job: the well shares a job with others.
        """
        if not self._is_main:
            return NOT_MAIN
        jobs = self.jobs(plate)
        if (shared := jobs.of(job)) != job:
            others = counted(len(jobs.wells(shared)) - 1, "other well")
            raise ConfigError(
                f"plate {plate}: well {job} shares the job {shared} with {others}; ask for "
                f"{self.folder(plate) / WellFile.MANIFEST.of(shared)}, or type: wellfield rerun {plate} {job}"
            )
        places, present = _place_digests(index, _time(index)), _present(self._plates[plate].folder)
        return digests.digest_of(
            [
                [digests.planes_digest(self._well_planes(well, index), present), places.get(well, "")]
                for well in jobs.all_wells(job)
            ]
        )

    # --- plates and wells ----------------------------------------------------------------------------------------

    def scan(self, plate: str) -> Scan:
        """Return the files of the raw plate, listed once."""
        return _scan(self._plates[plate].folder)

    def ingest_generation(self, plate: str) -> int:
        """Return a number that rises once a plate is complete that was ingested while it was being acquired."""
        return _ingest_generation(self.folder(plate) / PlateFile.INGEST_REPORT, self._plates[plate].folder)

    def info(self, index: str) -> Plate:
        """Return what holds for the whole plate."""
        return _info(index, _time(index))

    def vanished(self, plate: str, index: str) -> list[str]:
        """Return the wells with results and without raw images: their results stay, and the plate's check fails."""
        return vanished_wells(self.folder(plate), self.info(index), self._plates[plate].wells)

    def wells(self, plate: str, index: str) -> list[str]:
        """Return the wells of a plate that are to be processed."""
        return select_wells(self.info(index), self._plates[plate].wells, vanished=self.vanished(plate, index))

    def jobs(self, plate: str) -> WellJobs:
        """Return the jobs of a plate's wells, as :meth:`choose_jobs` made them last."""
        if plate not in self._jobs:
            self._jobs[plate] = read_jobs(self.folder(plate))
        return self._jobs[plate]

    def choose_jobs(
        self,
        plate: str,
        index: str,
        plan: Callable[[], str],
        *,
        cores: int,
        targets: Collection[str],
        forced: Collection[str],
        write: bool,
    ) -> WellJobs:
        """Return which wells of a plate share a job; make new jobs for wells that have none.

        Parameters
        ----------
        plan:
            Returns the path of the plan, whose estimate of time decides how many wells share a job. Called if needed.
        cores:
            How many jobs run on this machine at a time; 0 on a cluster.
        targets:
            Files that the user asks for. A well whose manifest is among them has a job of its own if it is not done.
        forced:
            Files that the user wants again. A well whose manifest is among them is done again in a job of its own.
        write:
            Whether the jobs are written down: not in a dry run.
        """
        before, config, folder = self.jobs(plate), self._config, self.folder(plate)
        if not self._is_main:
            return before
        chosen, wells = self.wells(plate, index), list(self.info(index).wells)

        def is_begun(name: str) -> bool:
            return (folder / WellFile.MANIFEST.of(name)).exists()

        asked = {"wells_per_job": config.wells_per_job, "jobs_per_plate": config.jobs_per_plate}
        manifests = {well: (folder / WellFile.MANIFEST.of(well)).as_posix() for well in wells}
        again = [well for well in wells if manifests[well] in forced]
        first = [well for well in wells if manifests[well] in targets or well in self._killed.get(plate, ())]
        alone = [*again, *(well for well in first if not is_begun(before.of(well)))]
        jobs = before.without(alone, is_begun)
        if before.asked != asked or not jobs.covers(wells):
            most = 1
            if config.wells_per_job != 1 or config.jobs_per_plate is not None:
                fields = {well: self._fields(well, index) for well in chosen}
                most = resources.wells_per_job(plan(), self.info(index), fields, config=config, cores=cores)
            jobs = replace(jobs.recut(wells, most, is_begun).without(alone, is_begun), asked=asked)
        left_out = frozenset(well for well in jobs.listed() if well not in chosen)
        jobs = replace(jobs, left_out=left_out)
        if jobs != before and write:
            write_jobs(folder, jobs)
        self._jobs[plate] = jobs
        return jobs

    def _well_planes(self, well: str, index: str) -> _Planes:
        """Return the planes of a well. Only the main process needs all wells, and so reads them at once."""
        return _planes(index, _time(index), None if self._is_main else (well,)).get(well, [])

    # --- resources -----------------------------------------------------------------------------------------------

    def process_mb(self, plan: str, attempt: int) -> int:
        """Return the memory of ``process_well`` in MB, as the plan estimates it."""
        return resources.process_mb(plan, margin_mb=self._config.memory_margin_mb, attempt=attempt)

    def process_minutes(self, plan: str, plate: str, job: str, index: str, attempt: int) -> int:
        """Return the time limit of ``process_well``: its wells run one after another."""
        fields = {well: self._fields(well, index) for well in self.jobs(plate).wells(job)}
        return resources.process_minutes(plan, self.info(index), fields, attempt=attempt)

    def materialize_mb(self, plate: str, job: str, index: str, attempt: int) -> int:
        """Return the memory of ``materialize_well`` in MB: that of its largest well."""
        margin, info = self._config.memory_margin_mb, self.info(index)
        return max(
            resources.storing_mb(
                info, well, self._fields(well, index), config=self._config, margin_mb=margin, attempt=attempt
            )
            for well in self.jobs(plate).wells(job) or [job]
        )

    def materialize_minutes(self, plate: str, job: str, index: str, attempt: int) -> int:
        """Return the time limit of ``materialize_well``."""
        return resources.storing_minutes(self.info(index), self.jobs(plate).wells(job), attempt=attempt)

    def plate_mb(self, attempt: int) -> int:
        """Return the memory in MB of a job on the whole plate."""
        return resources.plate_mb(margin_mb=self._config.memory_margin_mb, attempt=attempt)

    def tables_mb(self, index: str, attempt: int) -> int:
        """Return the memory in MB of a job that joins the tables of all wells, which grows with the plate."""
        planes = sum(self.info(index).planes_per_well.values())
        return resources.plate_mb(margin_mb=self._config.memory_margin_mb, planes=planes, attempt=attempt)

    def _fields(self, well: str, index: str) -> int:
        return len({(key.field, key.timepoint) for key, _ in self._well_planes(well, index)})

    # --- before the first job ------------------------------------------------------------------------------------

    def check_plate(self, plate: str) -> None:
        """Check the plate sheet against a plate that is ingested; the job that ingests a plate checks a new one.

        Raises
        ------
        ConfigError
            The sheet asks for wells that the plate does not have, or wells have lost their manifests or raw images.
        """
        index = self.folder(plate) / PlateFile.INDEX
        if not index.exists():
            return
        entry, info = self._plates[plate], read_info(index)
        refuse_lost_manifests(index.parent, info, entry.wells)
        gone = vanished_wells(index.parent, info, entry.wells)
        select_wells(info, entry.wells, vanished=gone)
        plate_map_notes(entry.plate_map, info, entry.wells, vanished=gone)

    def stale(self, plate: str, say: Callable[[str], None]) -> list[str]:
        """Return the outputs of a plate to be made again whatever Snakemake's records say, as the rules name them.

        *say* gets a line for each reason.

        Raises
        ------
        ConfigError, MetadataError, SchemaVersionError
            As :func:`~wellfield.workflow.stale_results.stale_outputs`.
        """
        entry, config = self._plates[plate], self._config
        asked = Asked(
            plate=plate,
            folder=entry.folder,
            microscope=entry.microscope,
            layout=self.layout(plate),
            pipeline=digests.digest_of(self.pipeline),
            functions=self.functions,
            wells=entry.wells,
            illumination=(config.settings.source, config.illumination) if self.corrects_illumination else None,
            plate_map=plate_map_digest(entry.plate_map),
        )
        jobs = self.jobs(plate)
        self._killed[plate] = killed_wells(self.folder(plate) / STAGING)
        found = stale_outputs(self.folder(plate), asked, lambda: self.scan(plate).files, jobs)
        for line in stale_lines(plate, found):
            say(line)
        of_jobs = [job_output(output, jobs) for output in found]
        # The plan of another project in the same results may come out as Snakemake knows it, so that no well runs. The
        # check then says that the wells are of another pipeline.
        forced = [*of_jobs, *([PlateFile.CHECK] if PlateFile.PLAN in found else [])]
        return [(self.folder(plate) / output).as_posix() for output in forced]

    def stages_of(self, forced: Iterable[str]) -> list[str]:
        """Return the staged wells of the manifests among *forced* files, as the rules name them.

        A kept stage would be written again, and the well not be computed, if the user forces its manifest alone.
        """
        paths = map(Path, forced) if self._config.keep_staged else ()
        folders = {self.folder(plate) / WellFile.MANIFEST.folder: self.folder(plate) for plate in self._plates}
        wells = [(folders[path.parent], path.name) for path in paths if path.parent in folders]
        return [(folder / STAGING / name).as_posix() for folder, name in wells]

    def broken_jobs(self, plate: str) -> list[Path]:
        """Return the lists of staged wells that no job can go on with, see :func:`remove_broken`."""
        return broken_jobs(self.folder(plate))

    def unfinished(self, broken: Iterable[Path]) -> list[str]:
        """Return those of the *broken* lists whose jobs are not done, as the rules name them: these jobs run anyway."""
        manifests = ((listed, listed.parents[1] / WellFile.MANIFEST.folder / listed.name) for listed in broken)
        return [listed.as_posix() for listed, manifest in manifests if not manifest.exists()]


def remove_broken(broken: Iterable[Path]) -> None:
    """Remove lists of staged wells that no job can go on with, before Snakemake takes the jobs for done.

    To be called by a run that is about to start its jobs, and not in a dry run. Each is looked at again: another run
    may have staged the wells since the list was made.
    """
    for listed in broken:
        if not is_usable(listed):
            remove_job(listed)


def _time(path: str) -> int:
    return os.stat(path).st_mtime_ns


@cache
def _scan(folder: str) -> Scan:
    return scan_plate(folder)


@cache
def _present(folder: str) -> Mapping[str, digests.State]:
    return digests.present_state(_scan(folder).files)


@cache
def _ingest_generation(report: Path, folder: str) -> int:
    """Return the number once for the whole run: it must not change while jobs are being chosen."""
    return next_generation(report, _scan(folder).files)


@cache
def _info(index: str, mtime_ns: int) -> Plate:
    return read_info(index)


@cache
def _planes(index: str, mtime_ns: int, wells: tuple[str, ...] | None) -> Mapping[str, _Planes]:
    return read_paths(index, wells)


@cache
def _place_digests(index: str, mtime_ns: int) -> Mapping[str, str]:
    return read_place_digests(index)
