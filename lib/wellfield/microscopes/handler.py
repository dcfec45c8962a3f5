"""The base of all microscope handlers: makes plate index, mapping and report of a vendor's folder."""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

from wellfield.errors import EmptyPlateError, MetadataError
from wellfield.formats.json_files import write_json
from wellfield.microscopes.acquisition import find_acquisition
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.metadata_writer import update_metadata
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.scan import Scan, scan_plate, without_garbage_collection
from wellfield.microscopes.virtual_paths import refuse_results_in_plate, workspace_mapping
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import write_index
from wellfield.plate.plate import Plate
from wellfield.storage.backend import Backend
from wellfield.storage.workspace_metadata import available_backends, main_subdirectory, primary_backend, read_metadata

# The highest number of a field, channel, z or timepoint.
HIGHEST_NUMBER = 999_999

_LATEST_NS = 2**63 - 1  # the latest time of a file that the plate index can hold

MICROSCOPES: dict[str, type[MicroscopeHandler]] = {}

# OpenHCS's parser of names such as A01_s001_w1_z001_t001.tif. The mapping of every plate has such names.
_NAME_PARSER = "ImageXpressFilenameParser"


class MicroscopeHandler(ABC):
    """One plate as one vendor's microscope wrote it.

    A vendor's handler names its class in ``_microscope_type``, tells whether a folder is its own (:meth:`detect`) and
    finds the planes (:meth:`find_planes`); everything else is shared. The raw folder is only read.

    Parameters
    ----------
    plate_path:
        Folder of the raw plate.
    scan:
        A scan of that folder, if there is one already.
    """

    _microscope_type: str
    metadata_suffixes: ClassVar[tuple[str, ...]] = ()
    # Its metadata lists all files of the folder, even those that another vendor's handler would recognise.
    speaks_for_folder: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__dict__.get("_microscope_type")
        if name:
            known = MICROSCOPES.setdefault(name, cls)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"two microscope handlers are named {name!r}: {known.__module__} and {cls.__module__}")

    def __init__(self, plate_path: str | os.PathLike[str], *, scan: Scan | None = None) -> None:
        self.plate_path = Path(plate_path)
        self.scan = scan if scan is not None else scan_plate(plate_path)

    @classmethod
    @abstractmethod
    def detect(cls, scan: Scan) -> str | None:
        """Say why the scanned folder looks like this vendor's, or return ``None``."""

    @abstractmethod
    def find_planes(self) -> ParsedPlate:
        """Return the plate and its planes; opens a bounded number of images.

        Raises
        ------
        DuplicatePlaneError
            Two different files claim one key.
        """

    def promises(self) -> list[str]:
        """Return what the vendor's metadata announces, one line each. Shown for a folder without images."""
        return []

    @classmethod
    def stage_position(cls, path: Path) -> tuple[float, float] | None:
        """Return x and y of the stage in µm from an image file, ``None`` if it has none.

        x rises to the right of the image; y downwards, or upwards where the plate is ``stage_y_up``.
        """
        from wellfield.microscopes.image_facts import read_facts  # it loads XML, which few jobs of wells need

        facts = read_facts(path)
        if math.isnan(facts.stage_x_um + facts.stage_y_um):
            return None
        return facts.stage_x_um, facts.stage_y_um

    def read_plate(self) -> ParsedPlate:
        """Return :meth:`find_planes`, checked, and with the files that the scan left out.

        Raises
        ------
        EmptyPlateError
            The folder has no plane; the message says what it has.
        MetadataError
            A number of a field, channel, z or timepoint is too large.
        """
        contents = self.find_planes()
        _check_numbers(contents)
        _check_times(contents)
        for reason, paths in self.scan.skipped.items():
            contents.ignored.setdefault(reason, []).extend(paths)
        if not contents.planes:
            found = (
                ", ".join(f"{len(paths)} left out ({reason})" for reason, paths in contents.ignored.items())
                or "nothing"
            )
            promised = "".join(f"\n  {line}" for line in self.promises())
            raise EmptyPlateError(
                f"plate folder {self.plate_path} has no {self._microscope_type} image; it holds {found}. "
                f"Copy the images, or correct the folder in plates.tsv"
                + (f"\nIts metadata promises:{promised}" if promised else "")
            )
        if contents.plate.pixel_size_of_files:
            from wellfield.microscopes.pixel_sizes import settle_pixel_sizes

            settle_pixel_sizes(self.plate_path, contents)
        return contents

    @without_garbage_collection()
    def initialize_workspace(
        self,
        workspace: str | os.PathLike[str],
        *,
        plate: str,
        why: str = "configured",
        acquisition_minutes: float = 0,
        ingest_generation: int = 0,
    ) -> Plate:
        """Ingest the plate: write ``openhcs_metadata.json``, ``index.parquet`` and ``ingest_report.json``.

        They are written to *workspace*. Nothing is copied, and nothing is written to the raw folder.

        Parameters
        ----------
        acquisition_minutes:
            The report notes files that are younger: the plate may still be being acquired. 0 for no such note.
        ingest_generation:
            How often the plate was ingested again because of such a note; kept in the report.

        Raises
        ------
        PathEscapeError
            *workspace* lies in the raw folder.
        """
        folder = Path(workspace)
        refuse_results_in_plate(folder, self.plate_path)
        contents = self.read_plate()
        found = contents.complete(name=plate, path=os.fspath(self.plate_path), microscope=self._microscope_type)
        self._build_virtual_mapping(folder, contents)
        report = ingest_report(contents, why=why)
        acquisition = find_acquisition(self.scan.files, minutes=acquisition_minutes, now_ns=time.time_ns())
        if acquisition is not None:
            report |= {"acquisition": acquisition._asdict(), "notes": [*report["notes"], *acquisition.notes()]}
        if ingest_generation:
            report["ingest_generation"] = ingest_generation
        write_json(folder / "ingest_report.json", report)
        write_index(folder / "index.parquet", contents.planes, found)
        return found

    def _build_virtual_mapping(self, workspace: Path, contents: ParsedPlate) -> None:
        plate = contents.plate
        mapping = workspace_mapping(contents.planes)
        in_arrays = any(parse_array_plane(plane.path) for plane in contents.planes)
        fields, depths, timepoints = ({plane.key[axis] for plane in contents.planes} for axis in (1, 3, 4))
        entry = {
            "microscope_handler_name": self._microscope_type,
            "source_filename_parser_name": _NAME_PARSER,
            "plate_path": os.path.abspath(plate.path),  # so that it is found from any folder
            "grid_dimensions": list(plate.grid_dimensions or ()),
            "pixel_size": plate.pixel_size_um,
            "channels": {str(number): name for number, name in plate.channels.items()},
            "wells": dict.fromkeys(plate.wells),
            "sites": {str(field): None for field in sorted(fields)},
            "z_indexes": {str(z): None for z in sorted(depths - {0})},
            "timepoints": {str(time): None for time in sorted(timepoints)},
            "available_backends": {str(Backend.DISK): not in_arrays, str(Backend.VIRTUAL_WORKSPACE): True},
            "main": True,
            "image_files": list(mapping),
            "workspace_mapping": mapping,
        }
        update_metadata(workspace, entry, replace=True)

    @staticmethod
    def get_available_backends(workspace: str | os.PathLike[str]) -> dict[str, bool]:
        """Return which backends can read the plate that was mapped into *workspace*."""
        return available_backends(_main_entry(workspace), source=os.fspath(workspace))

    @staticmethod
    def get_primary_backend(workspace: str | os.PathLike[str]) -> Backend:
        """Return the backend that the plate is read through: zarr, then virtual workspace, then disk."""
        return primary_backend(_main_entry(workspace), source=os.fspath(workspace))

    @staticmethod
    def get_image_files(workspace: str | os.PathLike[str]) -> list[str]:
        """Return the plate's images as paths of the primary backend."""
        entry = _main_entry(workspace)
        return list(entry.get("image_files") or entry.get("workspace_mapping", {}))


