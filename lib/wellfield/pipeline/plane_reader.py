"""Reads the planes that a pipeline starts from, and applies the policies for missing and unreadable ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError
from wellfield.faults import error_text, fails_plane, refused_by_system
from wellfield.formats.plane_files import check_plane
from wellfield.memory import stack_slices
from wellfield.pipeline.plan import Plan, PlaneAxis
from wellfield.pipeline.well_input import FieldSkipped, PlaneAccount, WellInput, WellStepError
from wellfield.plate.calibration import FieldCalibration
from wellfield.plate.keys import FieldKey, PlaneKey, Projection, plane_name


class PlaneReader:
    """Reads stacks of a well; *account* counts its planes: used, missing, skipped, blanked."""

    def __init__(self, plan: Plan, well: WellInput, account: PlaneAccount) -> None:
        self._plan = plan
        self._well = well
        self._account = account
        self._used: set[PlaneKey] = set()

    def channels_of(self, key: FieldKey) -> set[int]:
        """Return the channels of which a field has a plane, among those that the pipeline starts from; reads no file.

        Raises
        ------
        FieldSkipped, StepError
            A plane is missing and the policy is ``skip_field``, or ``fail``.
        """
        policy = self._plan.settings.on_missing
        found = set()
        for channel in self._plan.start_channels:
            expected = self._expected(key, channel)
            missing = [plane_name(plane) for plane in expected if plane not in self._well.planes]
            self._account.missing += missing
            if missing and policy == "fail":
                reason = f"plane {missing[0]} is missing and on_missing is 'fail'"
                raise WellStepError(reason, plate=self._well.plate, key=key, channel=channel)
            if missing and policy == "skip_field":
                raise FieldSkipped(f"plane {missing[0]} is missing and on_missing is 'skip_field'")
            if len(missing) < len(expected):
                found.add(channel)
        return found

    def read(self, key: FieldKey, channel: int) -> tuple[Any, PlaneAxis]:
        """Return the stack of one channel ``[Z, Y, X]`` in the plan's start type, and what its planes are.

        Raises
        ------
        FieldSkipped, StepError
            A plane cannot be read and the policy is ``skip_field``, or ``fail``.
        """
        keys = [plane for plane in self._expected(key, channel) if plane in self._well.planes]
        planes: list[Any] = []
        for plane in keys:
            first = next((loaded for loaded in planes if loaded is not None), None)
            planes.append(self._read_plane(plane, first))
        read = [plane for plane in planes if plane is not None]
        self._used.update(plane for plane, loaded in zip(keys, planes, strict=True) if loaded is not None)
        self._account.used = len(self._used)
        usual = FieldCalibration(self._plan.pixel_size_um, self._plan.z_spacing_um)
        calibration = self._well.calibrations.get((key, channel), usual)
        axis = PlaneAxis(tuple(plane.z for plane in keys), self._plan.sources[channel].projection, calibration)
        stack = [self._black(keys[0], read) if plane is None else plane for plane in planes]
        return stack_slices(stack, self._plan.start_type), axis

    def _expected(self, key: FieldKey, channel: int) -> list[PlaneKey]:
        layers = self._plan.sources[channel]
        if layers.timepoints and key.timepoint not in layers.timepoints:
            return []
        if layers.projection != Projection.NONE:
            return [PlaneKey(key.well, key.field, channel, 0, key.timepoint, layers.projection)]
        return [PlaneKey(key.well, key.field, channel, z, key.timepoint) for z in layers.z]

    def _black(self, key: PlaneKey, read: Sequence[Any]) -> Any:
        """Return the black plane that replaces an unreadable one, with size and dtype of its stack or the plate."""
        if read:
            return np.zeros_like(read[0])
        if self._well.shape is None:
            reason = "no plane of the stack can be read, and the size of the plate's planes is not known"
            raise WellStepError(reason, plate=self._well.plate, key=key.field_key, channel=key.channel)
        return np.zeros(self._well.shape, self._well.dtypes.get(key.channel, "uint16"))

    def _read_plane(self, key: PlaneKey, first: Any | None) -> Any | None:
        """Return a plane, or ``None`` for one that must be blanked.

        Size and dtype are compared with the whole plate, not with the stack alone: a well of another bit depth must
        not be counted and measured like the others.
        """
        path = self._well.planes[key]
        try:
            plane = self._well.filemanager.load(path, self._well.backend)
            check_plane(plane.shape, source="the image")
            shape = tuple(first.shape) if first is not None else self._well.shape
            if shape is not None and plane.shape != shape:
                raise ArrayShapeError(f"the image has shape {list(plane.shape)}; expected {list(shape)}")
            found = _dtype_name(plane)
            dtype = self._well.dtypes.get(key.channel, None if first is None else _dtype_name(first))
            if dtype is not None and found != dtype:
                raise ArrayShapeError(
                    f"the image has dtype {found}; expected {dtype}, as the plate's other planes of channel "
                    f"{key.channel}: export it again like them, or leave its well out of the plate sheet"
                )
        except Exception as error:
            if not fails_plane(error, self._well.folder):
                raise
            self._unreadable(key, path, error)
            return None
        return plane

    def _unreadable(self, key: PlaneKey, path: str, error: Exception) -> None:
        """Apply the policy for a plane that cannot be read."""
        file, policy = self._well.describe(path), self._plan.settings.on_unreadable
        reason = error_text(error)
        if refused_by_system(error):  # the file itself need not change before it can be read
            reason += "; when it can be read again, redo the well with --forcerun"
        entry = {"plane": plane_name(key), "file": file, "reason": reason}
        if policy == "fail":
            raise WellStepError(
                reason, plate=self._well.plate, key=key.field_key, channel=key.channel, file=file
            ) from error
        noted = self._account.skipped if policy == "skip_field" else self._account.blanked
        if entry not in noted:  # a channel may be read again, after a step over all fields
            noted.append(entry)
        if policy == "skip_field":
            raise FieldSkipped(f"plane {plane_name(key)} cannot be read: {reason}")


def _dtype_name(plane: Any) -> str:
    """Return the name of an array's dtype, without byte order."""
    return str(getattr(plane.dtype, "name", plane.dtype))
