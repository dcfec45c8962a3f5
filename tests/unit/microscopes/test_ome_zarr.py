"""OME-Zarr plates of other programs: what is found on them, and that its pixels are those that were written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.microscopes.ngff_plates import VERSIONS, Image, group, write_image, write_plate
from wellfield.errors import EmptyPlateError, MetadataError, MicroscopeDetectionError
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage import VirtualWorkspaceBackend

Read = Callable[[Path], ParsedPlate]
Values = npt.NDArray[Any]
versions = pytest.mark.parametrize("version", VERSIONS)
SUBSETS = ["".join(c) + "yx" for n in range(4) for c in combinations("tcz", n)]


def check_pixels(folder: Path, contents: ParsedPlate, values: dict[str, Values], prefix: str = "") -> None:
    """Compare every plane, read through the virtual workspace, with what was written."""
    workspace = VirtualWorkspaceBackend(folder, {plane_name(p.key): p.path for p in contents.planes})
    planes = workspace.load_batch([plane_name(plane.key) for plane in contents.planes])
    for plane, found in zip(contents.planes, planes, strict=True):
        address = parse_array_plane(plane.path)
        assert address is not None
        expected = values[address.array.removeprefix(prefix).rpartition("/")[0]][address.at]
        assert (found == expected).all()
        assert found.dtype == expected.dtype


def keys(contents: ParsedPlate) -> set[PlaneKey]:
    found = [plane.key for plane in contents.planes]
    assert len(found) == len(set(found))
    return set(found)


# --- what is found ------------------------------------------------------------------------------------------------


@versions
@pytest.mark.parametrize("axes", SUBSETS)
@pytest.mark.parametrize("shards", [False, True])
def test_every_plane_has_its_key_and_its_pixels(
    tmp_path: Path, read: Read, version: str, axes: str, shards: bool
) -> None:
    image = Image(axes, shards=shards and version == "0.5")
    values = write_plate(tmp_path / "p", {"B/2": {"0": image, "1": image}, "AF/48": {"0": image}}, version)
    contents = read(tmp_path / "p")
    t, c, z = (range(1, 1 + (dict(zip(image.axes, image.shape, strict=True)).get(axis, 1))) for axis in "tcz")
    fields = [("B02", 1), ("B02", 2), ("AF48", 1)]
    assert keys(contents) == {PlaneKey(w, f, ch, d, time) for w, f in fields for time in t for ch in c for d in z}
    check_pixels(tmp_path / "p", contents, values)
    assert (contents.plate.shape, contents.plate.dtype, contents.plate.pixel_size_um) == ((6, 8), "uint16", 1.0)
    assert contents.plate.z_spacing_um == (1.0 if "z" in axes else None)
    assert (contents.notes, contents.promised, contents.ignored) == ([], {}, {})
    assert contents.images_opened == (3 if image.shards else 0)


@versions
def test_a_plane_of_the_index_says_its_index_in_the_order_of_the_arrays_axes(
    tmp_path: Path, read: Read, version: str
) -> None:
    write_plate(tmp_path / "p", {"B/2": {"0": Image("tczyx")}}, version)
    (plane,) = [p for p in read(tmp_path / "p").planes if p.key == PlaneKey("B02", 1, 2, 3, 1)]
    assert plane.path == "B/2/0/0#[0,1,2]"
    assert plane.size > 0
    assert plane.mtime_ns > 10**18


@versions
@given(data=st.data())
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_subset_of_a_plate_gives_the_right_keys_for_what_is_left(
    tmp_path_factory: pytest.TempPathFactory, read: Read, version: str, data: st.DataObject
) -> None:
    store = tmp_path_factory.mktemp("subset") / "p"
    image = Image("czyx", {"z": 2}, separator=data.draw(st.sampled_from("./")))
    values = write_plate(store, {well: {"0": image, "1": image} for well in ("A/1", "B/3")}, version)
    all_keys = keys(read(store))
    removable = sorted(
        p for p in store.rglob("*") if p.is_file() and p.name not in (".zgroup", ".zattrs", ".zarray", "zarr.json")
    )
    removable += [store / path for path in ("A/1", "B/3", "A/1/0", "B/3/1", "A/1/1/0")]
    for path in data.draw(st.lists(st.sampled_from(removable), unique=True)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    expected, partial = set(), 0
    for key in all_keys:
        folder = store / f"{key.well[0]}/{int(key.well[1:])}/{key.field - 1}/0"
        place = [str(key.channel - 1), str(key.z - 1)]
        names = [image.separator.join([*(["c"] if version == "0.5" else []), *place, y, "0"]) for y in "01"]
        count = sum((folder / name).exists() for name in names)
        expected |= {key} if count else set()
        partial += count == 1
    if not expected:
        with pytest.raises(EmptyPlateError, match="promises"):
            read(store)
        return
    contents = read(store)
    assert keys(contents) == expected
    found = [note for note in contents.notes if "lack some of their chunks" in note]
    assert [int(note.split()[0]) for note in found] == [partial] * bool(partial)
    for plane in contents.planes:
        address = parse_array_plane(plane.path)
        assert address is not None
        loaded = VirtualWorkspaceBackend(store, {"x": plane.path}).load("x")
        truth = values[address.array.rpartition("/")[0]][address.at]
        for half in (slice(0, 3), slice(3, 6)):
            assert (loaded[half] == truth[half]).all() or (loaded[half] == 0).all()
        assert loaded.any()


def test_absent_planes_wells_and_images_are_promised(tmp_path: Path, read: Read) -> None:
    store = tmp_path / "p"
    write_plate(store, {"A/1": {"0": Image(), "1": Image()}, "A/2": {"0": Image()}}, absent=["C/5"])
    shutil.rmtree(store / "A/1/1")
    shutil.rmtree(store / "A/2/0/0/1")
    contents = read(store)
    assert contents.promised == {"wells": ["C/5"], "images": ["A/1/1"], "planes": ["A02_s001_w2_z001_t001.tif"]}
    contents.complete(name="p", path="p", microscope="m")
    report = ingest_report(contents, why="")
    assert report["missing_planes"] == ["A02_s001_w2_z001_t001.tif"]


def test_a_plate_without_any_chunk_is_empty_and_says_what_it_promises(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {}, absent=["C/5", "C/6"])
    with pytest.raises(EmptyPlateError, match=r"metadata promises:\n  wells: C/5, C/6"):
        read(tmp_path / "p")


def test_what_no_list_names_is_ignored_and_reported(tmp_path: Path, read: Read) -> None:
    store = tmp_path / "p"
    write_plate(store, {"A/1": {"0": Image(), "1": Image()}, "A/2": {"0": Image()}, "H/3": {"0": Image()}})
    attributes = json.loads((store / ".zattrs").read_text())
    attributes["plate"]["wells"] = attributes["plate"]["wells"][:1]
    (store / ".zattrs").write_text(json.dumps(attributes))
    (store / "A/1/.zattrs").write_text(json.dumps({"well": {"images": [{"path": "1"}]}}))
    (store / "notes").mkdir()
    (store / "notes" / "a.txt").write_text("x")
    contents = read(store)
    assert {plane.key.well for plane in contents.planes} == {"A01"}
    assert contents.ignored == {
        "well that the plate's metadata does not list": ["A/2", "H/3"],
        "image that its well's metadata does not list": ["A/1/0"],
        "no part of the OME-Zarr store": ["notes/a.txt"],
    }


# ome-zarr-py 0.18 evaluates a default argument of its own deprecated class when its modules are imported.
@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
@versions
def test_a_plate_that_ome_zarr_py_wrote(tmp_path: Path, read: Read, version: str) -> None:
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

    form = FormatV04() if version == "0.4" else FormatV05()
    root = zarr.open_group(tmp_path / "p", mode="w", zarr_format=form.zarr_format)
    write_plate_metadata(root, ["B", "C"], ["2"], ["B/2", "C/2"], fmt=form)
    values = {}
    for well in ("B/2", "C/2"):
        made = root.require_group(well)
        write_well_metadata(made, ["0", "1"], fmt=form)
        for field in ("0", "1"):
            image = np.random.default_rng(len(values)).integers(1, 60_000, (2, 3, 40, 50)).astype("u2")
            write_image(image, made.require_group(field), axes="czyx", fmt=form)
            values[f"{well}/{field}"] = image
    contents = read(tmp_path / "p")
    assert len(keys(contents)) == 2 * 2 * 2 * 3
    check_pixels(tmp_path / "p", contents, values)


# --- which store --------------------------------------------------------------------------------------------------


@versions
def test_a_store_in_the_plate_folder(tmp_path: Path, read: Read, version: str) -> None:
    values = write_plate(tmp_path / "p" / "plate.zarr", {"B/2": {"0": Image()}}, version)
    (tmp_path / "p" / "notes.txt").write_text("x")
    contents = read(tmp_path / "p")
    assert {plane.path for plane in contents.planes} == {f"plate.zarr/B/2/0/0#[{c}]" for c in (0, 1)}
    assert contents.ignored == {"no part of the OME-Zarr store": ["notes.txt"]}
    check_pixels(tmp_path / "p", contents, values, prefix="plate.zarr/")


def test_two_stores_are_an_error_that_names_them(tmp_path: Path, read: Read) -> None:
    for name in ("a.zarr", "b.zarr"):
        write_plate(tmp_path / "p" / name, {"B/2": {"0": Image()}})
    group(tmp_path / "p" / "c", {}, "0.4")
    with pytest.raises(MetadataError, match=r"exactly one; found: a.zarr, b.zarr"):
        read(tmp_path / "p")
    shutil.rmtree(tmp_path / "p" / "a.zarr")
    assert len(read(tmp_path / "p").planes) == 2


@versions
def test_an_image_without_a_plate_is_a_field_of_a01(tmp_path: Path, read: Read, version: str) -> None:
    values = write_image(tmp_path / "p", Image("yx"), version)
    contents = read(tmp_path / "p")
    assert [(plane.key, plane.path) for plane in contents.planes] == [(PlaneKey("A01", 1, 1, 1, 1), "0#[]")]
    assert any("assumed to be fields of one well, A01" in note for note in contents.notes)
    plane = VirtualWorkspaceBackend(tmp_path / "p", {"x": "0#[]"}).load("x")
    assert (plane == values).all()


@versions
@pytest.mark.parametrize("series", [True, False])
def test_series_of_bioformats2raw_are_fields_of_a01(tmp_path: Path, read: Read, version: str, series: bool) -> None:
    store = tmp_path / "p"
    group(store, {"bioformats2raw.layout": 3}, version)
    values = {str(number): write_image(store / str(number), Image(), version, seed=number) for number in range(11)}
    group(store / "OME", {"series": [str(n) for n in range(11)]} if series else {}, version)
    contents = read(store)
    assert {key.field for key in keys(contents)} == set(range(1, 12))
    check_pixels(store, contents, values)
    assert contents.ignored == {}


def test_vendor_images_beside_a_store_are_two_microscopes(tmp_path: Path) -> None:
    write_plate(tmp_path / "p" / "plate.zarr", {"B/2": {"0": Image()}})
    assert get_microscope_handler(tmp_path / "p")[0]._microscope_type == "ome_zarr"
    (tmp_path / "p" / "X_B02_s1_w1.tif").write_bytes(b"x")
    with pytest.raises(MicroscopeDetectionError, match=r"2 microscopes: imagexpress .*; ome_zarr"):
        get_microscope_handler(tmp_path / "p")


def test_zarr_that_is_no_image_is_not_recognised(tmp_path: Path) -> None:
    group(tmp_path / "p", {"something": 1}, "0.4")
    with pytest.raises(MicroscopeDetectionError, match="no known microscope"):
        get_microscope_handler(tmp_path / "p")


def test_zarr_of_other_sorts_beside_a_plate_says_nothing(tmp_path: Path) -> None:
    write_plate(tmp_path / "p" / "plate.zarr", {"B/2": {"0": Image()}})
    for number in range(3):
        group(tmp_path / "p" / f"analysis{number}.zarr", {"something": 1}, "0.4")
    assert {key.well for key in keys(get_microscope_handler(tmp_path / "p")[0].read_plate())} == {"B02"}


# --- wells and fields ---------------------------------------------------------------------------------------------


def edited(store: Path, **plate: Any) -> None:
    attributes = json.loads((store / ".zattrs").read_text())
    attributes["plate"].update(plate)
    (store / ".zattrs").write_text(json.dumps(attributes))


def test_an_index_that_contradicts_the_path_is_an_error_that_names_both(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"B/2": {"0": Image()}, "C/3": {"0": Image()}})
    for index, listed in ((0, "'B'"), (7, "none of its 2")):
        wells = [
            {"path": "B/2", "rowIndex": 0, "columnIndex": 0},
            {"path": "C/3", "rowIndex": index, "columnIndex": 1},
        ]
        edited(tmp_path / "p", wells=wells)
        message = rf"the path C/3, but rowIndex {index}, which in the plate's list of rows is {listed}; expected 'C'"
        with pytest.raises(MetadataError, match=message):
            read(tmp_path / "p")


def test_indices_that_count_on_the_plate_agree_with_the_names(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"B/2": {"0": Image()}, "C/3": {"0": Image()}})
    wells = [
        {"path": "B/2", "rowIndex": 1, "columnIndex": 1},
        {"path": "C/3", "rowIndex": 2, "columnIndex": 2},
    ]
    edited(tmp_path / "p", wells=wells)
    contents = read(tmp_path / "p")
    assert ({key.well for key in keys(contents)}, contents.notes) == ({"B02", "C03"}, [])


def test_rows_and_columns_of_other_names_lie_where_their_indices_say(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"first/left": {"0": Image()}, "2/right": {"0": Image()}})
    wells = [
        {"path": "first/left", "rowIndex": 1, "columnIndex": 3},
        {"path": "2/right", "rowIndex": 0, "columnIndex": 11},
    ]
    edited(tmp_path / "p", wells=wells)
    contents = read(tmp_path / "p")
    assert {key.well for key in keys(contents)} == {"B04", "A12"}
    assert contents.notes[0] == (
        "2 wells, such as first/left (B04): names are not letters and numbers: rowIndex and columnIndex tell the well"
    )


def test_rows_that_are_numbers_count_from_one_whatever_their_indices(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"3/2": {"0": Image()}, "5/4": {"0": Image()}})  # rows 3 and 5 are all that are listed
    contents = read(tmp_path / "p")
    assert {key.well for key in keys(contents)} == {"C02", "E04"}
    assert contents.notes == ["2 wells, such as 3/2 (C02): rows are numbers, counted from 1"]


def test_two_wells_at_one_place_are_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"B/2": {"0": Image()}, "B/02": {"0": Image()}})
    with pytest.raises(MetadataError, match=r"B/2 and B/02 are both well B02"):
        read(tmp_path / "p")


def test_a_field_that_a_well_lacks_does_not_move_the_others(tmp_path: Path, read: Read) -> None:
    image = Image("yx")
    write_plate(tmp_path / "p", {"A/1": {"3": image, "0": image}, "A/2": {"3": image, "10": image}})
    found = {(key.well, key.field) for key in keys(read(tmp_path / "p"))}
    assert found == {("A01", 1), ("A01", 4), ("A02", 4), ("A02", 11)}


def test_fields_counted_from_one_keep_their_numbers(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"2": Image("yx")}, "A/2": {"1": Image("yx")}})
    assert {(key.well, key.field) for key in keys(read(tmp_path / "p"))} == {("A01", 2), ("A02", 1)}


def test_images_with_other_names_are_fields_by_their_position(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"north": Image("yx"), "east": Image("yx")}})
    contents = read(tmp_path / "p")
    assert {plane.path: plane.key.field for plane in contents.planes} == {"A/1/north/0#[]": 1, "A/1/east/0#[]": 2}
    assert "fields are numbered by their positions in the wells' lists" in contents.notes[0]


def test_images_of_several_acquisitions_are_fields_and_the_report_says_of_which(tmp_path: Path, read: Read) -> None:
    images = {str(number): Image("yx") for number in range(4)}
    acquisitions = [{"id": 7, "name": "live"}, {"id": 9}]
    write_plate(
        tmp_path / "p",
        {"A/1": images},
        plate={"acquisitions": acquisitions},
        acquisitions={"0": 7, "1": 7, "2": 9, "3": 9},
    )
    contents = read(tmp_path / "p")
    assert {key.field for key in keys(contents)} == {1, 2, 3, 4}
    assert [note.partition(";")[0] for note in contents.notes] == [
        "several acquisitions: fields 1, 2 are of acquisition 7 (live)",
        "several acquisitions: fields 3, 4 are of acquisition 9",
    ]


# --- axes, sizes, channels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "um"), [("nanometer", 1e-3), ("micrometer", 1), ("millimeter", 1e3), ("µm", 1), ("angstrom", 1e-4)]
)
def test_sizes_and_places_are_in_micrometres(tmp_path: Path, read: Read, unit: str, um: float) -> None:
    images = {
        str(n): Image(
            "zyx", unit=unit, scale={"z": 2.0, "y": 0.5, "x": 0.5}, translation={"z": 5, "y": 10, "x": 100 * n}
        )
        for n in range(2)
    }
    write_plate(tmp_path / "p", {"A/1": images})
    contents = read(tmp_path / "p")
    assert (contents.plate.pixel_size_um, contents.plate.z_spacing_um) == (
        pytest.approx(0.5 * um),
        pytest.approx(2 * um),
    )
    for plane in contents.planes:
        place = (plane.stage_x_um, plane.stage_y_um, plane.stage_z_um, plane.pixel_size_um)
        expected = (100 * um * (plane.key.field - 1), 10 * um, (5 + 2 * (plane.key.z - 1)) * um, 0.5 * um)
        assert place == pytest.approx(expected)


def test_transformations_of_the_multiscale_come_on_top(tmp_path: Path, read: Read) -> None:
    image = Image("yx", scale={"y": 2.0, "x": 2.0}, translation={"y": 1.0, "x": 3.0})
    content = image.attributes()
    content["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [10.0, 10.0]},
        {"type": "translation", "translation": [0.5, 0.25]},
    ]
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx", extra=content)}})
    contents = read(tmp_path / "p")
    assert contents.plate.pixel_size_um == 20.0
    assert (contents.planes[0].stage_x_um, contents.planes[0].stage_y_um) == (30.25, 10.5)


def test_fields_of_one_translation_have_no_stage_position(tmp_path: Path, read: Read) -> None:
    images = {str(n): Image("yx", translation={"y": 0, "x": 0}) for n in range(2)}
    write_plate(tmp_path / "p", {"A/1": images})
    assert all(np.isnan(plane.stage_x_um) for plane in read(tmp_path / "p").planes)


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (Image("yx", unit=None), "distances are unknown along axes without a known unit of length (y '', x '')"),
        (Image("yx", unit="parsec"), "(y 'parsec', x 'parsec')"),
        (Image("yx", scale={"y": 0.5}), "pixels are not square (0.5 × 1.0 µm): no pixel size is taken"),
        (Image("yx", scale={"x": -1.0}), "the scale of axis x is -1.0: distances along it are unknown"),
    ],
)
def test_a_pixel_size_that_is_not_certain_is_unknown(tmp_path: Path, read: Read, image: Image, note: str) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": image}})
    contents = read(tmp_path / "p")
    assert contents.plate.pixel_size_um is None
    assert note in contents.notes[0]
    assert np.isnan(contents.planes[0].pixel_size_um)


def test_types_of_axes_count_not_their_names(tmp_path: Path, read: Read) -> None:
    content = Image("tczyx").attributes()
    names = zip(("time", "dye", "depth", "v", "h"), content["multiscales"][0]["axes"], strict=True)
    content["multiscales"][0]["axes"] = [{**axis, "name": name} for name, axis in names]
    write_plate(tmp_path / "p", {"A/1": {"0": Image("tczyx", extra=content)}})
    contents = read(tmp_path / "p")
    assert max(keys(contents)) == PlaneKey("A01", 1, 2, 3, 2)
    assert contents.plate.pixel_size_um == 1.0


def test_another_axis_is_dropped_if_it_has_length_one_and_refused_by_name_else(tmp_path: Path, read: Read) -> None:
    values = write_plate(tmp_path / "p", {"A/1": {"0": Image("tayx")}})
    contents = read(tmp_path / "p")
    assert keys(contents) == {PlaneKey("A01", 1, 1, 1, 1), PlaneKey("A01", 1, 1, 1, 2)}
    check_pixels(tmp_path / "p", contents, values)
    write_plate(tmp_path / "q", {"A/1": {"0": Image("tayx", {"a": 3})}})
    with pytest.raises(MetadataError, match=r"A/1/0/0 has an axis 'a' of length 3"):
        read(tmp_path / "q")
    write_plate(tmp_path / "r", {"A/1": {"0": Image("yxc")}})
    with pytest.raises(MetadataError, match=r"y and x of space at the end"):
        read(tmp_path / "r")


@pytest.mark.parametrize(
    ("labels", "names", "note"),
    [
        (("DAPI", "GFP"), {1: "DAPI", 2: "GFP"}, None),
        (None, {1: "C1", 2: "C2"}, None),
        ((None, "GFP"), {1: "C1", 2: "GFP"}, None),
        (("GFP", "GFP"), {1: "GFP_w1", 2: "GFP_w2"}, "used more than once"),
        (("DAPI",), {1: "DAPI", 2: "C2"}, "another number of channels"),
        (("DAPI", "GFP", "Cy5"), {1: "DAPI", 2: "GFP"}, "another number of channels"),
    ],
)
def test_names_of_channels(tmp_path: Path, read: Read, labels: Any, names: dict[int, str], note: str | None) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image(labels=labels)}})
    contents = read(tmp_path / "p")
    assert contents.plate.channels == names
    if note is None:
        assert contents.notes == []
    else:
        assert any(note in found for found in contents.notes)


def test_an_image_without_names_mixes_up_nobody_elses_channels(tmp_path: Path, read: Read) -> None:
    wells = {
        "B/2": {"0": Image(labels=("DAPI", "GFP"))},
        "B/3": {"0": Image(labels=("GFP", "RFP"))},
        "B/4": {"0": Image()},
        "B/5": {"0": Image(labels=("GFP", "GFP"))},
    }
    values = write_plate(tmp_path / "p", wells)
    contents = read(tmp_path / "p")
    found = {
        well: sorted({k.channel for k in keys(contents) if k.well == well}) for well in ("B02", "B03", "B04", "B05")
    }
    assert found == {"B02": [1, 2], "B03": [2, 3], "B04": [4, 5], "B05": [2, 6]}
    assert contents.plate.channels == {1: "DAPI", 2: "GFP_w2", 3: "RFP", 4: "C1", 5: "C2", 6: "GFP_w6"}
    pixel_of = {(p.key.well, p.key.channel): p.path for p in contents.planes}
    workspace = VirtualWorkspaceBackend(tmp_path / "p", {path: path for path in pixel_of.values()})
    assert (workspace.load(pixel_of["B03", 2]) == values["B/3/0"][0]).all()


def test_shards_that_are_not_looked_into_are_noted(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"B/2": {"0": Image(shards=True)}}, "0.5")
    file = tmp_path / "p" / "B/2/0/0/zarr.json"
    content = json.loads(file.read_text())
    content["codecs"][0]["configuration"]["index_codecs"] = [{"name": "bytes"}, {"name": "gzip"}]
    file.write_text(json.dumps(content))
    assert any("have shards that are not looked into" in note for note in read(tmp_path / "p").notes)


def test_images_with_different_channels_number_them_by_name(tmp_path: Path, read: Read) -> None:
    images = {"0": Image(labels=("DAPI", "GFP")), "1": Image(labels=("GFP", "Cy5"))}
    values = write_plate(tmp_path / "p", {"A/1": images})
    contents = read(tmp_path / "p")
    assert contents.plate.channels == {1: "DAPI", 2: "GFP", 3: "Cy5"}
    assert {(key.field, key.channel) for key in keys(contents)} == {(1, 1), (1, 2), (2, 2), (2, 3)}
    assert any("numbered by their names" in note for note in contents.notes)
    check_pixels(tmp_path / "p", contents, values)


def test_images_that_differ_are_noted_and_kept(tmp_path: Path, read: Read) -> None:
    images = {
        "0": Image(),
        "1": Image(),
        "2": Image(lengths={"c": 1, "y": 4}, dtype="u1", scale={"y": 2.0, "x": 2.0}),
    }
    values = write_plate(tmp_path / "p", {"A/1": images})
    contents = read(tmp_path / "p")
    check_pixels(tmp_path / "p", contents, values)
    assert (contents.plate.shape, contents.plate.dtype, contents.plate.pixel_size_um) == ((6, 8), "uint16", 1.0)
    assert len(keys(contents)) == 5
    for note in (
        "images of different size or dtype: [6, 8] uint16 (2), [4, 8] uint8 (1)",
        "images of different numbers of channels: 2 (2 images), 1 (1 images)",
    ):
        assert note in contents.notes
