"""The input of a well's run: its planes by key, the account of them, and errors that say where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wellfield.errors import StepError
from wellfield.plate.calibration import FieldCalibration
from wellfield.plate.keys import WHOLE_WELL, FieldKey, PlaneKey
from wellfield.storage.filemanager import FileManager

if TYPE_CHECKING:
    from wellfield.pipeline.plan import CompiledStep

NOWHERE = (float("nan"), float("nan"))


@dataclass
class PlaneAccount:
    """How many planes of a well were used, and which were missing, skipped or blanked."""

    used: int = 0
    missing: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    blanked: list[dict[str, str]] = field(default_factory=list)
    skipped_fields: dict[str, str] = field(default_factory=dict)


class FieldSkipped(Exception):
    """A policy leaves the current field out."""


@dataclass(frozen=True)
class WellInput:
    """The planes of one well, by key.

    Parameters
    ----------
    planes:
        Key → path in *backend*.
    describe:
        Path → how errors name the file.
    folder:
        The plate folder; ``None`` if the planes are not files.
    shape, dtypes:
        Size of the plate's planes and dtype of each channel, if known. Planes are compared with them, and a blanked
        plane gets them.
    stage_positions_um:
        Field → x and y of the stage.
    calibrations:
        Pixel size, z spacing and place of a field's channel; by default those of the plan.
    stage_y_up:
        The stage's y rises towards the top of the images.
    illumination:
        Channel → its fitted illumination.
    intermediate:
        Backend and folder in it where images live between steps.
    """

    plate: str
    well: str
    planes: Mapping[PlaneKey, str]
    filemanager: FileManager
    backend: str
    describe: Callable[[str], str] = str
    folder: str | None = None
    shape: tuple[int, int] | None = None
    dtypes: Mapping[int, str] = field(default_factory=dict)
    stage_positions_um: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    calibrations: Mapping[tuple[FieldKey, int], FieldCalibration] = field(default_factory=dict)
    stage_y_up: bool = False
    illumination: Mapping[int, Any] = field(default_factory=dict)
    intermediate: tuple[str, str] = ("memory", "/")

    def fields_by_timepoint(self) -> dict[int, list[FieldKey]]:
        """Return all fields of the well, by timepoint."""
        found: dict[int, list[FieldKey]] = {}
        for key in sorted({key.field_key for key in self.planes}):
            found.setdefault(key.timepoint, []).append(key)
        return dict(sorted(found.items()))


class WellStepError(StepError):
    """A step failed on one field; *details* says where, as it goes into the manifest."""

    def __init__(
        self,
        reason: str,
        *,
        plate: str,
        key: FieldKey,
        channel: int | None = None,
        step: str | None = None,
        file: str | None = None,
    ) -> None:
        whole = key.field == WHOLE_WELL
        self.details: dict[str, Any] = {
            "message": reason,
            "step": step,
            "field": None if whole else key.field,
            "timepoint": key.timepoint,
            "channel": channel,
            "file": file,
        }
        where = [f"plate {plate}", f"well {key.well}", "all fields" if whole else f"field {key.field}"]
        where += [f"timepoint {key.timepoint}"]
        where += [f"channel {channel}"] if channel is not None else []
        where += [f"file {file}"] if file else []
        super().__init__(f"{', '.join(where)}: {f'step {step}' if step else 'reading'} failed: {reason}")


def step_error(well: WellInput, step: CompiledStep, key: FieldKey, channel: int | None, reason: str) -> WellStepError:
    """Return the error of a step on a field, or on the whole well."""
    where = f"{step.number} ({step.name})"
    return WellStepError(reason, plate=well.plate, key=key, channel=channel, step=where)
