"""Detect planes that change while they are read, by the size and time of their files before and after."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wellfield.errors import MetadataError
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.well_input import WellStepError
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.storage.array_files import ARRAY_FILES, array_format
from wellfield.storage.zarr.chunks import ArrayLayout, read_layout

# Size, and time in nanoseconds, of each file of a plane; None for a file that does not exist.
PlaneState = tuple[tuple[int, int] | None, ...]


def planes_read(plan: Plan, planes: Iterable[PlaneRecord]) -> list[PlaneRecord]:
    """Return the planes that a plan reads."""
    read = {channel: plan.sources[channel].projection for channel in plan.start_channels}
    return [plane for plane in planes if read.get(plane.key.channel) == plane.key.projection]


class PlaneWatch:
    """Records the state of planes that are about to be read.

    The state of a plane is that of its file. For a plane in a Zarr array these are the files of its chunks, or the
    shards that hold them, and the array's metadata. Each file is looked at once; only the metadata is opened. A change
    between two jobs of a well is not detected here. It changes the digest of the well's planes, like a change that is
    detected: the next run processes the well again.

    Parameters
    ----------
    planes:
        The planes that are read.
    during:
        The purpose of reading, as the end of "the file changed while …".
    """

    def __init__(self, info: Plate, planes: Iterable[PlaneRecord], *, during: str) -> None:
        self._info = info
        self._during = during
        self._planes = {plane.key: plane.path for plane in planes}
        self._before = self._states()

    def changed(self) -> WellStepError | None:
        """Return an error if planes have changed, naming the first and the number; ``None`` if none has changed.

        This is an error for every value of ``on_unreadable``. A file that is still being written will be readable soon,
        and its well is then processed again. Without the error, results of half a plane would pass for results of the
        whole plane.
        """
        now = self._states()
        changed = sorted(key for key, state in now.items() if state != self._before[key])
        if not changed:
            return None
        first = changed[0]
        gone = now[first].count(None) > self._before[first].count(None)
        what, why = ("went away", "moved or deleted") if gone else ("changed", "still being written")
        more = f" (one of {len(changed)} files that did)" if len(changed) > 1 else ""
        return WellStepError(
            f"the file {what} while {self._during}{more}, as one that is {why}; run again when the plate is complete",
            plate=self._info.name,
            key=first.field_key,
            channel=first.channel,
            file=self._planes[first],
        )

    def _states(self) -> Mapping[PlaneKey, PlaneState]:
        root = Path(self._info.path)
        layouts: dict[str, ArrayLayout | None] = {}
        files: dict[Path, tuple[int, int] | None] = {}
        states = {}
        for key, path in self._planes.items():
            paths = _files_of(root, path, layouts)
            files |= {file: _state(file) for file in paths if file not in files}
            states[key] = tuple(files[file] for file in paths)
        return states


def _files_of(root: Path, path: str, layouts: dict[str, ArrayLayout | None]) -> list[Path]:
    """Return the files of a plane; *layouts* caches the layouts of arrays."""
    address = parse_array_plane(path)
    if address is None:
        return [root / path]
    folder = root / address.array
    if address.array not in layouts:
        layouts[address.array] = _layout(folder)
    layout = layouts[address.array]
    chunks = layout.files_of(address.at) if layout is not None else ()
    return [*(folder / name for name, _ in ARRAY_FILES), *(folder / chunk for chunk in chunks)]


def _layout(folder: Path) -> ArrayLayout | None:
    """Return the layout of an array; ``None`` if it is damaged or gone: reading its planes then raises the error."""
    try:
        zarr_format = array_format(folder)
        return None if zarr_format is None else read_layout(folder, zarr_format)
    except MetadataError:
        return None


def _state(file: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
