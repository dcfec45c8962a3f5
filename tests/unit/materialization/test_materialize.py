"""Specs and writers: which file gets what."""

from dataclasses import dataclass

import pytest

from wellfield.errors import MaterializationError, PipelineError, UnsupportedOperationError
from wellfield.formats.json import read_json
from wellfield.formats.table import read_csv, read_parquet
from wellfield.materialization import CsvOptions, JsonOptions, MaterializationSpec, ParquetOptions, materialize
from wellfield.materialization.writers import base_path
from wellfield.pipeline import special_outputs
from wellfield.storage import FileManager, create_storage_registry


@pytest.fixture
def files():
    return FileManager(create_storage_registry())


@dataclass
class Cell:
    well: str
    area: float


def test_each_option_writes_its_part_and_the_primary_path_is_returned(tmp_path, files):
    spec = MaterializationSpec(
        JsonOptions(source="summary"), CsvOptions(source="rows", filename_suffix="_details.csv"), primary=1
    )
    data = {"summary": {"cells": 2}, "rows": [Cell("A01", 1.5), Cell("A02", 2.5)]}
    primary = materialize(spec, data, tmp_path / "cells.pkl", files)
    assert primary == str(tmp_path / "cells_details.csv")
    assert read_json(tmp_path / "cells.json") == {"cells": 2}
    assert read_csv(primary).to_pylist() == [{"well": "A01", "area": 1.5}, {"well": "A02", "area": 2.5}]


def test_fields_choose_columns_and_their_order(tmp_path, files):
    spec = MaterializationSpec(ParquetOptions(fields=("b", "a")))
    path = materialize(spec, {"a": [1], "b": [2], "c": [3]}, tmp_path / "t", files)
    assert read_parquet(path).column_names == ["b", "a"]


def test_an_empty_table_writes_a_valid_file_with_its_columns(tmp_path, files):
    path = materialize(MaterializationSpec(CsvOptions()), {"a": [], "b": []}, tmp_path / "t", files)
    assert read_csv(path).column_names == ["a", "b"]


def test_a_part_or_column_that_is_not_there_is_named(tmp_path, files):
    with pytest.raises(MaterializationError, match="'x'"):
        materialize(MaterializationSpec(JsonOptions(source="x")), {"a": 1}, tmp_path / "t", files)
    with pytest.raises(MaterializationError, match="no column x; it has a"):
        materialize(MaterializationSpec(CsvOptions(fields=("x",))), {"a": [1]}, tmp_path / "t", files)


def test_a_backend_that_the_spec_does_not_allow_is_refused(tmp_path, files):
    spec = MaterializationSpec(JsonOptions(), allowed_backends=("disk",))
    with pytest.raises(MaterializationError, match="'memory' is not allowed"):
        materialize(spec, {}, tmp_path / "t", files, ("memory",))


def test_one_spec_writes_to_several_backends(tmp_path, files):
    path = materialize(MaterializationSpec(JsonOptions()), {"a": 1}, tmp_path / "t", files, ("disk", "memory"))
    assert files.load(path, "disk") == files.load(path, "memory") == {"a": 1}


@pytest.mark.parametrize(
    ("path", "base"), [("a/x.roi.zip", "a/x"), ("x.ome.tif", "x"), ("x.pkl", "x"), ("x.v2", "x.v2"), ("x", "x")]
)
def test_compound_suffixes_are_replaced_whole(path, base):
    assert base_path(path) == base


def test_a_spec_that_cannot_work_is_refused_when_it_is_made():
    with pytest.raises(MaterializationError, match="at least one option"):
        MaterializationSpec()
    with pytest.raises(MaterializationError, match="same file"):
        MaterializationSpec(CsvOptions(), CsvOptions())
    with pytest.raises(MaterializationError, match="no writer option"):
        MaterializationSpec(print)


def test_a_callable_beside_an_output_is_refused_with_the_spec_to_write_instead():
    with pytest.raises(PipelineError, match=r'\("counts", MaterializationSpec\(CsvOptions\(\)\)\)'):
        special_outputs(("counts", print))


def test_a_read_only_backend_says_so(files):
    from wellfield.storage import VirtualWorkspaceBackend

    manager = FileManager({"virtual_workspace": VirtualWorkspaceBackend("/plate", {})})
    with pytest.raises(UnsupportedOperationError, match="read-only"):
        manager.save(1, "x.json", "virtual_workspace")
