"""Stage a well: write the results of its pipeline for materialize_well."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

from wellfield.errors import MaterializationError, UnknownFormatError
from wellfield.faults import error_text
from wellfield.formats.atomic import part_path, replace_directory
from wellfield.materialization.output_types import StagedForm
from wellfield.materialization.spec import MaterializationSpec, select
from wellfield.materialization.values import as_image, as_json, as_table, as_text
from wellfield.memory import MemoryType
from wellfield.pipeline.array_placement import convert_image
from wellfield.pipeline.plan import CompiledStep, PlaneAxis
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.calibration import UNKNOWN, FieldCalibration
from wellfield.plate.keys import WHOLE_WELL, FieldKey
from wellfield.results.columns import CHANNEL, PLATE, SITE, TIMEPOINT, WELL
from wellfield.results.staged_well import (
    STAGE_SCHEMA_VERSION,
    STAGED_NAME,
    StagedImage,
    StagedOutput,
    StagedWell,
    place_name,
)
from wellfield.results.status import WellStatus
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager


class StageWriter:
    """Receives the results of a pipeline and writes a staging folder, completely or not at all.

    Use it in a ``with`` statement.

    Parameters
    ----------
    folder:
        The staging folder.
    scratch:
        A folder of this job only, for all files but the list; by default they go to *folder*, too.
    processing:
        Digest of what is computed for the well; the list has it.
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
        """A folder for images between steps. It is removed when the well is staged."""
        return self._files / "working"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # which finish has renamed
        if self._scratch is not None and not self._keeps_scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        """Write one stack right away, so that memory is free for the next one."""
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
        """Take a special output: tables get key columns and are joined per well, JSON values are keyed by field.

        Arrays and text are written right away.

        Raises
        ------
        MaterializationError, UnknownFormatError
            The data does not fit its spec.
        """
        place = _Place(key, channel)
        for number, option in enumerate(spec.options if spec else ()):
            part = select(data, option.source)
            match option.staged_form:
                case StagedForm.TABLE:
                    self._tables.setdefault((name, number), {})[place] = self._keyed(part, place)
                case StagedForm.JSON:
                    self._values.setdefault((name, number), {})[place] = as_json(part)
                case form:
                    path = self._named(f"outputs/{name}_{number}/{place.name}{form}")
                    self._save(as_text(part) if form == StagedForm.TEXT else as_image(part), path, "it")
                    staged = StagedOutput(name, number, path, key.field, key.timepoint, channel, calibration)
                    self._single.append(staged)

    def discard(self, key: FieldKey) -> None:
        """Remove everything that was staged for a field."""
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
        """Write tables, values and the list, and give the folder its name. After an *error* it holds no results."""
        if error is not None:
            shutil.rmtree(self._files, ignore_errors=True)
            details = getattr(error, "details", {"message": error_text(error)})
            staged = StagedWell(self._plate, self._well, WellStatus.FAILED, details, account)
        else:
            shutil.rmtree(self.working_folder, ignore_errors=True)
            staged = StagedWell(self._plate, self._well, WellStatus.DONE, None, account, self._images)
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
        """Return the path of a file in the list: relative to the staging folder, or absolute in scratch."""
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
            path = self._named(f"outputs/{name}_{option}{StagedForm.TABLE}")
            self._write(staged, StagedOutput(name, option, path), table)
        for (name, option), values in self._values.items():
            named = {place.name: value for place, value in values.items()}
            path = self._named(f"outputs/{name}_{option}{StagedForm.JSON}")
            self._write(staged, StagedOutput(name, option, path), named)
        staged.outputs += self._single

    def _write(self, staged: StagedWell, output: StagedOutput, data: Any) -> None:
        self._save(data, output.path, f"special output {output.name!r}")
        staged.outputs.append(output)

    def _save(self, data: Any, path: str, what: str) -> None:
        """Write a file. An error names *what* it is about, not the temporary file."""
        target = self._folder / path
        try:
            self._filemanager.save(data, target, Backend.DISK)
        except UnknownFormatError as error:
            raise UnknownFormatError(f"{what} cannot be stored: {str(error).removeprefix(f'{target}: ')}") from error

    def _keyed(self, data: Any, place: _Place) -> Any:
        """Return a table with key columns in front. A table of the whole well may have its own field column.

        Raises
        ------
        MaterializationError, UnknownFormatError
            The function returned another key column, or a field column that does not hold field numbers.
        """
        import numpy as np
        import pyarrow as pa

        from wellfield.formats.table import text_column, to_table

        table = as_table(data, None)
        rows = table.num_rows
        whole = place.key.field == WHOLE_WELL
        keys: dict[str, Any] = {
            PLATE: text_column([self._plate] * rows),
            WELL: text_column([self._well] * rows),
            SITE: pa.nulls(rows, pa.int32()) if whole else np.full(rows, place.key.field, np.int32),
            TIMEPOINT: np.full(rows, place.key.timepoint, np.int32),
        }
        if place.channel is not None:
            keys[CHANNEL] = np.full(rows, place.channel, np.int32)
        given = dict(zip(table.column_names, table.columns, strict=True))
        if clash := [name for name in given if name in keys and not (whole and name == SITE)]:
            raise MaterializationError(f"column {clash[0]} is filled in for each field; leave it out of the table")
        site = given.get(SITE)
        if site is not None:
            try:
                given[SITE] = site.cast(pa.int32())
            except pa.ArrowInvalid as error:
                raise UnknownFormatError(f"column {SITE} holds no field numbers: {error}") from error
        keyed = to_table(keys)
        columns = {**dict(zip(keyed.column_names, keyed.columns, strict=True)), **given}
        return pa.Table.from_arrays(list(columns.values()), names=list(columns))


class _Place(NamedTuple):
    """What a special output is about: its field, and its channel if there is one for each channel."""

    key: FieldKey
    channel: int | None

    @property
    def name(self) -> str:
        return place_name(self.key.field, self.key.timepoint, self.channel)
