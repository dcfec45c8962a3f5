"""Plates that OpenHCS wrote or initialised, with metadata of the forms that its versions write."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import DuplicatePlaneError, EmptyPlateError, MetadataError, PathEscapeError
from wellfield.microscopes import detect_microscope, get_microscope_handler
from wellfield.microscopes.openhcs_names import parse_name, parse_well
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.storage import VirtualWorkspaceBackend

Read = Callable[[Path], ParsedPlate]
WriteFile = Callable[..., Path]

KEYS = [PlaneKey(well, field, channel, z, 1) for well in ("A01", "B12") for field in (1, 2) for channel in (1, 2)
        for z in (1, 2)]  # fmt: skip


def by_well(key: PlaneKey) -> str:
    return f"{key.well}_s{key.field:03d}_w{key.channel}_z{key.z:03d}_t{key.timepoint:03d}.tif"


def by_row(key: PlaneKey, padding: int = 3) -> str:
    row, column = ord(key.well[0]) - 64, int(key.well[1:])
    field, plane = f"f{key.field:0{padding}d}", f"p{key.z:0{padding}d}"
    return f"r{row:02d}c{column:02d}{field}{plane}-ch{key.channel}sk{key.timepoint}fk1fl1.tiff"


def in_folders(key: PlaneKey) -> str:
    return f"TimePoint_{key.timepoint}/ZStep_{key.z}/Plate_{key.well}_s{key.field}_w{key.channel}.TIF"


def reference(path: str, backend: str = "disk", indices: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"backend": backend, "backend_address": path, "source_axis_indices": list(indices)}


def write_images(root: Path, paths: list[str], size: tuple[int, int] = (4, 6)) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(root / path, np.zeros(size, np.uint16))


def write_metadata(root: Path, entry: dict[str, Any], name: str = ".", **others: dict[str, Any]) -> None:
    root.mkdir(exist_ok=True)
    (root / "openhcs_metadata.json").write_text(json.dumps({"subdirectories": {name: entry, **others}}))


def entry_of(mapping: dict[str, Any] | None = None, files: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the entry of a subdirectory as OpenHCS writes it for an initialised raw plate or for its own output."""
    lists = {"workspace_mapping": mapping} if mapping is not None else {"image_files": files}
    backends = {"disk": True, "virtual_workspace": True} if mapping is not None else {"disk": True}
    return {
        "microscope_handler_name": "imagexpress",
        "source_filename_parser_name": "ImageXpressFilenameParser",
        "grid_dimensions": [1, 2],
        "pixel_size": 0.65,
        "available_backends": backends,
        **lists,
        **fields,
    }


def initialised(root: Path, *, objects: bool = True, **fields: Any) -> dict[PlaneKey, str]:
    """Write a raw ImageXpress plate with OpenHCS's mapping; return the path of each plane."""
    paths = {key: in_folders(key) for key in KEYS}
    write_images(root, list(paths.values()))
    mapping = {by_well(key): reference(path) if objects else path for key, path in paths.items()}
    write_metadata(root, entry_of(mapping, **fields))
    return paths


def written(root: Path, **fields: Any) -> dict[PlaneKey, str]:
    """Write flat TIFF files of OpenHCS; return the path of each plane."""
    paths = {key: f"images/{by_well(key)}" for key in KEYS}
    write_images(root, list(paths.values()))
    write_metadata(root, entry_of(files=list(paths.values()), main=True, **fields), "images")
    return paths