def _check_times(contents: ParsedPlate) -> None:
    """Refuse times of files that the index cannot hold."""
    latest = max(contents.planes, key=attrgetter("mtime_ns"), default=None)
    if latest is not None and latest.mtime_ns > _LATEST_NS:
        year = time.gmtime(latest.mtime_ns // 1_000_000_000).tm_year
        raise MetadataError(
            f"the time of {latest.path} is in the year {year}; expected one before 2262: a clock was wrong. Set it "
            "with `touch`, in the raw folder or in a copy of it"
        )


def _check_numbers(contents: ParsedPlate) -> None:
    """Refuse numbers of fields, channels, z and timepoints that the index cannot hold."""
    for axis in ("field", "channel", "z", "timepoint"):
        number = attrgetter(f"key.{axis}")
        highest = max(contents.planes, key=number, default=None)
        if highest is not None and number(highest) > HIGHEST_NUMBER:
            raise MetadataError(
                f"{highest.path} is {axis} {number(highest)} of well {highest.key.well}; expected at most "
                f"{HIGHEST_NUMBER}. Correct its name, its folder, or the metadata"
            )


def _main_entry(workspace: str | os.PathLike[str]) -> Mapping[str, Any]:
    return main_subdirectory(read_metadata(workspace), source=os.fspath(workspace))
