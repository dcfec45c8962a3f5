"""Staging a well: the results of its pipeline, written for the job that makes files of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

from wellfield.errors import MaterializationError, UnknownFormatError
from wellfield.faults import error_text
from wellfield.formats.atomic import part_path, replace_directory
from wellfield.materialization.spec import (
    CsvOptions,
    JsonOptions,
    MaterializationSpec,
    ParquetOptions,
    TextOptions,
    select,
)
from wellfield.materialization.values import as_image, as_json, as_table, as_text
from wellfield.memory import MemoryType
from wellfield.pipeline.array_placement import convert_image
from wellfield.pipeline.plan import CompiledStep, PlaneAxis
from wellfield.results.staged_well import (
    DONE,
    FAILED,
    STAGE_SCHEMA_VERSION,
    STAGED_NAME,
    StagedImage,
    StagedOutput,
    StagedWell,
    place_name,
)
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.calibration import UNKNOWN, FieldCalibration
from wellfield.plate.keys import WHOLE_WELL, FieldKey
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager


class StageWriter:
    """Result sink that writes a staging folder, complete or not at all: use it in a ``with`` statement.

    Parameters
    ----------
    folder:
        The staging folder.
    scratch:
        Where all files but the list go, if not there: a folder of this job's own.
    processing:
        Digest of what is computed for the well, which the list says.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        filemanager: FileManager,
        *,
        plate: str,
        well: str,
        scratch: str | os.PathLike[str] | None = None,
        processing: str = "",
    ) -> None:
        self._final = Path(folder).absolute()  # a function may change the working directory
        self._folder = part_path(self._final)
        self._scratch = None if scratch is None else Path(scratch).absolute()
        self._files = self._scratch or self._folder
        self._keeps_scratch = False
        self._filemanager = filemanager
        self._plate, self._well = plate, well
        self._processing = processing
        self._images: list[StagedImage] = []
        self._tables: dict[tuple[str, int], dict[_Place, Any]] = {}
        self._values: dict[tuple[str, int], dict[_Place, Any]] = {}
        self._single: list[StagedOutput] = []

    @property
    def working_folder(self) -> Path:
        """A folder for images between steps, which is gone when the well is staged."""
        return self._files / "working"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # which finish has renamed
        if self._scratch is not None and not self._keeps_scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        """Write one stack at once, so that memory holds it no longer."""
        path = self._named(f"images/{step.name}/{key.name}_w{channel}.npy")
        self._save(convert_image(stack, step.kind, MemoryType.NUMPY), path, f"the image of channel {channel}")
        place = step.name, key.field, key.timepoint, channel
        self._images.append(StagedImage(*place, axis.z, axis.projection, path, axis.calibration))

    def output(
        self,
        name: str,
        spec: MaterializationSpec | None,
        key: FieldKey,
        channel: int | None,
        data: Any,
        *,
        calibration: FieldCalibration = UNKNOWN,
    ) -> None:
        """Take a side result: tables get key columns and are joined per well, JSON values are keyed by field.

        Arrays and text are written at once.

        Raises
        ------
        MaterializationError, UnknownFormatError
            The data does not fit its spec.
        """
        place = _Place(key, channel)
        for number, option in enumerate(spec.options if spec else ()):
            part = select(data, option.source)
            if isinstance(option, CsvOptions | ParquetOptions):
                self._tables.setdefault((name, number), {})[place] = self._keyed(part, place)
            elif isinstance(option, JsonOptions):
                self._values.setdefault((name, number), {})[place] = as_json(part)
            else:
                suffix = ".txt" if isinstance(option, TextOptions) else ".npy"
                path = self._named(f"outputs/{name}_{number}/{place.name}{suffix}")
                content = as_text(part) if isinstance(option, TextOptions) else as_image(part)
                self._save(content, path, "it")
                self._single.append(StagedOutput(name, number, path, key.field, key.timepoint, channel, calibration))

    def discard(self, key: FieldKey) -> None:
        """Remove what was staged of a field."""
        for image in [i for i in self._images if (i.field, i.timepoint) == (key.field, key.timepoint)]:
            self._filemanager.delete(self._folder / image.path, Backend.DISK)
            self._images.remove(image)
        for output in [o for o in self._single if (o.field, o.timepoint) == (key.field, key.timepoint)]:
            self._filemanager.delete(self._folder / output.path, Backend.DISK)
            self._single.remove(output)
        for taken in (*self._tables.values(), *self._values.values()):
            for place in [place for place in taken if place.key == key]:
                del taken[place]

    def finish(self, account: PlaneAccount, error: Exception | None = None) -> StagedWell:
        """Write tables, values and the list, and name the folder. After an *error* it holds no results."""
        if error is not None:
            shutil.rmtree(self._files, ignore_errors=True)
            details = getattr(error, "details", {"message": error_text(error)})
            staged = StagedWell(self._plate, self._well, FAILED, details, account)
        else:
            shutil.rmtree(self.working_folder, ignore_errors=True)
            staged = StagedWell(self._plate, self._well, DONE, None, account, self._images)
            self._write_outputs(staged)
        staged.processing = self._processing
        staged.scratch = None if self._scratch is None else str(self._scratch)
        named = [image.path for image in staged.images] + [output.path for output in staged.outputs]
        staged.sizes = {path: (self._folder / path).stat().st_size for path in named}
        data = {"schema_version": STAGE_SCHEMA_VERSION, **asdict(staged)}
        self._filemanager.save(data, self._folder / STAGED_NAME, Backend.DISK)
        replace_directory(self._folder, self._final)
        self._keeps_scratch = error is None
        return staged

    def _named(self, path: str) -> str:
        """Return how the list names a file: in the staging folder, or absolute where it is in scratch."""
        return path if self._scratch is None else str(self._scratch / path)

    def _write_outputs(self, staged: StagedWell) -> None:
        import pyarrow as pa

        for (name, option), parts in self._tables.items():
            if not parts:
                continue
            try:
                table = pa.concat_tables(parts.values(), promote_options="permissive")
            except pa.ArrowException as error:
                raise UnknownFormatError(
                    f"tables {name!r} of the well's fields do not fit together: {error}"
                ) from error
            self._write(staged, StagedOutput(name, option, self._named(f"outputs/{name}_{option}.parquet")), table)
        for (name, option), values in self._values.items():
            named = {place.name: value for place, value in values.items()}
            self._write(staged, StagedOutput(name, option, self._named(f"outputs/{name}_{option}.json")), named)
        staged.outputs += self._single

    def _write(self, staged: StagedWell, output: StagedOutput, data: Any) -> None:
        self._save(data, output.path, f"special output {output.name!r}")
        staged.outputs.append(output)

    def _save(self, data: Any, path: str, what: str) -> None:
        """Write a file; an error names what it is about, not the hidden file."""
        target = self._folder / path
        try:
            self._filemanager.save(data, target, Backend.DISK)
        except UnknownFormatError as error:
            raise UnknownFormatError(f"{what} cannot be stored: {str(error).removeprefix(f'{target}: ')}") from error

    def _keyed(self, data: Any, place: _Place) -> Any:
        """Return a table behind its key columns. A table of the whole well may say itself which field a row is of.

        Raises
        ------
        MaterializationError, UnknownFormatError
            The function itself returned another key column, or something else than field numbers.
        """
        import numpy as np
        import pyarrow as pa

        from wellfield.formats.table import text_column, to_table

        table = as_table(data, None)
        rows = table.num_rows
        whole = place.key.field == WHOLE_WELL
        keys: dict[str, Any] = {
            "Metadata_Plate": text_column([self._plate] * rows),
            "Metadata_Well": text_column([self._well] * rows),
            "Metadata_Site": pa.nulls(rows, pa.int32()) if whole else np.full(rows, place.key.field, np.int32),
            "Metadata_Timepoint": np.full(rows, place.key.timepoint, np.int32),
        }
        if place.channel is not None:
            keys["Metadata_Channel"] = np.full(rows, place.channel, np.int32)
        given = dict(zip(table.column_names, table.columns, strict=True))
        if clash := [name for name in given if name in keys and not (whole and name == "Metadata_Site")]:
            raise MaterializationError(f"column {clash[0]} is filled in for each field; leave it out of the table")
        site = given.get("Metadata_Site")
        if site is not None:
            try:
                given["Metadata_Site"] = site.cast(pa.int32())
            except pa.ArrowInvalid as error:
                raise UnknownFormatError(f"column Metadata_Site holds no field numbers: {error}") from error
        keyed = to_table(keys)
        columns = {**dict(zip(keyed.column_names, keyed.columns, strict=True)), **given}
        return pa.Table.from_arrays(list(columns.values()), names=list(columns))


class _Place(NamedTuple):
    """Where a side result belongs: its field, and its channel where there is one for each."""

    key: FieldKey
    channel: int | None

    @property
    def name(self) -> str:
        return place_name(self.key.field, self.key.timepoint, self.channel)