def stored(root: Path, attribute: str, *, field_axis: bool, version: int = 2) -> dict[PlaneKey, str]:
    """Write a Zarr store of OpenHCS; return the address of each plane."""
    addresses: dict[PlaneKey, str] = {}
    for well in ("A01", "B12"):
        of_well = [key for key in KEYS if key.well == well]
        for image in range(1 if field_axis else 2):
            array = f"zarr/{well[0]}/{well[1:]}/{image}/0"
            shape = (2, 2, 2, 4, 6) if field_axis else (2, 2, 4, 6)
            chunks = (*(1 for _ in shape[:-2]), *shape[-2:])
            target = zarr.create_array(root / array, shape=shape, chunks=chunks, dtype="u2", zarr_format=version)  # type: ignore[arg-type]
            target[...] = np.arange(1, np.prod(shape) + 1).reshape(shape)
            names: dict[str, list[int]] = {}
            for key in of_well:
                if field_axis or key.field == image + 1:
                    index = [key.channel - 1, key.z - 1]
                    names[by_well(key)] = [key.field - 1, *index] if field_axis else index
                    addresses[key] = f"{array}#[{','.join(map(str, names[by_well(key)]))}]"
            target.attrs[attribute] = names
    entry = entry_of(files=[f"zarr/{by_well(key)}" for key in KEYS], main=True, available_backends={"zarr": True})
    write_metadata(root, entry, "zarr", **{".": entry_of({by_well(KEYS[0]): "gone.tif"}, main=False)})
    return addresses


def found(contents: ParsedPlate) -> dict[PlaneKey, str]:
    return {plane.key: plane.path for plane in contents.planes}


# --- the three kinds of plates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("objects", [True, False], ids=["objects", "paths"])
def test_an_initialised_raw_plate_is_read_by_its_mapping(tmp_path: Path, read: Read, objects: bool) -> None:
    paths = initialised(
        tmp_path / "p", objects=objects, channels={"1": "DAPI", "2": None}, wells={"A01": None, "C05": None}
    )
    contents = read(tmp_path / "p")
    assert found(contents) == paths
    assert all(plane.size == (tmp_path / "p" / plane.path).stat().st_size for plane in contents.planes)
    assert contents.plate.channels == {1: "DAPI", 2: "w2"}
    assert (contents.plate.pixel_size_um, contents.plate.grid_dimensions) == (0.65, (1, 2))
    assert (contents.plate.shape, contents.plate.dtype) == ((4, 6), "uint16")
    assert contents.images_opened == 4
    assert contents.promised == {"wells": ["C05"]}
    assert "name imagexpress in the 'microscope' column" in contents.notes[0]


def test_names_of_opera_plates_are_read_too(tmp_path: Path, read: Read) -> None:
    paths = {key: f"Images/{by_row(key, padding=2)}" for key in KEYS}
    write_images(tmp_path, list(paths.values()))
    mapping = {f"Images/{by_row(key)}": reference(path) for key, path in paths.items()}
    vendor = {"microscope_handler_name": "opera_phenix", "source_filename_parser_name": "OperaPhenixFilenameParser"}
    write_metadata(tmp_path, entry_of(mapping, wells={"R01C01": None, "R16C24": None}, **vendor), "Images")
    contents = read(tmp_path)
    assert found(contents) == paths
    assert contents.promised == {"wells": ["R16C24"]}


def test_flat_files_of_openhcs_are_read_by_their_list(tmp_path: Path, read: Read) -> None:
    paths = written(tmp_path)
    contents = read(tmp_path)
    assert found(contents) == paths
    assert contents.notes == []


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("attribute", "field_axis"), [("polystore_filename_map", False), ("openhcs_filename_map", True)]
)
def test_planes_of_a_store_are_addressed_by_array_and_indices(
    tmp_path: Path, read: Read, attribute: str, field_axis: bool, version: int
) -> None:
    addresses = stored(tmp_path, attribute, field_axis=field_axis, version=version)
    contents = read(tmp_path)
    assert found(contents) == addresses
    assert (contents.plate.shape, contents.plate.dtype, contents.images_opened) == ((4, 6), "uint16", 0)
    assert contents.ignored == {}
    assert all(plane.size > 0 and plane.mtime_ns > 0 for plane in contents.planes)


def test_a_mended_chunk_changes_its_planes_only(tmp_path: Path, read: Read) -> None:
    stored(tmp_path, "polystore_filename_map", field_axis=False)
    before = {plane.key: plane for plane in read(tmp_path).planes}
    zarr.open_array(tmp_path / "zarr/A/01/1/0", mode="r+")[...] = 7
    changed = {plane.key for plane in read(tmp_path).planes if plane != before[plane.key]}
    assert changed == {key for key in KEYS if key.well == "A01" and key.field == 2}


