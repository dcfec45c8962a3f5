from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.generators.imagexpress_writer import ImageFile, ImageXpressPlate
from wellfield.errors import ConfigError, MetadataError, MicroscopeDetectionError, PathEscapeError, UnreadableImageError
from wellfield.microscopes import MICROSCOPES, MicroscopeHandler, detect_microscope, get_microscope_handler
from wellfield.microscopes.metadata_writer import update_metadata
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.scan import Scan
from wellfield.plate.index import read_index
from wellfield.storage import Backend, FileManager, VirtualWorkspaceBackend
from wellfield.storage.workspace_metadata import METADATA_NAME, main_subdirectory, primary_backend, read_metadata

WritePlate = Callable[[ImageXpressPlate], tuple[Path, list[ImageFile]]]
PLATE = ImageXpressPlate(name="Plätte µ (2)", size=(8, 8), waves=ImageXpressPlate().waves * 2, z_steps=2)


@pytest.fixture
def raw(write_plate: WritePlate) -> Path:
    return write_plate(PLATE)[0]


# --- which microscope ---------------------------------------------------------------------------------------------


@pytest.fixture
def other_microscope() -> Iterator[type[MicroscopeHandler]]:
    """A second microscope that takes any folder for its own; gone after the test."""

    class Other(MicroscopeHandler):
        _microscope_type = "other_vendor"

        @classmethod
        def detect(cls, scan: Scan) -> str | None:
            return "takes everything"

        def find_planes(self) -> ParsedPlate:
            raise NotImplementedError

    yield Other
    del MICROSCOPES["other_vendor"]


def test_the_microscope_is_found_by_content_and_the_reason_given(raw: Path) -> None:
    name, why = detect_microscope(raw)
    assert name == "imagexpress"
    assert "Plätte µ (2).HTD" in why
    assert "_B02_s1_w1.TIF" in why


def test_two_candidates_are_an_error_naming_both_and_why(raw: Path, other_microscope: type) -> None:
    with pytest.raises(MicroscopeDetectionError) as caught:
        get_microscope_handler(raw)
    for text in ("imagexpress (metadata", "other_vendor (takes everything)", "'microscope' column"):
        assert text in str(caught.value)
    assert get_microscope_handler(raw, "imagexpress")[1] == "named in the plate sheet"


def test_a_second_handler_of_the_same_name_is_refused(other_microscope: type[MicroscopeHandler]) -> None:
    with pytest.raises(ValueError, match="two microscope handlers are named 'other_vendor'"):
        type("Copycat", (other_microscope,), {"_microscope_type": "other_vendor", "__module__": "elsewhere"})
    assert MICROSCOPES["other_vendor"] is other_microscope


