"""The virtual workspace opened by a folder alone: ``openhcs_metadata.json`` there gives mapping and plate."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import ArgumentTypeError, DataNotFoundError, MetadataError, PathEscapeError, PlateNotFoundError
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.storage import FileManager, VirtualWorkspaceBackend

NAME = "images/A01_s001_w1_z001_t001.tif"
REAL = "TimePoint_1/x_A01_s1_w1.TIF"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    write_tiff(folder / REAL, np.full((4, 5), 7, "u2"))
    write_tiff(folder / "TimePoint_1/x_A01_s2_w1.TIF", np.full((4, 5), 8, "u2"))
    (folder / "notes.txt").write_text("notes")
    return folder


def write(folder: Path, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "openhcs_metadata.json").write_text(json.dumps(content))
    return folder


def nested(**entries: dict[str, Any]) -> dict[str, Any]:
    return {"subdirectories": entries}


OBJECT = {"backend": "disk", "backend_address": REAL, "source_axis_indices": []}


@pytest.mark.parametrize(
    "content",
    [
        {"workspace_mapping": {NAME: REAL}},
        {"workspace_mapping": {NAME: REAL}, "plate_path": "."},
        nested(images={"workspace_mapping": {NAME: REAL}}),
        nested(a={"workspace_mapping": {"x.tif": "y.tif"}}, b={"workspace_mapping": {NAME: REAL}, "main": True}),
        nested(a={"workspace_mapping": {NAME: REAL}, "main": True}, b={"image_files": ["x.tif"], "main": False}),
        {"workspace_mapping": {NAME: OBJECT}},
    ],
)
def test_a_folder_with_metadata_opens_in_both_forms(raw: Path, content: Any) -> None:
    files = FileManager({"virtual_workspace": VirtualWorkspaceBackend(str(write(raw, content)))})
    assert files.list_files("images", "virtual_workspace") == [NAME]
    assert files.load(NAME, "virtual_workspace")[0, 0] == 7
    assert files.load(raw / NAME, "virtual_workspace")[0, 0] == 7


def test_a_mapping_that_is_given_counts_and_not_the_file(raw: Path) -> None:
    write(raw, {"workspace_mapping": {"other.tif": REAL}})
    assert VirtualWorkspaceBackend(raw, mapping={NAME: REAL}).list_files(".", recursive=True) == [NAME]
    assert VirtualWorkspaceBackend(raw, {}).list_dir(".") == []


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"workspace_mapping": {}},
        {"workspace_mapping": [NAME]},
        {"workspace_mapping": {NAME: None}},
        {"workspace_mapping": {NAME: {**OBJECT, "backend": "omero_local"}}},
        {"workspace_mapping": {NAME: {**OBJECT, "source_axis_indices": [1]}}},
        {"workspace_mapping": {NAME: {"backend": "disk"}}},
        {"workspace_mapping": {NAME: REAL}, "plate_path": 5},
        {"workspace_mapping": {NAME: REAL}, "plate_path": "a\0b"},
        nested(a={"workspace_mapping": {NAME: REAL}}, b={"workspace_mapping": {NAME: REAL}}),
        nested(a={"workspace_mapping": {NAME: REAL}, "main": False}, b={"image_files": ["x.tif"], "main": True}),
        nested(),
        [],
    ],
)
def test_metadata_without_one_mapping_is_an_error_naming_the_file(raw: Path, content: Any) -> None:
    with pytest.raises(MetadataError, match=r"openhcs_metadata\.json"):
        VirtualWorkspaceBackend(write(raw, content))


def test_a_folder_without_metadata_is_an_error_naming_the_file(raw: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"openhcs_metadata\.json"):
        VirtualWorkspaceBackend(raw)


@pytest.mark.parametrize("mapping", [5, "a", [NAME]])
def test_a_mapping_of_another_type_is_refused(raw: Path, mapping: Any) -> None:
    with pytest.raises(ArgumentTypeError):
        VirtualWorkspaceBackend(raw, mapping)


# --- what Wellfield writes --------------------------------------------------------------------------------------------


def test_results_open_wherever_they_lie(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    handler, why = get_microscope_handler(Path("raw"), "imagexpress")
    handler.initialize_workspace("results/P", plate="P", why=why)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "results" / "P", tmp_path / "elsewhere" / "P")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for folder in ("P", tmp_path / "elsewhere" / "P"):
        plate = VirtualWorkspaceBackend(folder)
        assert [int(array[0, 0]) for array in plate.load_batch(plate.list_files("images"))] == [7, 8]
        for root in (raw, tmp_path / "elsewhere" / "P"):  # below the plate, and below its results
            assert plate.load(root / NAME)[0, 0] == 7
        assert plate.resolve(NAME) == raw / REAL
        assert pickle.loads(pickle.dumps(plate)).load(NAME)[0, 0] == 7
    shutil.rmtree(raw)
    with pytest.raises(PlateNotFoundError, match="is gone"):
        VirtualWorkspaceBackend("P").load(NAME)


def test_results_and_plate_that_move_together_open_by_a_relative_path(raw: Path, tmp_path: Path) -> None:
    write(tmp_path / "results", {"workspace_mapping": {NAME: REAL}, "plate_path": "../raw"})
    (tmp_path / "new").mkdir()
    for name in ("raw", "results"):
        shutil.move(tmp_path / name, tmp_path / "new" / name)
    assert VirtualWorkspaceBackend(tmp_path / "new" / "results").load(NAME)[0, 0] == 7


# --- what must not be opened ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "real", ["../raw/notes.txt", "/etc/passwd", "a/../../b.tif", "..\\b.tif", "C:/b.tif", "a\0.tif"]
)
@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_mapping_out_of_the_plate_is_refused(
    raw: Path, tmp_path: Path, real: str, as_object: bool, elsewhere: bool
) -> None:
    value = {**OBJECT, "backend_address": real} if as_object else real
    content = {"workspace_mapping": {NAME: value}} | ({"plate_path": str(raw)} if elsewhere else {})
    with pytest.raises(PathEscapeError):
        VirtualWorkspaceBackend(write(tmp_path / "results" if elsewhere else raw, content))


@pytest.mark.parametrize("plate_path", ["/", "{raw}", "../raw", "..", "{raw}/../raw"])
@pytest.mark.parametrize("real", ["notes.txt", "raw/notes.txt", "etc/passwd", "openhcs_metadata.json", ".ssh/id_rsa"])
def test_through_a_plate_elsewhere_nothing_but_images_is_read(
    raw: Path, tmp_path: Path, plate_path: str, real: str
) -> None:
    content = {"workspace_mapping": {NAME: REAL, "images/b.txt": real}, "plate_path": plate_path.format(raw=raw)}
    with pytest.raises(PathEscapeError, match="is not an image"):
        VirtualWorkspaceBackend(write(tmp_path / "results", content))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_link_out_of_the_plate_is_refused(raw: Path, tmp_path: Path, elsewhere: bool) -> None:
    write_tiff(tmp_path / "secret" / "s.tif", np.zeros((2, 2), "u2"))
    (raw / "l.tif").symlink_to(tmp_path / "secret" / "s.tif")
    (raw / "folder").symlink_to(tmp_path / "secret")
    mapping = {"a.tif": "l.tif", "b.tif": "folder/s.tif"}
    content = {"workspace_mapping": mapping} | ({"plate_path": str(raw)} if elsewhere else {})
    plate = VirtualWorkspaceBackend(write(tmp_path / "results" if elsewhere else raw, content))
    for name in mapping:
        for operation in (plate.load, plate.stat, plate.resolve):
            with pytest.raises(PathEscapeError, match="leads outside the plate"):
                operation(name)


def test_names_that_differ_in_case_or_have_dots_are_names_of_their_own(raw: Path) -> None:
    for number, name in enumerate(("a.tif", "A.tif", "....tif", "..a.tif")):
        write_tiff(raw / name, np.full((2, 2), number, "u2"))
    mapping = {f"images/{name}": name for name in ("a.tif", "A.tif", "....tif", "..a.tif")}
    plate = VirtualWorkspaceBackend(write(raw, {"workspace_mapping": mapping}))
    assert [int(plate.load(name)[0, 0]) for name in mapping] == [0, 1, 2, 3]


def test_opening_writes_nothing(raw: Path) -> None:
    write(raw, {"workspace_mapping": {NAME: REAL}})
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    os.chmod(raw, 0o555)
    try:
        VirtualWorkspaceBackend(raw).load(NAME)
    finally:
        os.chmod(raw, 0o755)
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*")} == before