def test_a_mapping_to_a_store_is_followed(tmp_path: Path, read: Read) -> None:
    addresses = stored(tmp_path, "polystore_filename_map", field_axis=False)
    mapping = {by_well(key): reference(f"zarr/{by_well(key)}", "zarr") for key in KEYS[:3]}
    write_metadata(tmp_path, entry_of(mapping))
    contents = read(tmp_path)
    assert found(contents) == {key: addresses[key] for key in KEYS[:3]}
    unlisted = contents.ignored["image that openhcs_metadata.json does not list"]
    assert sorted(unlisted) == sorted(f"zarr/{by_well(key)}" for key in KEYS[3:])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("field_axis", [True, False])
def test_planes_of_a_store_are_read_with_their_own_pixels(
    tmp_path: Path, read: Read, field_axis: bool, version: int
) -> None:
    addresses = stored(tmp_path, "polystore_filename_map", field_axis=field_axis, version=version)
    workspace = VirtualWorkspaceBackend(tmp_path, {plane.path: plane.path for plane in read(tmp_path).planes})
    for path in addresses.values():
        array, _, index = path.partition("#")
        expected = zarr.open_array(tmp_path / array, mode="r")[tuple(json.loads(index))]
        assert (workspace.load(path) == expected).all()


def test_a_plane_without_a_chunk_is_absent_and_reported(tmp_path: Path, read: Read) -> None:
    addresses = stored(tmp_path, "polystore_filename_map", field_axis=False)
    zarr.open_array(tmp_path / "zarr/A/01/1/0", mode="r+")[1, 0] = 0  # zarr does not keep chunks of the fill value
    contents = read(tmp_path)
    black = next(key for key, path in addresses.items() if path == "zarr/A/01/1/0#[1,0]")
    assert found(contents) == {key: path for key, path in addresses.items() if key != black}
    assert contents.promised["planes listed in openhcs_metadata.json"] == [f"zarr/{by_well(black)}"]


@pytest.mark.parametrize("link", ["zarr", "zarr/A/01/1/0", "zarr/A/01/1/0/0.0.0.0", "zarr/A/01/1/0/.zattrs"])
@pytest.mark.parametrize("target", ["outside", "inside", "nowhere"])
def test_links_in_a_store_are_refused(tmp_path: Path, read: Read, link: str, target: str) -> None:
    stored(tmp_path / "p", "polystore_filename_map", field_axis=False)
    moved = {"outside": tmp_path / "x", "inside": tmp_path / "p" / "x", "nowhere": tmp_path / "x"}[target]
    (tmp_path / "p" / link).rename(moved)
    (tmp_path / "p" / link).symlink_to(tmp_path / "gone" if target == "nowhere" else moved)
    if target == "inside" and (tmp_path / "p" / link).is_file():  # a file of the plate itself, wherever it lies
        assert len(read(tmp_path / "p").planes) == len(KEYS)
        return
    with pytest.raises(MetadataError, match=r"is a (broken link|link that leaves|link to a folder).*not followed"):
        read(tmp_path / "p")


# --- which handler, which subdirectory, which backend -------------------------------------------------------------


def test_the_metadata_stands_for_raw_files_beside_it(tmp_path: Path, write_file: WriteFile) -> None:
    raw = write_file("TimePoint_1/P_A01_s1_w1.TIF").parents[1]
    write_metadata(raw, entry_of({"A01_s001_w1_z001_t001.TIF": "TimePoint_1/P_A01_s1_w1.TIF"}))
    name, why = detect_microscope(raw)
    assert name == "openhcs"
    assert why.startswith("metadata openhcs_metadata.json, which also lists the files of imagexpress there (")
    assert get_microscope_handler(raw, "imagexpress")[0].read_plate().planes


def test_metadata_deeper_in_a_plate_is_not_its_own(tmp_path: Path, write_file: WriteFile) -> None:
    raw = write_file("TimePoint_1/P_A01_s1_w1.TIF").parents[1]
    write_metadata(raw / "TimePoint_1", entry_of({}))
    assert detect_microscope(raw)[0] == "imagexpress"


