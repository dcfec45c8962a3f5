"""Write the files of a well from its staged results."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from wellfield.errors import (
    BrokenStageError,
    DataNotFoundError,
    MaterializationError,
    MetadataError,
    UnknownFormatError,
    UnreadableImageError,
)
from wellfield.faults import error_text, fails_well, refused_by_system
from wellfield.formats.atomic import part_path
from wellfield.materialization.output_types import ImagePlace, OutputType, ResultFolder, ROIOptions
from wellfield.materialization.writers import write_option
from wellfield.pipeline.plan import CompiledStep, Plan
from wellfield.plate.calibration import UNKNOWN, FieldCalibration, common, describe_sizes
from wellfield.plate.keys import WHOLE_WELL, Projection, field_name, parse_plane_name, plane_name
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind
from wellfield.results.manifest import file_entry, folder_entry, write_manifest
from wellfield.results.paths import STORE_NAME, WELL_FOLDERS, WELL_RULES
from wellfield.results.records import Record
from wellfield.results.removal import remove_stale, replace_folder
from wellfield.results.staged_well import StagedImage, StagedOutput, StagedWell
from wellfield.results.status import MATERIALIZE_STEP, WellStatus
from wellfield.storage.backend import Backend, ZarrChunkStrategy
from wellfield.storage.filemanager import FileManager
from wellfield.storage.zarr.addressing import LABEL_DTYPE, well_folder
from wellfield.storage.zarr.batch import WellPlanes
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.writer import write_zarr_well

_logger = logging.getLogger(__name__)

_RULE = WELL_RULES[-1]


def write_results(
    staged: StagedWell,
    staging: Path,
    plan: Plan,
    results: Path,
    filemanager: FileManager,
    *,
    info: Plate,
    manifest: Path,
    thumbnail: Path,
) -> list[dict[str, Any]]:
    """Write the persistent files of a well below *results*, then its manifest; return the entries for its record.

    Each folder of the well is written beside the old one and replaces it when it is complete. Files that the pipeline
    does not write any more are removed; files that Wellfield did not write stay. A failed well keeps no result of an
    earlier run, because that result would not fit its input.

    Raises
    ------
    BrokenStageError
        A staged file is damaged or gone.
    OSError, MemoryError
        The machine is to blame, for example its disk is full. A result that no file format can hold fails the well
        instead.
    """
    writer = _ResultsWriter(staged, staging, plan, results, filemanager, stage_y_up=info.stage_y_up)
    files, picture = [], no_thumbnail()
    if staged.status == WellStatus.DONE:
        try:
            files, picture = writer.write(), writer.thumbnail(info)
        except Exception as error:
            if not fails_well(error):
                raise
            _logger.exception("well %s failed", staged.well)
            staged.status, staged.error = WellStatus.FAILED, {"message": writer.reason(error), "step": MATERIALIZE_STEP}
            files, picture = [], no_thumbnail()
            writer.remove_parts()
    record = Record(tuple(files))
    remove_stale(results, _RULE, record.paths(), folders=(*WELL_FOLDERS, STORE_NAME), well=staged.well)
    filemanager.save(picture, thumbnail, Backend.DISK)
    write_manifest(
        manifest,
        plate=staged.plate,
        well=staged.well,
        status=staged.status,
        error=staged.error,
        planes=staged.planes,
        plan_digest=plan.digest(),
        files=[{key: value for key, value in entry.items() if key != "names"} for entry in files],
    )
    return [*files, file_entry(results, manifest), file_entry(results, thumbnail)]


def no_thumbnail() -> Any:
    """Return the empty picture of a well without a stored image."""
    import numpy as np

    return np.zeros((2, 0, 0), np.float32)


class _ResultsWriter:
    def __init__(
        self,
        staged: StagedWell,
        staging: Path,
        plan: Plan,
        results: Path,
        filemanager: FileManager,
        *,
        stage_y_up: bool,
    ) -> None:
        self._stage_y_up = stage_y_up
        self._staged = staged
        self._staging = staging
        self._plan = plan
        self._results = results
        self._filemanager = filemanager
        # The folders of the well, under temporary names until they are complete.
        self._parts = {kind: part_path(results / kind / staged.well) for kind in WELL_FOLDERS}
        self._facts: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in WELL_FOLDERS}
        # The files of each folder that has its final name.
        self._names: dict[Path, list[str]] = {}

    def write(self) -> list[dict[str, Any]]:
        """Write everything and return the manifest's entries."""
        entries = self._write_zarr()
        self._write_tiffs()
        self._write_rois()
        self._write_outputs()
        for kind in WELL_FOLDERS:
            entries += self._move_in(kind)
        return entries

    def reason(self, error: Exception) -> str:
        """Return the text of an error, with the final names of files instead of the temporary ones."""
        text = error_text(error)
        for kind, part in self._parts.items():
            text = text.replace(str(part), str(self._results / kind / self._staged.well))
        return text

    def remove_parts(self) -> None:
        """Remove the folders of a failed well that still have temporary names."""
        for part in self._parts.values():
            shutil.rmtree(part, ignore_errors=True)

    def _load(self, staged: StagedImage | StagedOutput) -> Any:
        path = self._staging / staged.path
        try:
            return self._filemanager.load(path, Backend.DISK)
        except (UnreadableImageError, UnknownFormatError, MetadataError, DataNotFoundError) as error:
            if refused_by_system(error):
                raise
            raise BrokenStageError(f"the staged files of well {self._staged.well} are damaged: {error}") from error

    def _images(self, target: str) -> list[tuple[CompiledStep, StagedImage]]:
        steps = {step.name: step for step in self._plan.steps if target in step.materialize}
        return [(steps[image.step], image) for image in self._staged.images if image.step in steps]

    # --- plate.zarr ----------------------------------------------------------------------------------------------

    def _write_zarr(self) -> list[dict[str, Any]]:
        images = self._images("zarr")
        if not images:
            return []
        store, well = self._results / STORE_NAME, self._staged.well
        planes = WellPlanes(store, well, {}, {})
        facts = []
        for step, image in images:
            stack = self._load(image)
            is_label = step.kind != ImageKind.INTENSITY
            taken = planes.labels.setdefault(step.name, {}) if is_label else planes.images
            taken.update(zip(image.keys(well), stack, strict=True))
            dtype = LABEL_DTYPE if is_label else stack.dtype
            facts.append(
                {
                    "step": step.name,
                    "field": image.field,
                    "timepoint": image.timepoint,
                    "channel": image.channel,
                    "shape": list(stack.shape),
                    "dtype": dtype.name,
                }
            )
        metadata = FieldMetadata(
            channel_names=dict(self._plan.channels),
            calibrations=self._calibrations([image for _, image in images]),
            stage_y_up=self._stage_y_up,
        )
        write_zarr_well(planes, config=self._plan.settings.zarr, metadata=metadata, replace=self._replace)
        folder = well_folder(store, well)
        names = self._names[folder]
        return [folder_entry(self._results, folder, {"images": facts}, names=names) | {"names": names}]

    def _calibrations(self, images: Sequence[StagedImage]) -> dict[int, FieldCalibration]:
        """Return pixel sizes and position of each field.

        Raises
        ------
        MaterializationError
            Images that share one scale have different pixel sizes: those of a field, or with the layouts WELL and FILE
            those of the well.
        """
        by_field: dict[int, dict[str, FieldCalibration]] = {}
        for image in images:
            flat = image.projection != Projection.NONE
            own = image.calibration._replace(z_spacing_um=None) if flat else image.calibration
            by_field.setdefault(image.field, {})[f"field {image.field} channel {image.channel}"] = own
        in_one = self._plan.settings.zarr.chunk_strategy != ZarrChunkStrategy.FIELD
        for named in [reduce(or_, by_field.values())] if in_one else by_field.values():
            if common(named.values()) is None:
                raise MaterializationError(
                    f"plate.zarr has one scale for {'a well' if in_one else 'a field'}, but images of well "
                    f"{self._staged.well} have different pixel sizes: {describe_sizes(named)}; write them as tiff"
                    + (", or set zarr.chunk_strategy: field" if in_one else "")
                )
        return {field: common(named.values()) or UNKNOWN for field, named in by_field.items()}

    # --- files ---------------------------------------------------------------------------------------------------

    def _note(self, kind: ResultFolder, path: str | Path, facts: Mapping[str, Any]) -> None:
        """Keep *facts* about a file that was written, for the manifest."""
        self._facts[kind][Path(path).relative_to(self._parts[kind]).as_posix()] = dict(facts)

    def _replace(self, staged: Path, final: Path) -> None:
        self._names[final] = replace_folder(self._results, _RULE, staged, final, well=self._staged.well)

    def _move_in(self, kind: ResultFolder) -> list[dict[str, Any]]:
        if not self._facts[kind]:
            return []
        final = self._results / kind / self._staged.well
        self._replace(self._parts[kind], final)
        return [file_entry(self._results, final / name, facts) for name, facts in self._facts[kind].items()]

    def _write_tiffs(self) -> None:
        compression = self._plan.settings.tiff.compression
        for step, image in self._images("tiff"):
            for plane, key in zip(self._load(image), image.keys(self._staged.well), strict=True):
                path = self._parts["images"] / step.sub_dir / plane_name(key)
                pixels = _narrow_labels(plane) if step.kind == ImageKind.LABELS else plane
                size = image.calibration.pixel_size_um
                self._filemanager.save(pixels, path, Backend.DISK, pixel_size_um=size, compression=compression)
                self._note("images", path, {"shape": list(pixels.shape), "dtype": pixels.dtype.name})

    def _write_rois(self) -> None:
        for step, image in self._images("roi"):
            name = f"{self._staged.well}_{field_name(image.field)}_w{image.channel}_t{image.timepoint:03d}"
            place = ImagePlace(image.channel, image.z, image.timepoint)
            stack = self._load(image)
            base = self._parts["rois"] / step.sub_dir / name
            written = write_option(ROIOptions(), stack, base, self._filemanager, place=place)
            self._note("rois", written, {"shape": list(stack.shape)})

    def _write_outputs(self) -> None:
        """Write special outputs: tables and values to ``tables/``, regions to ``rois/``, stacks to ``images/``."""
        specs = {name: output.spec for name, output in self._plan.special_outputs().items()}
        for output in self._staged.outputs:
            spec = specs[output.name]
            if spec is None:
                raise BrokenStageError(f"well {self._staged.well} was staged for another plan: {output.name!r}")
            option = spec.options[output.option]
            data = self._load(output)
            sizes = output.calibration
            place = ImagePlace(output.channel, None, output.timepoint, sizes.pixel_size_um, sizes.z_spacing_um)
            name = output.name if output.field is None else f"{output.name}_{output.place_name}"
            written = write_option(option, data, self._parts[option.folder] / name, self._filemanager, place=place)
            self._note(option.folder, written, _content(data) | self._counts(option, data, written))

    def _counts(self, option: OutputType, data: Any, path: str) -> dict[str, int]:
        """Return what the manifest counts of an output, and write it to the log."""
        counts = option.counts(data)
        for name, number in counts.items():
            _logger.info("well %s: %s: %s: %d", self._staged.well, Path(path).name, name.replace("_", " "), number)
        return counts

    # --- thumbnail -----------------------------------------------------------------------------------------------

    def thumbnail(self, info: Plate) -> Any:
        """Return the well's picture for the report: the stored image with the outlines of the last labels."""
        from wellfield.results.thumbnails import well_thumbnail

        written = [step for step in self._plan.steps if step.materialize]
        intensity = next((step for step in written if step.kind == ImageKind.INTENSITY), None)
        thumbnail = no_thumbnail()
        if intensity is not None:
            alike = [s for s in written if s.kind == ImageKind.LABELS and s.merged == intensity.merged]
            channel = next(
                (c for c in (alike[-1].channels if alike else ()) if c in intensity.channels), intensity.channels[0]
            )
            outlines = self._planes_of(alike[-1], channel) if alike else {}
            pictures = {field: (p, outlines.get(field)) for field, p in self._planes_of(intensity, channel).items()}
            if intensity.merged and pictures:
                thumbnail = well_thumbnail({1: pictures[WHOLE_WELL]}, grid=(1, 1), field_count=1)
            elif pictures:
                thumbnail = well_thumbnail(pictures, grid=info.grid_dimensions, field_count=info.field_count)
        return thumbnail

    def _planes_of(self, step: CompiledStep, channel: int) -> dict[int, Any]:
        """Return the middle plane at the first timepoint of every field where the channel was not blanked."""
        blanked = {parse_plane_name(entry["plane"]) for entry in self._staged.planes.blanked}
        black = {(key.field, key.timepoint) for key in blanked if key.channel == channel}
        first = min((image.timepoint for image in self._staged.images), default=1)
        return {
            image.field: stack[len(stack) // 2]
            for image in self._staged.images
            if (image.step, image.channel, image.timepoint) == (step.name, channel, first)
            and (image.field, image.timepoint) not in black
            for stack in [self._load(image)]
        }


def _content(data: Any) -> dict[str, Any]:
    """Return what the manifest says about a table or array. It keeps the types of columns, which CSV does not."""
    if hasattr(data, "num_rows"):
        return {"rows": data.num_rows, "columns": {column.name: str(column.type) for column in data.schema}}
    return {"shape": list(data.shape), "dtype": data.dtype.name} if hasattr(data, "shape") else {}


def _narrow_labels(plane: Any) -> Any:
    """Return labels as uint16, which every viewer opens, if all ids fit, else as uint32. No id changes."""
    return plane.astype("uint16" if plane.max(initial=0) <= 65_535 else "uint32")
