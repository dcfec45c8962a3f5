"""Arrays that Wellfield writes, read as plain Zarr: by zarr-python and by TensorStore."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.interop.plates import DTYPES, LEVELS, VERSIONS, PlateOf
from wellfield.storage import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

EVERY_PLATE = [
    pytest.param(strategy, version, dtype, id=f"{strategy}-{version}-{dtype}")
    for strategy in ZarrChunkStrategy
    for version in VERSIONS
    for dtype in DTYPES
]


@pytest.mark.parametrize(("strategy", "version", "dtype"), EVERY_PLATE)
def test_zarr_python_reads_what_was_written(
    plate_of: PlateOf, strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    written = plate_of(strategy, version, dtype)
    for path, pixels in written.images.items():
        array = zarr.open_array(written.store / path / "0", mode="r")
        assert array.dtype == dtype
        np.testing.assert_array_equal(array[:], pixels)


@pytest.mark.parametrize(("strategy", "version", "dtype"), EVERY_PLATE)
def test_tensorstore_reads_what_was_written(
    plate_of: PlateOf, strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    import tensorstore

    written = plate_of(strategy, version, dtype)
    driver = {"0.5": "zarr3", "0.4": "zarr"}[version]
    axes = "tczyx" if strategy == ZarrChunkStrategy.FIELD else ("field", *"czyx")
    for path, pixels in written.images.items():
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{written.store / path / '0'}/"}}
        array = tensorstore.open(spec, read=True).result()
        found = array.read().result()
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, pixels)
        # Zarr v2 has no names of axes.
        assert array.domain.labels == (tuple(axes) if version == "0.5" else ("",) * 5)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_level_of_a_label_has_the_ids_that_were_written(plate_of: PlateOf, version: str) -> None:
    written = plate_of(ZarrChunkStrategy.FIELD, version)
    for path, ids in written.labels.items():
        group = zarr.open_group(written.store / path / "labels/nuclei", mode="r")
        np.testing.assert_array_equal(group["0"][:], ids)
        for level, shape in enumerate(LEVELS):
            assert group[str(level)].shape[-2:] == shape
            assert np.unique(group[str(level)][:]).tolist() == np.unique(ids).tolist()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("strategy", ZarrChunkStrategy)
def test_planes_of_several_chunks_are_read_in_their_places(
    tmp_path: Path, strategy: ZarrChunkStrategy, version: str
) -> None:
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 2**16, (2, 1600, 2161)).astype(np.uint16)
    store = tmp_path / "plate.zarr"
    paths = [store / f"A01_s001_w{channel}_z001_t001.tif" for channel in (1, 2)]
    config = ZarrConfig(strategy, ngff_version=version)
    ZarrStorageBackend().save_batch(list(stack), paths, chunk_name="A01", zarr_config=config)
    array = zarr.open_array(store / "A/01/1/0", mode="r")
    assert (array.chunks[-2:] == stack.shape[-2:]) == (strategy != ZarrChunkStrategy.FIELD)
    np.testing.assert_array_equal(array[0, :, 0], stack)
    if strategy == ZarrChunkStrategy.FIELD:
        level = zarr.open_array(store / "A/01/1/1", mode="r")[0, 0, 0]
        corner = stack[0, 1598:, 2158:2160].astype(float)
        assert abs(level[-1, 1079] - corner.mean()) <= 0.5