def test_the_main_subdirectory_and_its_preferred_backend_decide(tmp_path: Path, read: Read) -> None:
    paths = initialised(tmp_path / "p")
    mapping = json.loads((tmp_path / "p/openhcs_metadata.json").read_text())["subdirectories"]["."]["workspace_mapping"]
    raw = entry_of(mapping, image_files=["no/such.tif"], main=True)
    write_metadata(tmp_path / "p", raw, images=entry_of(files=["images/A01_s009_w1.tif"]))
    assert found(read(tmp_path / "p")) == paths
    write_metadata(tmp_path / "p", raw | {"main": False}, images=entry_of(files=["images/A01_s009_w1.tif"]))
    with pytest.raises(MetadataError, match=r"0 of the subdirectories .* \"main\": true"):
        read(tmp_path / "p")


def test_metadata_without_subdirectories_is_read(tmp_path: Path, read: Read) -> None:
    paths = initialised(tmp_path / "p")
    file = tmp_path / "p/openhcs_metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text())["subdirectories"]["."]))
    assert found(read(tmp_path / "p")) == paths


def test_metadata_of_wellfield_put_into_the_raw_folder_is_read(
    tmp_path: Path, write_file: WriteFile, read: Read
) -> None:
    write_file("TimePoint_1/ZStep_0/P_A01_s1_w1.TIF", projection="Maximum")
    raw = write_file("TimePoint_1/ZStep_1/P_A01_s1_w1.TIF").parents[2]
    get_microscope_handler(raw)[0].initialize_workspace(tmp_path / "results", plate="P")
    shutil.copy(tmp_path / "results/openhcs_metadata.json", raw)
    assert found(read(raw)) == {
        PlaneKey("A01", 1, 1, 1, 1): "TimePoint_1/ZStep_1/P_A01_s1_w1.TIF",
        PlaneKey("A01", 1, 1, 0, 1, Projection.MAX): "TimePoint_1/ZStep_0/P_A01_s1_w1.TIF",
    }
    with pytest.raises(EmptyPlateError, match=rf"2 planes of the plate {raw} listed in"):
        read(tmp_path / "results")


def test_the_workspace_of_an_openhcs_plate(tmp_path: Path) -> None:
    initialised(tmp_path / "p")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "p").rglob("*"))
    handler, why = get_microscope_handler(tmp_path / "p")
    info = handler.initialize_workspace(tmp_path / "results", plate="P", why=why)
    assert (info.microscope, info.wells, info.field_count) == ("openhcs", ("A01", "B12"), 2)
    mapping = json.loads((tmp_path / "results/openhcs_metadata.json").read_text())["subdirectories"]["."]
    assert mapping["workspace_mapping"][f"images/{by_well(KEYS[0])}"] == in_folders(KEYS[0])
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "p").rglob("*")) == before


# --- what is not as it should be ----------------------------------------------------------------------------------


