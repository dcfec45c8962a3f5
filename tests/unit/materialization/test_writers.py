"""Writing with a spec: which files there are afterwards, in which backends, and which were never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DiskSpaceError, MaterializationError, StorageError, UnsupportedOperationError
from wellfield.formats.json_files import read_json
from wellfield.formats.table import read_csv
from wellfield.materialization import (
    CsvOptions,
    ImagePlace,
    JsonOptions,
    MaterializationSpec,
    ParquetOptions,
    ROIOptions,
    TextOptions,
    TiffStackOptions,
    materialize,
)
from wellfield.materialization.writers import base_path, write_option
from wellfield.storage import FileManager, StreamingBackend, VirtualWorkspaceBackend, create_storage_registry

CSV, JSON = MaterializationSpec(CsvOptions()), MaterializationSpec(JsonOptions())
LABELS = np.array([[1, 0, 2]])


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# --- paths --------------------------------------------------------------------------------------------------------


def test_each_option_writes_its_part_and_the_primary_path_is_returned(tmp_path: Path, files: FileManager) -> None:
    options = JsonOptions(source="summary"), CsvOptions(source="rows", filename_suffix="_details.csv")
    data = {"summary": {"cells": 2}, "rows": {"area": [1.5, 2.5]}}
    for primary, name in enumerate(("cells.json", "cells_details.csv")):
        spec = MaterializationSpec(*options, primary=primary)
        assert materialize(spec, data, tmp_path / "new" / "cells.pkl", files) == str(tmp_path / "new" / name)
    assert read_json(tmp_path / "new" / "cells.json") == {"cells": 2}
    assert read_csv(tmp_path / "new" / "cells_details.csv").to_pydict() == {"area": [1.5, 2.5]}


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("a/x.roi.zip", "a/x"),
        ("x.ome.tif", "x"),
        ("x.ome.tiff", "x"),
        ("X.OME.TIF", "X"),
        ("x.pkl", "x"),
        ("x.npy", "x"),
        ("x.parquet", "x"),
        ("x.v2", "x.v2"),
        ("plate.v2.csv", "plate.v2"),
        ("a.csv/x", "a.csv/x"),
        ("x.csv.pkl", "x.csv"),
        ("x", "x"),
        ("a/.csv", "a/.csv"),
        ("a/.roi.zip", "a/.roi"),
    ],
)
def test_compound_suffixes_are_replaced_whole_and_other_dots_stay(path: str, base: str) -> None:
    assert base_path(path) == base_path(Path(path)) == base


@pytest.mark.parametrize("path", ["", "folder/"])
def test_a_path_without_a_name_is_refused(path: str, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match="expected the path of a file"):
        materialize(JSON, {}, path, files)


# --- backends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backends", [("disk", "memory"), ["memory", "disk", "disk"]], ids=str)
def test_one_spec_writes_to_several_backends(tmp_path: Path, files: FileManager, backends: Any) -> None:
    spec = MaterializationSpec(JsonOptions(), TiffStackOptions(source="masks"), ROIOptions(source="masks"))
    path = materialize(spec, {"masks": LABELS}, tmp_path / "t", files, backends, place=ImagePlace(pixel_size_um=0.5))
    assert files.load(path, "disk") == files.load(path, "memory") == {"masks": LABELS.tolist()}
    for backend in ("disk", "memory"):
        np.testing.assert_array_equal(files.load(tmp_path / "t.tif", backend), LABELS)
        assert [roi.name for roi in files.load(tmp_path / "t.roi.zip", backend)] == ["1", "2"]


def test_one_backend_may_be_given_by_its_name(tmp_path: Path, files: FileManager) -> None:
    materialize(JSON, {}, tmp_path / "t", files, "memory")
    assert not list(tmp_path.iterdir())
    assert files.load(tmp_path / "t.json", "memory") == {}


def test_images_go_to_zarr_as_arrays(tmp_path: Path, files: FileManager) -> None:
    spec = MaterializationSpec(TiffStackOptions(compression="zlib"))
    path = materialize(spec, LABELS, tmp_path / "t", files, ("zarr",), place=ImagePlace(pixel_size_um=0.5))
    np.testing.assert_array_equal(files.load(path, "zarr"), LABELS)


@pytest.mark.parametrize("option", [CsvOptions, ParquetOptions, JsonOptions, ROIOptions, TextOptions])
def test_what_zarr_cannot_hold_is_refused_before_anything_is_written(
    option: Any, tmp_path: Path, files: FileManager
) -> None:
    spec = MaterializationSpec(TiffStackOptions(), option())
    with pytest.raises(
        MaterializationError, match=f"zarr backend holds images only, and {option.__name__} writes none"
    ):
        materialize(spec, LABELS, tmp_path / "t", files, ("memory", "zarr"))
    assert not list(tmp_path.iterdir()) and not files.exists(tmp_path / "t.tif", "memory")


def test_zarr_and_disk_would_have_one_path_for_a_folder_and_a_file(tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match="a folder and a file at the same path"):
        materialize(MaterializationSpec(TiffStackOptions()), LABELS, tmp_path / "t", files, ("disk", "zarr"))
    assert not list(tmp_path.iterdir())


def test_a_backend_that_the_spec_does_not_allow_is_refused_before_anything_is_written(
    tmp_path: Path, files: FileManager
) -> None:
    spec = MaterializationSpec(JsonOptions(), allowed_backends=("disk", "zarr"))
    with pytest.raises(MaterializationError, match=r"t: backend 'memory' is not allowed; allowed: disk, zarr"):
        materialize(spec, {}, tmp_path / "t", files, ("disk", "memory"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [materialize, write_option])
def test_backends_that_cannot_be_written_to_are_refused_before_anything_is_written(write: Any, tmp_path: Path) -> None:
    files = FileManager(create_storage_registry() | {"virtual_workspace": VirtualWorkspaceBackend("/plate", {})})
    what = JSON if write is materialize else JsonOptions()
    with pytest.raises(UnsupportedOperationError, match="'virtual_workspace' is read-only"):
        write(what, {}, tmp_path / "t", files, ("disk", "virtual_workspace"))
    with pytest.raises(StorageError, match="no storage backend 'omero_local' here"):
        write(what, {}, tmp_path / "t", files, ("disk", "omero_local"))
    with pytest.raises(MaterializationError, match="at least one backend"):
        write(what, {}, tmp_path / "t", files, ())
    assert not list(tmp_path.iterdir())


def test_what_only_takes_data_gets_it_without_folders(tmp_path: Path) -> None:
    taken: dict[str, Any] = {}

    class Viewer(StreamingBackend):
        def connect(self) -> None: ...

        def close(self) -> None: ...

        def save(self, data: Any, identifier: Any, **_: Any) -> None:
            taken[str(identifier)] = data

    materialize(JSON, {"a": 1}, tmp_path / "t", FileManager({"viewer": Viewer()}), ("viewer",))
    assert taken == {str(tmp_path / "t.json"): {"a": 1}}


# --- what stays and what goes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["disk", "memory"])
def test_what_an_earlier_spec_wrote_for_the_same_output_goes(backend: str, tmp_path: Path, files: FileManager) -> None:
    data = {"a": [1]}
    options = JsonOptions(), CsvOptions(filename_suffix="_details.csv"), ParquetOptions()
    materialize(MaterializationSpec(*options), data, tmp_path / "cells.pkl", files, (backend,))
    files.save("mine", tmp_path / "cells.txt", backend)
    materialize(MaterializationSpec(JsonOptions(), CsvOptions()), data, tmp_path / "cells", files, (backend,))
    left = [Path(path).name for path in files.list_files(tmp_path, backend)]
    assert [name for name in left if not name.startswith(".")] == ["cells.csv", "cells.json", "cells.txt"]
    materialize(CSV, data, tmp_path / "cells.pkl", files, (backend,))
    assert not files.exists(tmp_path / "cells.json", backend)


def test_each_backend_is_tidied_when_it_is_written(tmp_path: Path, files: FileManager) -> None:
    materialize(JSON, {"a": [1]}, tmp_path / "cells", files, ("disk", "memory"))
    materialize(CSV, {"a": [1]}, tmp_path / "cells", files, ("memory",))
    assert not files.exists(tmp_path / "cells.json", "memory")
    assert visible(tmp_path) == ["cells.json"]
    materialize(CSV, {"a": [1]}, tmp_path / "cells", files, ("disk",))
    assert visible(tmp_path) == ["cells.csv"]


def test_files_of_others_beside_an_output_are_never_touched(tmp_path: Path, files: FileManager) -> None:
    theirs = {"A01.tif", "A01.json", "A01.txt", "A01.roi.zip", "A01.parquet", "A01_notes.csv", "A011.json", "A0.json"}
    for name in theirs:
        (tmp_path / name).write_text(name)
    for path in ("A01", "A01.tif", "A01.csv", "A01.pkl"):
        for _ in range(2):
            materialize(CSV, {"a": [1]}, tmp_path / path, files)
    assert visible(tmp_path) == sorted({*theirs, "A01.csv"})
    assert all((tmp_path / name).read_text() == name for name in theirs)


def test_the_file_at_the_given_path_stays_whoever_wrote_it(tmp_path: Path, files: FileManager) -> None:
    path = materialize(JSON, {"a": [1]}, tmp_path / "cells", files)
    materialize(CSV, {"a": [1]}, path, files)
    assert visible(tmp_path) == ["cells.csv", "cells.json"]


def test_an_output_is_told_from_another_whose_name_begins_alike(tmp_path: Path, files: FileManager) -> None:
    materialize(JSON, {"a": [1]}, tmp_path / "cells_large", files)
    materialize(JSON, {"a": [1]}, tmp_path / "cells", files)
    materialize(CSV, {"a": [1]}, tmp_path / "cells", files)
    assert visible(tmp_path) == ["cells.csv", "cells_large.json"]


def test_old_files_stay_until_all_new_ones_are_there(
    tmp_path: Path, files: FileManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(JSON, {"a": [1]}, tmp_path / "cells", files)

    def full(*_: Any, **__: Any) -> None:
        raise DiskSpaceError("no space left")

    monkeypatch.setattr("wellfield.formats.table.write_parquet", full)
    with pytest.raises(DiskSpaceError):
        materialize(MaterializationSpec(CsvOptions(), ParquetOptions()), {"a": [1]}, tmp_path / "cells", files)
    assert "cells.json" in visible(tmp_path)
    monkeypatch.undo()
    materialize(MaterializationSpec(CsvOptions(), ParquetOptions()), {"a": [1]}, tmp_path / "cells", files)
    assert visible(tmp_path) == ["cells.csv", "cells.parquet"]


def test_data_that_does_not_fit_leaves_everything_as_it_was(tmp_path: Path, files: FileManager) -> None:
    materialize(JSON, {"a": [1]}, tmp_path / "cells", files)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(MaterializationError, match=r"cells\.tif"):
        materialize(MaterializationSpec(JsonOptions(), TiffStackOptions()), {"b": 2}, tmp_path / "cells", files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": ["../cells.json"]}', '{"files": ["other.json"]}'])
def test_a_damaged_list_is_an_error_that_names_it_and_removes_nothing(
    content: str, tmp_path: Path, files: FileManager
) -> None:
    for name in ("cells.json", "other.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / ".cells.materialized.json").write_text(content)
    with pytest.raises(
        MaterializationError,
        match=r"\.cells\.materialized\.json is damaged: it does not list files of cells; delete",
    ):
        materialize(CSV, {"a": [1]}, tmp_path / "cells", files)
    assert visible(tmp_path) == ["cells.json", "other.json"]


def test_one_option_alone_is_written_and_nothing_else(tmp_path: Path, files: FileManager) -> None:
    materialize(JSON, {"a": [1]}, tmp_path / "cells", files)
    path = write_option(CsvOptions(), {"a": [1]}, tmp_path / "cells.pkl", files)
    assert path == str(tmp_path / "cells.csv")
    assert visible(tmp_path) == ["cells.csv", "cells.json"]
