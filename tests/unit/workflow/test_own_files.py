"""Every file of the results that Wellfield reads again, damaged in each way: one line that names it, no bare error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellfield.config.settings import resolve_settings
from wellfield.errors import WellfieldError
from wellfield.formats.json_files import write_json
from wellfield.microscopes.ingest_report import ingest_report, read_report
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.pipeline.plan import Branch, CompiledCall, CompiledStep, Plan
from wellfield.pipeline.step import StackAxis
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.index import (
    SCHEMA_VERSION,
    PlaneRecord,
    plate_json,
    read_index,
    read_info,
    read_paths,
    write_index,
)
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.results.manifest import read_manifest, write_manifest
from wellfield.results.records import read_record, write_record
from wellfield.results.staged_well import STAGE_SCHEMA_VERSION, StagedWell
from wellfield.storage.backend import Backend
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.filemanager import FileManager
from wellfield.workflow.cell_counts import REQUIRED
from wellfield.workflow.fit_illumination import read_fit
from wellfield.workflow.plate_tables import read_table
from wellfield.workflow.resources import process_mb

INFO = Plate("P", "raw", "imagexpress", ("B02",), {1: "DAPI"}, planes_per_well={"B02": 1})
COUNTS = {
    "Metadata_Plate": ["P"],
    "Metadata_Well": ["B02"],
    "Metadata_Site": [1],
    "Metadata_Timepoint": [1],
    "Object": ["Nuclei"],
    "Count": [3],
}


def make_plan(path: Path) -> None:
    step = CompiledStep(1, "a", "start", (1,), StackAxis.Z, (Branch((1,), (CompiledCall("gaussian_filter"),)),))
    write_json(path, Plan((step,), {}, {1: "DAPI"}, resolve_settings([])).to_json())


def make_manifest(path: Path) -> None:
    write_manifest(
        path, plate="P", well="B02", status="done", error=None, planes=PlaneAccount(1), plan_digest="", files=[]
    )


def make_staged(path: Path) -> None:
    values: dict[str, Any] = {
        "schema_version": STAGE_SCHEMA_VERSION,
        "plate": "P",
        "well": "B02",
        "status": "done",
        "error": None,
    }
    values |= {"planes": {"used": 1}, "images": [], "outputs": [], "scratch": None, "sizes": {}, "processing": ""}
    write_json(path, values)


def read_staged(path: Path) -> Any:
    return StagedWell.read(path.parent, FileManager({Backend.DISK: DiskStorageBackend()}))


def make_fit(path: Path) -> None:
    write_json(path, {"schema_version": 1, "plate": "P", "channels": {"1": {"background": 1.0}}})


JSON_FILES: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "plan": ("plan.json", make_plan, Plan.read),
    "plan, for its memory": ("plan.json", make_plan, lambda path: process_mb(path, margin_mb=0)),
    "manifest": ("wells/B02.json", make_manifest, read_manifest),
    "staged": (".staging/B02/staged.json", make_staged, read_staged),
    "report": (
        "ingest_report.json",
        lambda path: write_json(path, ingest_report(ParsedPlate([], INFO), why="")),
        read_report,
    ),
    "illumination": ("illumination/illumination.json", make_fit, read_fit),
    "record": (
        "records/compile_plan.json",
        lambda path: write_record(path.parent.parent, "compile_plan", [], of={}),
        lambda path: read_record(path.parent.parent, "compile_plan"),
    ),
}

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "text": lambda _: b"nothing",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"7",
    "another shape": lambda content: json.dumps({"schema_version": json.loads(content)["schema_version"]}).encode(),
    "a newer version": lambda content: json.dumps({**json.loads(content), "schema_version": 99}).encode(),
    "all values lists": lambda content: json.dumps(
        {name: [] if name != "schema_version" else value for name, value in json.loads(content).items()}
    ).encode(),
    "all values null": lambda content: json.dumps(
        {name: None if name != "schema_version" else value for name, value in json.loads(content).items()}
    ).encode(),
    "no UTF-8": lambda _: b'{"schema_version": "\xff"}',
}


@pytest.mark.parametrize(("name", "make", "read"), JSON_FILES.values(), ids=JSON_FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_json_is_one_line_that_names_the_file(
    tmp_path: Path,
    name: str,
    make: Callable[[Path], Any],
    read: Callable[[Path], Any],
    damage: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    assert read(path) is not None
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WellfieldError, match=r"\. (Delete|Restore|Use) |delete it") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("steps", 0, "branches", 0, "calls", 0, "memory_type"), "abacus"),
        (("steps", 0, "stack"), "sideways"),
        (("steps", 0, "unknown"), 1),
        (("channels",), {"first": "DAPI"}),
        (("settings", "device"), "toaster"),
        (("settings", "zarr.unknown"), 1),
    ],
)
def test_values_that_no_plan_has_are_the_plans_error(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    path = tmp_path / "plan.json"
    make_plan(path)
    plan = inner = json.loads(path.read_text())
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    path.write_text(json.dumps(plan))
    with pytest.raises(WellfieldError, match=r"plan\.json is not a valid plan: .*Delete it"):
        Plan.read(path)


def index_table(path: Path) -> pa.Table:
    write_index(path, [PlaneRecord(PlaneKey("B02", 1, 1, 1, 1), "a.tif", 1, 1)], INFO)
    return pq.read_table(path)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


INDEX_DAMAGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no path": lambda table: table.drop_columns(["path"]),
    "text for numbers": lambda table: with_column(table, "z", pa.array(["one"])),
    "no value": lambda table: with_column(table, "path", pa.array([None], pa.string())),
    "another well": lambda table: with_column(table, "well", pa.array(["C03"])),
    "another projection": lambda table: with_column(table, "projection", pa.array(["sum"])),
    "more rows": lambda table: pa.concat_tables([table, table]),
    "no rows": lambda table: table.slice(0, 0),
    "metadata a list": lambda table: table.replace_schema_metadata({"wellfield": "[]"}),
    "metadata of another shape": lambda table: table.replace_schema_metadata(
        {"wellfield": f'{{"schema_version": {SCHEMA_VERSION}}}'}
    ),
    "three sides": lambda table: table.replace_schema_metadata(
        {"wellfield": plate_json(INFO).replace('"shape": null', '"shape": [1, 2, 3]')}
    ),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES)
@pytest.mark.parametrize("read", [read_index, read_paths])
def test_an_index_of_another_shape_is_one_line_that_names_it(
    tmp_path: Path, damage: Callable[[pa.Table], pa.Table], read: Callable[[Path], Any]
) -> None:
    path = tmp_path / "index.parquet"
    table = index_table(path)
    assert read(path)
    pq.write_table(damage(table), path)
    with pytest.raises(WellfieldError, match=r"index\.parquet .*Delete it, and the next run ingests the plate again$"):
        read(path)


def test_the_metadata_of_an_index_are_read_as_they_were_written(tmp_path: Path) -> None:
    index_table(tmp_path / "index.parquet")
    assert read_info(tmp_path / "index.parquet") == INFO


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a readable Parquet file"),
        (b"text", "is not a readable Parquet file"),
        ({name: values for name, values in COUNTS.items() if name != "Count"}, "has no column Count; it has"),
        ({**COUNTS, "Count": ["three"]}, "column Count holds string; expected numbers"),
        ({**COUNTS, "Metadata_Well": [2]}, "column Metadata_Well holds int64; expected text"),
        ({**COUNTS, "Metadata_Site": [[1]]}, "column Metadata_Site holds list"),
    ],
)
def test_a_table_of_another_shape_is_one_line_that_names_it(tmp_path: Path, content: Any, reason: str) -> None:
    path = tmp_path / "cell_counts.parquet"
    pq.write_table(pa.table(COUNTS), path)
    assert read_table(path, REQUIRED, again="Delete it").equals(pq.read_table(path).to_pandas())
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(pa.table(content), path)
    with pytest.raises(WellfieldError, match=rf"cell_counts\.parquet.*{reason}.*Delete it$"):
        read_table(path, REQUIRED, again="Delete it")