@given(
    deleted=st.sets(st.sampled_from(KEYS), max_size=len(KEYS) - 1),
    order=st.permutations(KEYS),
    objects=st.lists(st.booleans(), min_size=len(KEYS), max_size=len(KEYS)),
    backslashes=st.booleans(),
)
def test_whatever_is_deleted_the_rest_keeps_its_keys(
    deleted: set[PlaneKey], order: list[PlaneKey], objects: list[bool], backslashes: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        left = [key for key in KEYS if key not in deleted]
        for key in left:
            (root / in_folders(key)).parent.mkdir(parents=True, exist_ok=True)
            (root / in_folders(key)).touch()
        real = {key: in_folders(key).replace("/", "\\") if backslashes else in_folders(key) for key in order}
        mapping = {
            by_well(key): reference(real[key]) if is_object else real[key]
            for key, is_object in zip(order, objects, strict=True)
        }
        write_metadata(root, entry_of(mapping))
        contents = get_microscope_handler(root)[0].read_plate()
        assert found(contents) == {key: in_folders(key) for key in left}
        absent = contents.promised.get("planes listed in openhcs_metadata.json", [])
        assert sorted(absent) == sorted(map(in_folders, deleted))


def test_what_is_not_listed_is_reported(tmp_path: Path, read: Read) -> None:
    paths = written(tmp_path, channels={"1": "DAPI", "2": "FITC", "5": "Cy5"}, sites={"1": None, "3": None})
    write_images(tmp_path, ["images/A01_s003_w1_z001_t001.tif", "raw/x.TIF"])
    (tmp_path / "notes.txt").touch()
    contents = read(tmp_path)
    assert found(contents) == paths
    assert contents.ignored == {
        "image that openhcs_metadata.json does not list": ["images/A01_s003_w1_z001_t001.tif", "raw/x.TIF"],
        "no image": ["notes.txt"],
    }
    assert contents.promised == {"channels": ["5 (Cy5)"], "fields": ["3"]}


def test_listed_names_of_another_form_and_thumbnails_are_reported(tmp_path: Path, read: Read) -> None:
    files = {"A01_s001_w1_z001_t001.TIF": "a.tif", "overview.tif": "b.tif", "A01_s002_w1_z001_t001.TIF": "c_thumb.tif"}
    write_images(tmp_path, list(files.values()))
    write_metadata(tmp_path, entry_of(files))
    contents = read(tmp_path)
    assert found(contents) == {PlaneKey("A01", 1, 1, 1, 1): "a.tif"}
    assert contents.ignored == {"name is not of OpenHCS's form": ["overview.tif"], "thumbnail": ["c_thumb.tif"]}


def test_two_files_for_one_plane_are_an_error_that_names_both(tmp_path: Path, read: Read) -> None:
    files = {"A01_s001_w1_z001_t001.tif": "a.tif", "A01_s1_w1.tif": "b.tif"}
    write_images(tmp_path, list(files.values()))
    write_metadata(tmp_path, entry_of(files))
    with pytest.raises(
        DuplicatePlaneError, match=r"A01_s001_w1_z001_t001.tif: a.tif and b.tif, the latter as A01_s1_w1"
    ):
        read(tmp_path)
    write_metadata(tmp_path, entry_of(dict.fromkeys(files, "a.tif")))
    assert len(read(tmp_path).planes) == 1


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../p2/a.tif", "a/../../b.tif", "..\\b.tif", "C:\\plate\\a.tif", "\\\\server\\a.tif", "", "."],
)
@pytest.mark.parametrize("form", [str, reference])
def test_paths_that_leave_the_plate_are_refused(
    tmp_path: Path, read: Read, path: str, form: Callable[[str], Any]
) -> None:
    write_metadata(tmp_path, entry_of({"A01_s001_w1_z001_t001.tif": form(path)}))
    with pytest.raises(PathEscapeError, match="is not a path inside the plate folder"):
        read(tmp_path)


def test_a_link_that_leaves_the_plate_is_absent(tmp_path: Path, read: Read) -> None:
    write_images(tmp_path, ["p/a.tif", "outside.tif"])
    (tmp_path / "p/b.tif").symlink_to(tmp_path / "outside.tif")
    write_metadata(tmp_path / "p", entry_of({"A01_s1_w1.tif": "a.tif", "A01_s2_w1.tif": "b.tif"}))
    contents = read(tmp_path / "p")
    assert [key.field for key in found(contents)] == [1]
    assert contents.ignored["link that leaves the plate folder"] == ["b.tif"]
    assert contents.promised == {"planes listed in openhcs_metadata.json": ["b.tif"]}


def test_absolute_paths_into_the_plate_are_made_relative(tmp_path: Path, read: Read) -> None:
    write_images(tmp_path, ["a.tif"])
    write_metadata(tmp_path, entry_of({"A01_s1_w1.tif": reference(str(tmp_path / "a.tif"))}))
    assert list(found(read(tmp_path)).values()) == ["a.tif"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            reference("5", "omero_local"),
            "backend 'omero_local', which is not a file of the plate; Wellfield reads disk and zarr",
        ),
        (reference("a.lif", "bioformats", (0, 3)), "backend 'bioformats'"),
        (reference("a.tif", indices=(2,)), r"is plane \[2\] inside the file a.tif"),
        ({"backend": "disk"}, "expected a path or an object"),
        (None, "expected a path or an object"),
    ],
)
def test_what_is_no_file_of_the_plate_is_refused_by_name(tmp_path: Path, read: Read, value: Any, message: str) -> None:
    write_metadata(tmp_path, entry_of({"A01_s001_w1_z001_t001.tif": value}))
    with pytest.raises(MetadataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "content", ["", '{"subdirectories": ', "[]", '{"subdirectories": []}', '{"subdirectories": {}}']
)
def test_corrupt_metadata_is_an_error_and_stays_as_it_is(tmp_path: Path, read: Read, content: str) -> None:
    (tmp_path / "openhcs_metadata.json").write_text(content)
    with pytest.raises(MetadataError, match=r"openhcs_metadata\.json"):
        read(tmp_path)
    assert (tmp_path / "openhcs_metadata.json").read_text() == content


