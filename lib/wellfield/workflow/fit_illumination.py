"""fit: estimate the illumination of a plate, once, from a fixed sample of its raw planes."""

from __future__ import annotations

import math
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, DataNotFoundError, PipelineError, UnreadableImageError
from wellfield.faults import error_text, fails_plane
from wellfield.formats.atomic import part_path
from wellfield.formats.checked_json import OwnJson
from wellfield.formats.json_files import write_json
from wellfield.formats.npy import read_npy, write_npy
from wellfield.formats.plane_files import check_plane
from wellfield.microscopes.virtual_paths import virtual_path
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.keys import Projection, plane_name
from wellfield.plate.plate import Plate
from wellfield.processing.flatfield_correction import illumination_of_profile
from wellfield.processing.illumination_model import Illumination, fit_illumination
from wellfield.results.paths import PlateFile
from wellfield.results.records import write_plate_record
from wellfield.results.removal import replace_folder
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
from wellfield.workflow.modification_guard import PlaneWatch

ILLUMINATION_SCHEMA_VERSION = 1
FIT_NAME = Path(PlateFile.ILLUMINATION).name
FIT = OwnJson(
    "fitted illumination",
    ILLUMINATION_SCHEMA_VERSION,
    {
        "plate": str,
        "channels": {
            str: (
                {
                    "background": float,
                    "planes?": [str],
                    "skipped?": [dict],
                    "clipped_pixels?": int,
                    "uncertainty?": float,
                },
                {"error": str},
            )
        },
    },
    "Delete its folder, and the next run fits the illumination again",
)
_RULE = "fit_illumination"

# Planes per channel. More planes hardly improve the fit, and take longer to read.
SAMPLE_SIZE = 200
SEED = 0


