"""What the groups of a store say, read with plain zarr."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from wellfield.errors import MetadataError
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.display import WindowEstimator
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

LABEL = "labels/nuclei/"
FIELD = ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD)


def save(
    store: Path, names: list[str], metadata: FieldMetadata | None = None, shape: tuple[int, int] = (600, 500)
) -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 1000, shape).astype(np.uint16) for _ in names]
    ZarrStorageBackend().save_batch(planes, [store / name for name in names], metadata=metadata, zarr_config=FIELD)


def stack(channels: tuple[int, ...] = (1,), z: tuple[int, ...] = (1, 2, 3), field: int = 1) -> list[str]:
    return [f"A01_s{field:03d}_w{c}_z{k:03d}_t001.tif" for c in channels for k in z]


def multiscale(folder: Path) -> dict:
    return zarr.open_group(folder, mode="r").attrs["ome"]["multiscales"][0]


def transformations(folder: Path) -> list[dict]:
    return [{t["type"]: t[t["type"]] for t in d["coordinateTransformations"]} for d in multiscale(folder)["datasets"]]


def test_axes_scales_and_half_pixel_translations_are_in_micrometres(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", [*stack(), LABEL + stack()[0]], FieldMetadata(pixel_size_um=0.5, z_spacing_um=2.0))
    image, label = tmp_path / "p.zarr/A/01/1", tmp_path / "p.zarr/A/01/1/labels/nuclei"
    assert transformations(image) == [
        {"scale": [1, 1, 2, 0.5, 0.5]},
        {"scale": [1, 1, 2, 1, 1], "translation": [0, 0, 0, 0.25, 0.25]},
        {"scale": [1, 1, 2, 2, 2], "translation": [0, 0, 0, 0.75, 0.75]},
    ]
    assert transformations(label) == [
        {kind: [values[0], *values[2:]] for kind, values in level.items()} for level in transformations(image)
    ]
    for folder, axes in ((image, "tczyx"), (label, "tzyx")):
        assert "".join(axis["name"] for axis in multiscale(folder)["axes"]) == axes
        assert {axis["name"]: axis.get("unit") for axis in multiscale(folder)["axes"] if axis["type"] == "space"} == {
            "z": "micrometer",
            "y": "micrometer",
            "x": "micrometer",
        }
        assert zarr.open_array(folder / "0", mode="r").metadata.dimension_names == tuple(axes)


def test_unknown_distances_are_one_without_a_unit(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", stack(), FieldMetadata(z_spacing_um=3.0), shape=(100, 100))
    folder = tmp_path / "p.zarr/A/01/1"
    assert transformations(folder) == [{"scale": [1, 1, 3, 1, 1]}]
    assert {axis["name"]: axis.get("unit") for axis in multiscale(folder)["axes"]} == {
        "t": None,
        "c": None,
        "z": "micrometer",
        "y": None,
        "x": None,
    }


def test_z_positions_are_those_of_the_planes_that_were_kept(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", stack(z=(3, 5, 7)), FieldMetadata(z_spacing_um=1.5), shape=(10, 10))
    assert transformations(tmp_path / "p.zarr/A/01/1") == [
        {"scale": [1, 1, 3, 1, 1], "translation": [0, 0, 3, 0, 0]},
    ]


def test_channels_have_names_colours_and_windows(tmp_path: Path) -> None:
    metadata = FieldMetadata(channel_names={1: "DAPI"}, channel_colors={1: "00ffff"}, windows={1: (100, 900)})
    save(tmp_path / "p.zarr", stack((1, 3)), metadata)
    first, third = zarr.open_group(tmp_path / "p.zarr/A/01/1", mode="r").attrs["ome"]["omero"]["channels"]
    assert (first["label"], first["color"]) == ("DAPI", "00FFFF")
    assert first["window"] == {"start": 100, "end": 900, "min": 0, "max": 65535}
    assert (third["label"], third["color"]) == ("w3", "FF0000")
    assert third["window"]["start"] == pytest.approx(10, abs=3)
    assert third["window"]["end"] == pytest.approx(999, abs=3)


def test_a_window_ignores_a_few_hot_pixels_and_the_order_of_planes() -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(100, 200, (300, 300)).astype(np.uint16) for _ in range(4)]
    planes[0][:3, :3] = 60_000
    windows = []
    for order in (planes, planes[::-1]):
        estimator = WindowEstimator(4, (300, 300))
        for plane in order:
            estimator.add(1, plane)
        windows.append(estimator.windows((1,), np.dtype("u2"), {}))
    assert windows[0] == windows[1]
    assert 100 <= windows[0][1].start < windows[0][1].end <= 200


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan, np.inf])
def test_a_window_of_constant_or_missing_floats_is_finite_and_not_empty(value: float) -> None:
    estimator = WindowEstimator(1, (4, 4))
    estimator.add(1, np.full((4, 4), value, np.float32))
    window = estimator.windows((1,), np.dtype("f4"), {})[1]
    assert np.isfinite(window).all()
    assert window.min <= window.start < window.end <= window.max


def test_the_well_lists_its_fields_by_their_numbers_and_labels_their_image(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", [*stack(field=2), *stack(field=10), LABEL + stack(field=10)[0]], shape=(8, 8))
    well = tmp_path / "p.zarr/A/01"
    images = zarr.open_group(well, mode="r").attrs["ome"]["well"]["images"]
    assert [image["path"] for image in images] == ["2", "10"]
    assert "labels" not in zarr.open_group(well / "2", mode="r")
    assert zarr.open_group(well / "10/labels", mode="r").attrs["ome"]["labels"] == ["nuclei"]
    label = zarr.open_group(well / "10/labels/nuclei", mode="r")
    assert label.attrs["ome"]["image-label"]["source"] == {"image": "../../"}
    assert label["0"].dtype == np.uint32


def test_pyramid_levels_are_means_and_nearest_ids_of_level_0(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", [*stack(), LABEL + stack()[0]], shape=(601, 500))
    image = zarr.open_group(tmp_path / "p.zarr/A/01/1", mode="r")
    assert [image[level].shape[-2:] for level in "012"] == [(601, 500), (301, 250), (151, 125)]
    for z in range(3):
        above, level = image["0"][0, 0, z].astype(float), image["1"][0, 0, z]
        np.testing.assert_array_equal(level[:300], np.rint(above[:600].reshape(300, 2, 250, 2).mean(axis=(1, 3))))
        np.testing.assert_array_equal(level[300], np.rint(above[600].reshape(250, 2).mean(axis=1)))
    label = zarr.open_group(tmp_path / "p.zarr/A/01/1/labels/nuclei", mode="r")
    np.testing.assert_array_equal(label["1"][0, 0, :300], label["0"][0, 0, 1:600:2, 1::2])
    np.testing.assert_array_equal(label["2"][0, 0, :150], label["0"][0, 0, 2:600:4, 2::4])


def test_one_shard_holds_a_timepoint_of_a_field_at_a_level(tmp_path: Path) -> None:
    names = [f"A01_s001_w{c}_z{z:03d}_t{t:03d}.tif" for c in (1, 2) for z in (1, 2) for t in (1, 2)]
    save(tmp_path / "p.zarr", names, shape=(1600, 2161))
    folder = tmp_path / "p.zarr/A/01/1"
    array = zarr.open_array(folder / "0", mode="r")
    assert array.chunks == (1, 1, 1, 800, 1081)
    assert array.shards == (1, 2, 2, 1600, 2162)
    for level in range(5):
        assert sum(path.is_file() for path in (folder / str(level) / "c").rglob("*")) == 2
    (codec,) = array.metadata.to_dict()["codecs"][0]["configuration"]["codecs"][1:]
    assert codec["name"] == "blosc"
    assert {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": 2}.items() <= codec[
        "configuration"
    ].items()


@pytest.mark.parametrize(
    "options", [{"pixel_size_um": 0}, {"z_spacing_um": float("nan")}, {"channel_colors": {1: "red"}}]
)
def test_impossible_metadata_is_refused(options: dict) -> None:
    with pytest.raises(MetadataError):
        FieldMetadata(**options)


@pytest.mark.parametrize("strategy", list(ZarrChunkStrategy))
def test_one_level_claims_no_way_of_downsampling(tmp_path: Path, strategy: ZarrChunkStrategy) -> None:
    config = ZarrConfig(chunk_strategy=strategy)
    planes = [np.ones((20, 20), np.uint16)]
    ZarrStorageBackend().save_batch(planes, [tmp_path / "p.zarr" / stack()[0]], zarr_config=config)
    assert "type" not in multiscale(tmp_path / "p.zarr/A/01/1")


def test_levels_say_how_they_were_made(tmp_path: Path) -> None:
    save(tmp_path / "p.zarr", [*stack(), LABEL + stack()[0]])
    image = tmp_path / "p.zarr/A/01/1"
    assert multiscale(image)["type"] == "mean of 2 × 2 pixels"
    assert multiscale(image / "labels/nuclei")["type"] == "nearest pixel"