@pytest.mark.parametrize(
    "entry",
    [
        {"available_backends": {"disk": True}},
        {"available_backends": {"disk": True}, "image_files": []},
        {"available_backends": {"virtual_workspace": True}, "image_files": ["a.tif"]},
        {"available_backends": {"virtual_workspace": True}, "workspace_mapping": ["a.tif"]},
        {"available_backends": {"disk": True}, "image_files": [3]},
        {"available_backends": {"omero_local": True}, "image_files": ["a.tif"]},
    ],
)
def test_metadata_that_lists_no_plane_is_an_error(tmp_path: Path, read: Read, entry: dict[str, Any]) -> None:
    write_metadata(tmp_path, entry)
    with pytest.raises(MetadataError, match=r"openhcs_metadata\.json"):
        read(tmp_path)


def test_a_plate_whose_files_are_gone_says_what_was_listed(tmp_path: Path, read: Read) -> None:
    write_metadata(tmp_path, entry_of({by_well(key): in_folders(key) for key in KEYS}))
    with pytest.raises(EmptyPlateError, match=r"16 planes listed in openhcs_metadata\.json"):
        read(tmp_path)


@pytest.mark.parametrize("index", [[0], [0, 2], [0, -1], [0, 0, 0], "0", [0.0, 1]])
def test_indices_outside_an_array_are_an_error(tmp_path: Path, read: Read, index: Any) -> None:
    stored(tmp_path, "polystore_filename_map", field_axis=False)
    zarr.open_array(tmp_path / "zarr/A/01/0/0", mode="r+").attrs["polystore_filename_map"] = {by_well(KEYS[0]): index}
    with pytest.raises(MetadataError, match=r"zarr/A/01/0/0/\.zattrs: .*A01_s001_w1_z001_t001\.tif"):
        read(tmp_path)


def test_a_store_with_broken_metadata_is_an_error(tmp_path: Path, read: Read) -> None:
    stored(tmp_path, "polystore_filename_map", field_axis=False)
    (tmp_path / "zarr/A/01/0/0/.zarray").write_text("{")
    with pytest.raises(MetadataError, match="zarr/A/01/0/0"):
        read(tmp_path)


@pytest.mark.parametrize("value", [None, [], [0, 2], "1x2", [1.5, 2], [1, 2, 3]])
def test_a_grid_that_is_none_is_unknown(tmp_path: Path, read: Read, value: Any) -> None:
    initialised(tmp_path / "p", grid_dimensions=value)
    assert read(tmp_path / "p").plate.grid_dimensions is None


@pytest.mark.parametrize("value", [None, 0, -1.0, "0.65", True])
def test_a_pixel_size_that_is_none_is_unknown(tmp_path: Path, read: Read, value: Any) -> None:
    initialised(tmp_path / "p", pixel_size=value)
    assert read(tmp_path / "p").plate.pixel_size_um is None