def fit_plate(
    index: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    source: str,
    method: str = "fitted",
    sample_size: int = SAMPLE_SIZE,
) -> dict[str, Any]:
    """Fit the illumination of every channel; write the flat fields and facts about the fit to *folder*, in one step.

    With the *method* ``"microscope"``, the profiles that the microscope itself measured are used instead.

    The sample depends only on the plate index and a fixed seed. Planes of all wells and fields have the same chance; of
    a z stack only the middle plane is used. Planes that cannot be read are left out and listed; a plane that changes
    while it is read is an error.

    Returns
    -------
    The content of ``illumination.json``.

    Raises
    ------
    PipelineError
        No channel can be fitted.
    WellStepError
        The file of a plane changed while the sample was read.
    """
    info, planes = read_index(index)
    workspace = VirtualWorkspaceBackend(info.path, {virtual_path(plane): plane.path for plane in planes})
    final = Path(folder)
    part = part_path(final)
    channels: dict[str, Any] = {}
    try:
        keys = (plane.key for plane in planes if plane.key.channel not in info.label_channels)
        for channel, layers in choose_sources(keys, source).items():
            usable = [p for p in planes if p.key.channel == channel and p.key.projection == layers.projection]
            try:
                if method == "microscope":
                    fitted, facts = _measured(info, channel), dict[str, Any]()
                else:
                    middle = layers.z[len(layers.z) // 2] if layers.projection == Projection.NONE else 0
                    sample = _sample([p for p in usable if p.key.z == middle], sample_size)
                    fitted, facts = _fitted(sample, workspace, info)
            except PipelineError as error:  # not fatal: the channel may not need correction
                channels[str(channel)] = {"name": info.channels.get(channel), "error": str(error)}
                continue
            write_npy(part / f"w{channel}.npy", fitted.flatfield)
            if not isinstance(fitted.background, float):
                write_npy(part / f"w{channel}_background.npy", fitted.background)
            channels[str(channel)] = {
                "name": info.channels.get(channel),
                "method": method,
                "background": float(np.mean(fitted.background)),
                "flatfield_range": [float(fitted.flatfield.min()), float(fitted.flatfield.max())],
                **facts,
            }
        if all("error" in entry for entry in channels.values()):
            raise PipelineError("; ".join(f"channel {n}: {entry['error']}" for n, entry in channels.items()))
        data = {"schema_version": ILLUMINATION_SCHEMA_VERSION, "plate": info.name, "seed": SEED, "channels": channels}
        write_json(part / FIT_NAME, data)
        names = replace_folder(final.parent, _RULE, part, final)
        of = {"source": source, "method": method}
        write_plate_record(final.parent, _RULE, [final / name for name in names], of=of)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return data


def read_fit(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of ``illumination.json``, after a check of its structure."""
    return FIT.read(path)


def read_illumination(folder: str | os.PathLike[str], channel: int) -> Illumination:
    """Return the fitted illumination of a channel.

    Raises
    ------
    SchemaVersionError
        Another version of Wellfield wrote it.
    DataNotFoundError
        This channel was not part of the fit.
    PipelineError
        This channel could not be fitted.
    """
    path = Path(folder, FIT_NAME)
    data = read_fit(path)
    entry = data["channels"].get(str(channel))
    if entry is None:
        raise DataNotFoundError(
            f"{path} has no channel {channel}; it has {', '.join(data['channels'])}. Delete the folder to have the "
            "illumination fitted again"
        )
    if "error" in entry:
        raise PipelineError(f"channel {channel}: {entry['error']}")
    flatfield, background = read_npy(Path(folder, f"w{channel}.npy")), Path(folder, f"w{channel}_background.npy")
    return Illumination(
        flatfield,
        read_npy(background) if background.exists() else entry["background"],
        len(entry.get("planes", ())) - len(entry.get("skipped", ())),
        entry.get("clipped_pixels", 0),
        entry.get("uncertainty", math.nan),
    )


def _measured(info: Plate, channel: int) -> Illumination:
    """Return the illumination of a channel that the microscope measured."""
    if channel not in info.flatfields:
        raise PipelineError(
            "the microscope stored no flat field of this channel that has background and foreground (the ingest report "
            "says what is lacking); fit it (illumination: fitted)"
        )
    if info.shape is None:
        raise PipelineError("the size of the plate's images is unknown: none could be opened")
    return illumination_of_profile(info.flatfields[channel], info.shape)


def _fitted(
    sample: Sequence[PlaneRecord], workspace: VirtualWorkspaceBackend, info: Plate
) -> tuple[Illumination, dict[str, Any]]:
    """Return the illumination that fits a sample, and the facts about the fit."""
    skipped: list[dict[str, str]] = []
    try:
        fitted = fit_illumination(_read(sample, workspace, info, skipped))
    except PipelineError as error:
        names = ", ".join(entry["file"] for entry in skipped[:3])
        raise PipelineError(
            f"{error} (left out: {len(skipped)} planes, such as {names})" if skipped else str(error)
        ) from error
    return fitted, {
        "planes": [plane_name(plane.key) for plane in sample],
        "skipped": skipped,
        "clipped_pixels": fitted.clipped,
        "uncertainty": fitted.uncertainty,
    }


def _sample(planes: Sequence[PlaneRecord], size: int) -> list[PlaneRecord]:
    ordered = sorted(planes, key=lambda plane: plane.key)
    if len(ordered) <= size:
        return ordered
    return sorted(random.Random(SEED).sample(ordered, size), key=lambda plane: plane.key)


def _read(
    sample: Sequence[PlaneRecord],
    workspace: VirtualWorkspaceBackend,
    info: Plate,
    skipped: list[dict[str, str]],
) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the usable planes; add the others to *skipped* with the reason. At the end, raise if a plane changed."""
    watch = PlaneWatch(info, sample, during="the illumination was fitted")
    dtypes = info.dtypes()
    for plane in sample:
        try:
            pixels = workspace.load(virtual_path(plane))
            check_plane(pixels.shape, source="the image")
            if info.shape not in (None, pixels.shape) or dtypes.get(plane.key.channel) not in (None, pixels.dtype.name):
                raise ArrayShapeError(f"the image is {pixels.dtype} of shape {list(pixels.shape)}")
            if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
                raise UnreadableImageError("the image has NaN or infinite pixels")
        except Exception as error:
            if not fails_plane(error, info.path):
                raise
            skipped.append({"plane": plane_name(plane.key), "file": plane.path, "reason": error_text(error)})
            continue
        yield pixels
    if changed := watch.changed():
        raise changed
