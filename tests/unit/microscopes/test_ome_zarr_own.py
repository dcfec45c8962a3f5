"""Stores that Wellfield wrote, as input: planes keep their numbers, in every layout."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.interop.plates import CHANNEL_NAMES, CHANNELS, MISSING, SHAPE, TIMEPOINTS, WELLS, Z, ids, write_plate
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.storage import VirtualWorkspaceBackend, ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

Read = Callable[[Path], ParsedPlate]
versions = pytest.mark.parametrize("version", ["0.4", "0.5"])
layouts = pytest.mark.parametrize("strategy", list(ZarrChunkStrategy))


@versions
@layouts
def test_every_plane_comes_back_under_its_key(
    tmp_path: Path, read: Read, strategy: ZarrChunkStrategy, version: str
) -> None:
    plate = write_plate(tmp_path / "plate.zarr", strategy, version)
    contents = read(tmp_path / "plate.zarr")
    expected = {
        PlaneKey(well, field, channel, z, time)
        for well, fields in WELLS.items()
        for field in fields
        for channel in CHANNELS
        for z in Z
        for time in TIMEPOINTS
    } - {MISSING}
    images = [plane for plane in contents.planes if plane.key.channel not in contents.plate.label_channels]
    assert {plane.key for plane in images} == expected
    assert contents.promised == {"planes": [plane_name(MISSING)]}
    names = dict(zip(CHANNELS, CHANNEL_NAMES, strict=True))
    assert {n: name for n, name in contents.plate.channels.items() if n not in contents.plate.label_channels} == names
    assert (contents.plate.shape, contents.plate.dtype) == (SHAPE, "uint16")
    assert (contents.plate.pixel_size_um, contents.plate.z_spacing_um) == (0.65, 2.5)
    assert all(np.isnan(plane.stage_x_um) for plane in contents.planes)
    workspace = VirtualWorkspaceBackend(tmp_path / "plate.zarr", {plane_name(p.key): p.path for p in contents.planes})
    loaded = workspace.load_batch([plane_name(plane.key) for plane in images])
    for plane, found in zip(images, loaded, strict=True):
        assert (found == plate.plane(plane.key)).all()


@versions
def test_labels_come_back_with_the_planes_of_their_field(tmp_path: Path, read: Read, version: str) -> None:
    write_plate(tmp_path / "plate.zarr", ZarrChunkStrategy.FIELD, version)
    contents = read(tmp_path / "plate.zarr")
    (channel,) = contents.plate.label_channels
    assert contents.plate.channels[channel] == "labels/nuclei"
    labels = [plane for plane in contents.planes if plane.key.channel == channel]
    assert {key.z for key, *_ in labels} == set(Z)
    assert {key.timepoint for key, *_ in labels} == set(TIMEPOINTS)
    workspace = VirtualWorkspaceBackend(tmp_path / "plate.zarr", {plane_name(p.key): p.path for p in labels})
    for plane in labels:
        assert (workspace.load(plane_name(plane.key)) == ids(plane.key.field)).all()


@versions
@layouts
def test_projections_stay_projections(tmp_path: Path, read: Read, strategy: ZarrChunkStrategy, version: str) -> None:
    store = tmp_path / "plate.zarr"
    key = PlaneKey("C03", 4, 2, 0, 3, Projection.MAX)
    config = ZarrConfig(chunk_strategy=strategy, ngff_version=version)
    image = np.full((16, 16), 5, np.uint16)
    ZarrStorageBackend().save_batch([image], [store / plane_name(key)], chunk_name="well_C03", zarr_config=config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        finalize_plate(store, ["C03"], name="P")
    assert [plane.key for plane in read(store).planes] == [key]