def test_what_raw_files_say_of_pixel_size_and_position(tmp_path: Path, write_file: WriteFile, read: Read) -> None:
    path = write_file("TimePoint_1/P_A01_s1_w1.TIF")
    raw = path.parents[1]
    mapping = {"A01_s001_w1_z001_t001.TIF": "TimePoint_1/P_A01_s1_w1.TIF"}
    write_metadata(raw, entry_of(mapping, pixel_size=1.0))
    contents = read(raw)
    assert contents.plate.pixel_size_um == 1.0
    assert contents.notes[0].startswith("pixel size 1.0 µm of openhcs_metadata.json is used; image files say ")
    write_metadata(raw, entry_of(mapping, pixel_size=None))
    assert f"image files say {read(raw).plate.pixel_size_um} µm" in contents.notes[0]
    handler = get_microscope_handler(raw)[0]
    assert (
        handler.stage_position(path) == get_microscope_handler(raw, "imagexpress")[0].stage_position(path) is not None
    )
    assert handler.stage_position(raw / "zarr/A/01/0/0#[0,0]") is None


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("A01_s001_w1_z001_t001.tif", PlaneKey("A01", 1, 1, 1, 1)),
        ("af48_s12_w3_z0004_t2.TIFF", PlaneKey("AF48", 12, 3, 4, 2)),
        ("B2.tif", PlaneKey("B02", 1, 1, 1, 1)),
        ("B02_w2_t10.tif", PlaneKey("B02", 1, 2, 1, 10)),
        ("A01_s001_w1_z000_t001.TIF", PlaneKey("A01", 1, 1, 0, 1, Projection.UNKNOWN)),
        ("A01_s001_w1_max_t001.tif", PlaneKey("A01", 1, 1, 0, 1, Projection.MAX)),
        ("R16C24F9P3-CH2sk4fk1fl1.tiff", None),
        ("R16C24F9P3-ch2sk4fk1fl1.tiff", PlaneKey("P24", 9, 2, 3, 4)),
        ("r01c02f01p01-ch1.tiff", PlaneKey("A02", 1, 1, 1, 1)),
        ("r27c01f01p01-ch1sk1.tiff", PlaneKey("AA01", 1, 1, 1, 1)),
        ("r33c01f01p01-ch1sk1.tiff", None),
        ("r00c01f01p01-ch1sk1.tiff", None),
        ("A01_s000_w1.tif", None),
        ("A01_s001_w0.tif", None),
        ("A00_s001_w1.tif", None),
        ("A01_s001_w1_z001_t000.tif", None),
        ("A01_s001_w1_z001_t001_cell_counts.json", None),
        ("A01_s{iii}_w1_z001_t001.tif", None),
    ],
)
def test_names(name: str, key: PlaneKey | None) -> None:
    assert parse_name(name) == key


def test_paths_of_windows_and_folders_with_a_number_sign_are_paths(tmp_path: Path, read: Read) -> None:
    paths = {key: f"run#[1]/{by_well(key)}" for key in KEYS}
    write_images(tmp_path, list(paths.values()))
    write_metadata(tmp_path, entry_of(files=[path.replace("/", "\\") for path in paths.values()]))
    contents = read(tmp_path)
    assert found(contents) == paths
    assert (contents.plate.shape, contents.plate.dtype) == ((4, 6), "uint16")


def test_a_name_that_is_no_text_is_an_error(tmp_path: Path, read: Read) -> None:
    initialised(tmp_path, channels={"1": ["a"]})
    with pytest.raises(MetadataError, match=r"channels 1 is named \['a'\]; expected a text"):
        read(tmp_path)


@pytest.mark.parametrize("mapped", [True, False])
def test_the_flat_form_without_anything_else_is_a_plate(tmp_path: Path, read: Read, mapped: bool) -> None:
    paths = initialised(tmp_path, objects=False) if mapped else written(tmp_path)
    flat = {"workspace_mapping": {by_well(key): path for key, path in paths.items()}}
    content = flat if mapped else {"image_files": list(paths.values())}
    (tmp_path / "openhcs_metadata.json").write_text(json.dumps(content))
    assert {plane.key: plane.path for plane in read(tmp_path).planes} == paths


@pytest.mark.parametrize("available", [{}, {"zarr": False}, None, [], {"disk": "yes"}])
def test_available_backends_that_name_none_are_not_guessed(tmp_path: Path, read: Read, available: Any) -> None:
    initialised(tmp_path, available_backends=available)
    with pytest.raises(MetadataError, match="available_backends"):
        read(tmp_path)


@pytest.mark.parametrize(
    "name", ["A01_s{}_w1_z001_t001.tif", "A01_s{}_w1.tif", "r{}c01f01p01-ch1.tiff", "A01_s001_w{}_z001_t001.tif"]
)
def test_numbers_of_thousands_of_digits_are_no_plane(name: str) -> None:
    assert parse_name(name.format("9" * 5000)) is None
    assert parse_well(f"R{'9' * 5000}C1") is None