def test_no_candidate_is_an_error_with_examples_and_the_known_names(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(MicroscopeDetectionError, match=r"1 files, such as holiday\.jpg.*known: imagexpress"):
        get_microscope_handler(tmp_path)


@pytest.mark.parametrize("mask", [("xx", "xx"), ("x",)])
def test_the_metadata_has_what_openhcs_asks_of_a_subdirectory(
    tmp_path: Path, write_plate: WritePlate, mask: tuple[str, ...]
) -> None:
    raw, _ = write_plate(ImageXpressPlate(name="p", size=(8, 8), site_mask=mask, z_steps=2))
    for htd in raw.rglob("*.HTD") if mask == ("x",) else []:
        htd.unlink()
    get_microscope_handler(raw)[0].initialize_workspace(tmp_path / "results", plate="P")
    entry = read_metadata(tmp_path / "results")["subdirectories"]["."]
    assert entry["image_files"] == list(entry["workspace_mapping"])
    assert entry["source_filename_parser_name"] == "ImageXpressFilenameParser"
    assert entry["grid_dimensions"] == ([2, 2] if len(mask) == 2 else [])  # OpenHCS takes an empty list for unknown
    axes = ("channels", "wells", "sites", "z_indexes", "timepoints")
    assert all(isinstance(entry[axis], dict) and entry[axis] for axis in axes)


def test_names_without_site_wave_or_guid_need_the_microscope_named(tmp_path: Path) -> None:
    (tmp_path / "x_A01.tif").write_bytes(b"")
    with pytest.raises(MicroscopeDetectionError):
        detect_microscope(tmp_path)
    assert get_microscope_handler(tmp_path, "imagexpress")[0].plate_path == tmp_path


def test_an_unknown_microscope_is_an_error_with_the_nearest_name(raw: Path) -> None:
    with pytest.raises(ConfigError, match="'imagexpres'; did you mean 'imagexpress'"):
        get_microscope_handler(raw, "imagexpres")
    with pytest.raises(ConfigError, match=r"'zzz'\. Known: auto, imagexpress"):
        get_microscope_handler(raw, "zzz")


# --- what ingest writes -------------------------------------------------------------------------------------------


def ingest(raw: Path, results: Path) -> None:
    handler, why = get_microscope_handler(raw)
    handler.initialize_workspace(results, plate="P1", why=why)


def test_the_mapping_gives_every_plane_under_its_canonical_name(raw: Path, tmp_path: Path) -> None:
    ingest(raw, tmp_path / "results")
    (entry,) = read_metadata(tmp_path / "results")["subdirectories"].values()
    plate = FileManager({"virtual_workspace": VirtualWorkspaceBackend(raw, entry["workspace_mapping"])})
    backend = MicroscopeHandler.get_primary_backend(tmp_path / "results")
    names = plate.list_image_files("images", backend)
    assert backend is Backend.VIRTUAL_WORKSPACE
    assert names == MicroscopeHandler.get_image_files(tmp_path / "results")
    assert len(names) == 2 * 2 * 2 * 2
    assert plate.load("images/B03_s002_w2_z002_t001.tif", backend).max() == 202
    assert MicroscopeHandler.get_available_backends(tmp_path / "results") == {"disk": True, "virtual_workspace": True}


def test_index_metadata_and_report_agree(raw: Path, tmp_path: Path) -> None:
    ingest(raw, tmp_path)
    info, planes = read_index(tmp_path / "index.parquet")
    report = json.loads((tmp_path / "ingest_report.json").read_text())
    entry = read_metadata(tmp_path)["subdirectories"]["."]
    assert entry["main"] is True
    assert entry["plate_path"] == info.path == str(raw)
    assert (list(info.wells), info.name) == (report["found"]["wells"], "P1")
    assert [plane.path for plane in planes] == list(entry["workspace_mapping"].values())
    assert sum(plane.size for plane in planes) == report["found"]["bytes"]
    for plane in planes:
        status = (raw / plane.path).stat()
        assert (plane.size, plane.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert [list(entry[axis]) for axis in ("sites", "z_indexes", "timepoints", "channels")] == [
        ["1", "2"],
        ["1", "2"],
        ["1"],
        ["1", "2"],
    ]


def test_the_same_plate_gives_the_same_bytes_again(raw: Path, tmp_path: Path) -> None:
    ingest(raw, tmp_path / "one")
    ingest(raw, tmp_path / "two")
    ingest(raw, tmp_path / "one")
    for name in os.listdir(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(os.listdir(tmp_path / "two")) == 3


@pytest.mark.parametrize("inside", [".", "results", "TimePoint_1/ZStep_1", "../Plätte µ (2)/results"])
def test_results_inside_the_raw_folder_are_refused(raw: Path, inside: str) -> None:
    before = sorted(raw.rglob("*"))
    with pytest.raises(PathEscapeError, match="lies in the raw plate"):
        ingest(raw, raw / inside)
    assert sorted(raw.rglob("*")) == before


def test_results_that_reach_the_raw_folder_by_a_link_are_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(raw)
    with pytest.raises(PathEscapeError):
        ingest(raw, tmp_path / "link" / "results")


def test_results_beside_a_plate_of_a_similar_name_are_fine(raw: Path, tmp_path: Path) -> None:
    ingest(raw, tmp_path / f"{raw.name} results")


def test_broken_planes_are_mapped_and_fail_only_when_they_are_loaded(raw: Path, tmp_path: Path) -> None:
    for path in raw.rglob("*_B03_*.TIF"):
        path.write_bytes(path.read_bytes()[:50])
    ingest(raw, tmp_path / "results")
    (entry,) = read_metadata(tmp_path / "results")["subdirectories"].values()
    plate = VirtualWorkspaceBackend(raw, entry["workspace_mapping"])
    assert plate.load("images/B02_s001_w1_z001_t001.tif").max() == 101
    with pytest.raises(UnreadableImageError, match=r"_B03_s1_w1\.TIF"):
        plate.load("images/B03_s001_w1_z001_t001.tif")


# --- openhcs_metadata.json ----------------------------------------------------------------------------------------


def write(folder: Path, data: Any) -> Path:
    file = folder / METADATA_NAME
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return file


def test_an_update_merges_into_its_subdirectory_and_leaves_the_others(tmp_path: Path) -> None:
    update_metadata(tmp_path, {"a": 1, "b": 2}, subdirectory="images")
    update_metadata(tmp_path, {"b": 3, "µ": None}, subdirectory="images")
    file = update_metadata(str(tmp_path), {"c": 4}, subdirectory="zarr")
    assert file == tmp_path / METADATA_NAME
    expected = {"subdirectories": {"images": {"a": 1, "b": 3, "µ": None}, "zarr": {"c": 4}}}
    assert read_metadata(tmp_path) == expected
    update_metadata(tmp_path, {"d": 5}, subdirectory="images", replace=True)
    assert read_metadata(tmp_path)["subdirectories"]["images"] == {"d": 5}
    assert os.listdir(tmp_path) == [METADATA_NAME]


@pytest.mark.parametrize("content", ["", "{", '{"subdirectories": ', "[]", '{"subdirectories": []}', '"text"', "null"])
def test_a_corrupt_file_is_an_error_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(MetadataError, match=METADATA_NAME):
        update_metadata(tmp_path, {"a": 1})
    with pytest.raises(MetadataError, match=METADATA_NAME):
        read_metadata(tmp_path)
    assert file.read_text() == content


def test_a_failing_update_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update_metadata(tmp_path, {"a": 1})
    with pytest.raises(TypeError):
        update_metadata(tmp_path, {"a": object()})

    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        update_metadata(tmp_path, {"a": 2})
    assert read_metadata(tmp_path)["subdirectories"]["."] == {"a": 1}
    assert os.listdir(tmp_path) == [METADATA_NAME]


def test_the_file_has_the_mode_that_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert update_metadata(tmp_path, {}).stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_both_forms_of_the_reference_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"pixel_size": 0.65, "image_files": ["a.tif"]})
    entry = main_subdirectory(read_metadata(tmp_path), source="x")
    assert (entry["pixel_size"], entry["image_files"]) == (0.65, ["a.tif"])
    write(tmp_path, {"subdirectories": {"images": {"pixel_size": 0.65}, "z": {"main": True, "pixel_size": 1.3}}})
    assert main_subdirectory(read_metadata(tmp_path), source="x")["pixel_size"] == 1.3


def test_an_update_of_the_flat_form_keeps_what_it_held(tmp_path: Path) -> None:
    write(tmp_path, {"pixel_size": 0.65})
    update_metadata(tmp_path, {"a": 1})
    assert read_metadata(tmp_path) == {"subdirectories": {".": {"main": True, "pixel_size": 0.65, "a": 1}}}


@pytest.mark.parametrize(
    ("entries", "count"),
    [
        ({}, 0),
        ({"a": {}, "b": {}}, 0),
        ({"a": {"main": True}, "b": {"main": True}}, 2),
        ({"a": {"main": "yes"}, "b": {}}, 0),
    ],
)
def test_no_main_subdirectory_or_two_are_an_error(entries: dict[str, Any], count: int) -> None:
    with pytest.raises(MetadataError, match=f"plate P: {count} of the subdirectories"):
        main_subdirectory({"subdirectories": entries}, source="plate P")


def test_the_only_subdirectory_is_the_main_one() -> None:
    assert main_subdirectory({"subdirectories": {"a": {"x": 1}}}, source="") == {"x": 1}


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ({"zarr": True, "virtual_workspace": True, "disk": True}, Backend.ZARR),
        ({"disk": True, "virtual_workspace": True}, Backend.VIRTUAL_WORKSPACE),
        ({"disk": True, "virtual_workspace": False, "zarr": False}, Backend.DISK),
    ],
)
def test_zarr_goes_before_virtual_workspace_before_disk(available: dict[str, bool], expected: Backend) -> None:
    assert primary_backend({"available_backends": available}, source="") is expected


@pytest.mark.parametrize("entry", [{}, {"available_backends": {}}, {"available_backends": {"disk": False}}])
def test_no_available_backend_is_an_error(entry: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match="plate P: no usable entry"):
        primary_backend(entry, source="plate P")


def test_there_is_no_metadata_before_ingest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_metadata(tmp_path)
