"""The staged well: the results of the pipeline on disk, between process_well and materialize_well.

Images are ``.npy`` (materialize_well maps them into memory), tables are Parquet, the rest is JSON; ``staged.json``
lists them. The folder gets its name when it is complete. With ``scratch``, the files lie on a node's own disk and only
the list lies with the results.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellfield.errors import BrokenStageError, DataNotFoundError, MetadataError, WellfieldError
from wellfield.formats.atomic import foreign_in, is_part, remove_empty, remove_own
from wellfield.formats.checked_json import OwnJson
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.calibration import UNKNOWN, FieldCalibration
from wellfield.plate.keys import WHOLE_WELL, PlaneKey, Projection, field_name
from wellfield.plate.wells import is_well
from wellfield.results.paths import STAGING, WellFile
from wellfield.results.status import WellStatus
from wellfield.results.well_jobs import read_job
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager

STAGE_SCHEMA_VERSION = 4
STAGED_NAME = "staged.json"

_PLACE = {"path": str, "timepoint": (int, None), "channel": (int, None), "field": (int, None)}
_STAGED = OwnJson(
    "list of a staged well",
    STAGE_SCHEMA_VERSION,
    {
        "plate": str,
        "well": str,
        "status": str,
        "error": (dict, None),
        "planes": dict,
        "images": [{"step": str, "z": [int], "projection": str, **_PLACE}],
        "outputs": [{"name": str, "option": int, **_PLACE}],
        "scratch": (str, None),
        "processing": str,
        "sizes": {str: int},
    },
    "Delete its folder, and the next run does the well again",
)


@dataclass(frozen=True, slots=True)
class StagedImage:
    """One staged stack ``[Z, Y, X]``: the result of a step for one channel of one field."""

    step: str
    field: int
    timepoint: int
    channel: int
    z: tuple[int, ...]
    projection: Projection
    path: str
    calibration: FieldCalibration = UNKNOWN

    def keys(self, well: str) -> list[PlaneKey]:
        """Return the key of each plane of the stack."""
        return [PlaneKey(well, self.field, self.channel, z, self.timepoint, self.projection) for z in self.z]


@dataclass(frozen=True, slots=True)
class StagedOutput:
    """A special output for one writer option.

    It is a table of the whole well as Parquet, or JSON values keyed by field, or an array or text of one *field* (0:
    the whole well), *timepoint* and, if there is one for each, *channel*.
    """

    name: str
    option: int
    path: str
    field: int | None = None
    timepoint: int | None = None
    channel: int | None = None
    calibration: FieldCalibration = UNKNOWN

    @property
    def place_name(self) -> str:
        """The name of files of this field: ``s001_t001``, ``s001_w1_t001``."""
        return place_name(self.field or WHOLE_WELL, self.timepoint or 1, self.channel)


def place_name(field: int, timepoint: int, channel: int | None) -> str:
    """Return the name of files of a field, or of one of its channels."""
    of_channel = "" if channel is None else f"_w{channel}"
    return f"{field_name(field)}{of_channel}_t{timepoint:03d}"


@dataclass
class StagedWell:
    """The content of ``staged.json``; paths are relative to the staging folder, or absolute paths in *scratch*.

    *processing* is the digest of what was computed (:meth:`~wellfield.pipeline.plan.Plan.processing_digest`).
    *sizes* has the bytes of each staged file, because half of a text file looks like a whole one.
    """

    plate: str
    well: str
    status: WellStatus
    error: dict[str, Any] | None
    planes: PlaneAccount
    images: list[StagedImage] = field(default_factory=list)
    outputs: list[StagedOutput] = field(default_factory=list)
    scratch: str | None = None
    processing: str = ""
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | os.PathLike[str], filemanager: FileManager) -> StagedWell:
        """Read the list of a staging folder.

        Raises
        ------
        BrokenStageError
            The list is damaged or gone, or a file has another size than when it was staged.
        SchemaVersionError
            Another version staged the well.
        """
        path = Path(folder) / STAGED_NAME
        try:
            return cls._read(path, filemanager)
        except (MetadataError, DataNotFoundError) as error:
            raise BrokenStageError(f"the list of a staged well is damaged: {error}") from error

    @classmethod
    def _read(cls, path: Path, filemanager: FileManager) -> StagedWell:
        data = _STAGED.check(filemanager.load(path, Backend.DISK), source=path)
        del data["schema_version"]
        with _STAGED.parsing(path):
            data["status"] = WellStatus(data["status"])
            data["planes"] = PlaneAccount(**data["planes"])
            for entry in (*data["outputs"], *data["images"]):
                entry["calibration"] = FieldCalibration.from_json(entry["calibration"])
            data["outputs"] = [StagedOutput(**entry) for entry in data["outputs"]]
            data["images"] = [
                StagedImage(**(entry | {"z": tuple(entry["z"]), "projection": Projection(entry["projection"])}))
                for entry in data["images"]
            ]
            staged = cls(**data)
        for name, size in staged.sizes.items():
            found = _size(path.parent / name)
            if found != size and not (staged.scratch and found is None):  # of another node's scratch
                held = "it is not there" if found is None else f"it has {found:,}"
                raise BrokenStageError(f"{path.parent / name} was staged with {size:,} bytes; {held}")
        return staged


# The files of a staged well.
_STAGE_FILE = re.compile(
    r"staged\.json|\.snakemake_timestamp|images/[^/]+/[^/]+\.npy|outputs/[^/]+\.(parquet|json)|outputs/[^/]+_[0-9]+/[^/]+\.(npy|txt)"
)


def is_stage_file(path: str) -> bool:
    """Tell whether a path in the folder of a staged well is one that staging writes."""
    return _STAGE_FILE.fullmatch(path) is not None


def foreign_in_stages(folder: str | os.PathLike[str]) -> Path | None:
    """Return a path in the folder of staged wells that staging did not write; ``None`` if there is none."""
    for stage in sorted(Path(folder).iterdir()) if os.path.isdir(folder) else ():
        if is_part(stage.name):
            continue
        if not is_well(stage.name):
            continue  # no well is staged there
        if stage.is_symlink() or not stage.is_dir():
            return stage
        for name in foreign_in(stage, is_stage_file):
            if (stage / name).is_symlink() or not (stage / name).is_dir():  # a killed run leaves empty folders
                return stage / name
    return None


def attempt_mark(listed: Path) -> Path:
    """Return the file that is there from the first attempt of a job until the job lists its staged wells."""
    return listed.with_suffix(".begun")


@contextmanager
def at_work(mark: Path, well: str) -> Iterator[None]:
    """Write the well that a job works on into its mark. It stays there where the well ends the job."""
    mark.write_text(well, encoding="utf-8")
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        mark.write_text("", encoding="utf-8")  # the user's, or the cluster's, doing
        raise


def killed_wells(stages: str | os.PathLike[str]) -> list[str]:
    """Return the wells that ended their jobs: by a kill, or an error that is not of their data.

    Call it only while no run is under way.
    """
    return sorted(filter(is_well, map(marked_well, Path(stages).glob("*.begun"))))


def marked_well(mark: Path) -> str:
    """Return the well that ended an earlier attempt of a job; an empty text if there is none."""
    try:
        return mark.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def forget_attempts(stages: str | os.PathLike[str]) -> None:
    """Remove the marks of jobs of an earlier run: the first attempt of this run does all wells of a job."""
    for mark in Path(stages).glob("*.begun"):
        forget(mark)


def remove_stage(stage: Path) -> None:
    """Remove the files of a staged well, and its folders that are empty then; anything else stays."""
    if not stage.is_symlink():
        remove_own(stage, is_stage_file)
        for root, *_ in os.walk(stage, topdown=False):
            remove_empty(Path(root), stage)


def broken_jobs(results: str | os.PathLike[str]) -> list[Path]:
    """Return the lists of staged wells that materialize_well cannot go on with.

    Call it only while no run is under way. A run that is killed while it removes a staged well leaves half of it, and
    Snakemake takes the job for a whole one. The files of a well in scratch lie on a node that the next job may not get.
    """
    return [listed for listed in sorted(Path(results, STAGING).glob("*.json")) if not is_usable(listed)]


def is_usable(listed: Path) -> bool:
    """Tell whether each well that a job staged is whole, or was written after that and its stage removed."""
    try:
        wells, staged = read_job(listed), listed.stat().st_mtime_ns
    except (WellfieldError, OSError):
        return False
    for well in wells:
        stage, manifest = listed.parent / well, listed.parents[1] / WellFile.MANIFEST.of(well)
        is_written = not stage.exists() and manifest.exists() and manifest.stat().st_mtime_ns >= staged
        if not is_written and not is_whole(stage):
            return False
    return True


def remove_job(listed: Path) -> None:
    """Remove a list of staged wells, and those of the wells that are not whole."""
    with suppress(WellfieldError):
        for well in read_job(listed):
            if not is_whole(listed.parent / well):
                remove_stage(listed.parent / well)
    forget(listed)


def forget(listed: Path) -> None:
    """Remove the list of a job's staged wells, or its mark: the job then stages its wells again."""
    listed.unlink(missing_ok=True)


