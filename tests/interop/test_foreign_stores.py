"""Stores that other programs made: errors say so, and not a byte of them changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from wellfield.errors import ForeignStoreError, WellfieldError
from wellfield.storage import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

PLANE = np.ones((4, 5), np.uint16)

# A store, and a well of it whose folder is where ours would be.
WITH_WELL = [
    pytest.param("single-plane-hcs.zarr", "E07", marks=pytest.mark.realdata),
    pytest.param("made by ome-zarr-py", "A01"),
]
# A plate with other names of folders (A/1), and images that are no plates.
WITHOUT_WELL = [pytest.param(name, marks=pytest.mark.realdata) for name in ("hcs.zarr", "2d.zarr", "bf2raw.zarr")]
EVERY_STORE = [*(pytest.param(case.values[0], marks=case.marks) for case in WITH_WELL), *WITHOUT_WELL]

# ome-zarr-py 0.18 evaluates a default argument of its own deprecated class when its modules are imported.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")


@pytest.fixture
def store_of(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a copy of somebody's store."""

    def copied(name: str) -> Path:
        if name == "made by ome-zarr-py":
            return _made_by_ome_zarr_py(tmp_path / "plate.zarr")
        return shutil.copytree(request.getfixturevalue("real_plates") / "ome_zarr" / name, tmp_path / name)

    return copied


@pytest.mark.parametrize(("name", "well"), WITH_WELL)
def test_reading_a_plane_says_whose_well_it_is(store_of: Callable[[str], Path], name: str, well: str) -> None:
    store = store_of(name)
    backend = ZarrStorageBackend()
    plane = store / f"{well}_s001_w1_z001_t001.tif"
    for read in (backend.load, lambda plane: backend.load_batch([plane])):
        with pytest.raises(ForeignStoreError, match=f"{_path(well)} was not written by Wellfield"):
            read(plane)
    assert not backend.exists(plane)
    theirs = backend.list_files(store, recursive=True)  # the arrays of their images, which are no planes of ours
    assert theirs
    for path in theirs:
        np.testing.assert_array_equal(backend.load(path), zarr.open_array(path, mode="r")[...])


@pytest.mark.parametrize("name", WITHOUT_WELL)
def test_a_plane_of_a_store_without_our_wells_is_not_there(store_of: Callable[[str], Path], name: str) -> None:
    plane = store_of(name) / "A01_s001_w1_z001_t001.tif"
    assert not ZarrStorageBackend().exists(plane)
    with pytest.raises(WellfieldError, match=name):
        ZarrStorageBackend().load(plane)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "array"), [("single-plane-hcs.zarr", "E/07/0/0"), ("hcs.zarr", "A/1/0/0"), ("2d.zarr", "0")]
)
def test_their_arrays_are_read_by_path(store_of: Callable[[str], Path], name: str, array: str) -> None:
    folder = store_of(name) / array
    pixels = zarr.open_array(folder, mode="r")[:]
    assert pixels.size
    np.testing.assert_array_equal(ZarrStorageBackend().load(folder), pixels)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("strategy", ZarrChunkStrategy)
@pytest.mark.parametrize(("name", "well"), WITH_WELL)
def test_a_well_of_theirs_is_not_replaced(
    store_of: Callable[[str], Path], name: str, well: str, strategy: ZarrChunkStrategy, version: str
) -> None:
    store = store_of(name)
    before = _content(store)
    with pytest.raises(ForeignStoreError, match=rf"{store.name} was not written by Wellfield.* left as it is"):
        _save(store, well, ZarrConfig(chunk_strategy=strategy, ngff_version=version))
    assert _content(store) == before


@pytest.mark.parametrize("wanted", ["theirs", "another", "none"])
@pytest.mark.parametrize(("name", "well"), WITH_WELL)
def test_a_plate_of_theirs_is_not_finalized(store_of: Callable[[str], Path], name: str, well: str, wanted: str) -> None:
    store = store_of(name)
    before = _content(store)
    with pytest.raises(ForeignStoreError, match=rf"{store.name} was not written by Wellfield"):
        finalize_plate(store, {"theirs": [well], "another": ["H12"], "none": []}[wanted], name="Ours")
    assert _content(store) == before


@pytest.mark.parametrize("name", WITHOUT_WELL)
def test_a_store_without_our_wells_is_not_finalized(store_of: Callable[[str], Path], name: str) -> None:
    store = store_of(name)
    before = _content(store)
    with pytest.raises(ForeignStoreError, match=name):
        finalize_plate(store, ["A01"], name="Ours")
    assert _content(store) == before


@pytest.mark.parametrize("name", EVERY_STORE)
def test_no_well_of_ours_is_put_into_a_store_of_theirs(store_of: Callable[[str], Path], name: str) -> None:
    store = store_of(name)
    before = _content(store)
    with pytest.raises(ForeignStoreError, match=store.name):
        _save(store, "H12", ZarrConfig())
    assert _content(store) == before


def _save(store: Path, well: str, config: ZarrConfig) -> None:
    ZarrStorageBackend().save_batch([PLANE], [store / f"{well}_s001_w1_z001_t001.tif"], zarr_config=config)


def _path(well: str) -> str:
    return f"{well[0]}/{well[1:]}"


def _content(store: Path) -> dict[str, Any]:
    """Return every file of a store with its bytes, and every folder."""
    return {str(path.relative_to(store)): path.read_bytes() if path.is_file() else None for path in store.rglob("*")}


def _made_by_ome_zarr_py(store: Path) -> Path:
    """Write a plate of version 0.5 with one well as its authors' library does."""
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

    root = zarr.open_group(store, mode="w", zarr_format=3)
    write_plate_metadata(root, rows=["A"], columns=["01"], wells=["A/01"], fmt=FormatV05())
    well = root.require_group("A/01")
    write_well_metadata(well, images=["0"], fmt=FormatV05())
    image = well.require_group("0")
    write_image(np.eye(64, dtype=np.uint16), image, axes="yx", fmt=FormatV05(), scale_factors=[2])
    return store