def remove_done_stages(folder: str | os.PathLike[str], manifests: str | os.PathLike[str]) -> list[str]:
    """Remove the staged wells in *folder* whose manifest is newer; return their names.

    A run that is killed after a job wrote the manifest, and before the job ended, leaves a staged well that no later
    job needs.
    """
    done = []
    for listed in sorted(Path(folder).glob(f"*/{STAGED_NAME}")):
        manifest = Path(manifests, f"{listed.parent.name}.json")
        if manifest.exists() and manifest.stat().st_mtime_ns >= listed.stat().st_mtime_ns:
            remove_stage(listed.parent)
            done.append(listed.parent.name)
    return done


def staged_processing(stage: str | os.PathLike[str]) -> str:
    """Return the digest of what was computed for a staged well; an empty text where nothing whole is staged."""
    try:
        return str(json.loads(Path(stage, STAGED_NAME).read_bytes())["processing"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def staged_bytes(stage: str | os.PathLike[str]) -> int:
    """Return the size of all files of a staged well, 0 where nothing is staged."""
    return sum(path.stat().st_size for path in Path(stage).rglob("*") if path.is_file())


def staged_files(stage: str | os.PathLike[str]) -> list[str]:
    """Return the files of a staged well that staging writes, relative to its folder."""
    found = (path.relative_to(stage).as_posix() for path in sorted(Path(stage).rglob("*")) if path.is_file())
    return [path for path in found if is_stage_file(path)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def is_whole(stage: Path) -> bool:
    """Tell whether a staged well has all of its files, beside its list and of the size that the list says."""
    try:
        listed = json.loads((stage / STAGED_NAME).read_bytes())
        if listed.get("scratch") is not None:
            return False
        sizes = listed["sizes"]
        return all(
            _size(stage / entry["path"]) == sizes[entry["path"]] for entry in [*listed["images"], *listed["outputs"]]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
