from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import DataNotFoundError, MissingPlaneError, SchemaVersionError, StorageError
from wellfield.plate import index
from wellfield.plate.flatfield import FlatfieldProfile, Polynomial
from wellfield.plate.index import PlaneRecord, read_index, read_info, read_paths, write_index
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.plate import Plate

INFO = Plate(
    name="Plate ü",
    path="raw/Plate ü",
    microscope="imagexpress",
    wells=("B02", "C03", "AA01"),
    channels={1: "DAPI", 10: "µ-channel"},
    shape=(256, 512),
    dtype="uint16",
    pixel_size_um=0.65,
    planes_per_well={"B02": 2, "C03": 1, "AA01": 3},
)


def record(well: str, field: int, **values: Any) -> PlaneRecord:
    return PlaneRecord(PlaneKey(well, field, 1, 1, 1), f"TimePoint_1/ä_{well}_s{field}.TIF", 100 + field, 7, **values)


PLANES = [
    record("B02", 1, stage_x_um=1.5, stage_y_um=-2.0, stage_z_um=9.0, pixel_size_um=0.65),
    record("B02", 2),
    record("C03", 1),
    *(record("AA01", field) for field in (1, 2, 3)),
]


def as_text(planes: list[PlaneRecord]) -> list[str]:
    return [repr(plane) for plane in planes]  # nan equals nan as text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_index(tmp_path / "index.parquet", PLANES, INFO)
    return tmp_path / "index.parquet"


def test_index_round_trips(path: Path) -> None:
    info, planes = read_index(path)
    assert info == INFO == read_info(path)
    assert as_text(planes) == as_text(PLANES)


def test_every_fact_of_a_plate_round_trips(tmp_path: Path) -> None:
    shading = Polynomial(((1.0,), (0.1, -0.2)), (8, 6), (3.5, 2.5), (0.125, 0.125))
    plate = dataclasses.replace(
        INFO,
        z_spacing_um=2.0,
        grid_dimensions=(2, 3),
        field_count=3,
        flatfields={10: FlatfieldProfile(300.0, Polynomial(((1.0,),)), shading)},
        stage_y_up=True,
        label_channels=(10,),
        channel_dtypes={10: "uint8"},
        sizes_per_plane=True,
        pixel_size_of_files=True,
        wavelengths_nm={1: (405.0, None)},
        vendor_fields={1: 2, 2: 1},
        time_interval_s=60.0,
    )
    facts = [field.name for field in dataclasses.fields(Plate)]
    assert [name for name in facts if getattr(plate, name) == getattr(Plate(), name)] == []  # none has its default
    write_index(tmp_path / "index.parquet", PLANES, plate)
    found = read_info(tmp_path / "index.parquet")
    assert found == plate
    assert list(found.wells) == list(found.planes_per_well) == ["B02", "C03", "AA01"]  # row by row, not by text


def test_types_are_the_projects_own_after_reading(path: Path) -> None:
    plane = read_index(path)[1][1]
    assert type(plane.key) is PlaneKey
    assert plane.key.projection is Projection.NONE
    assert type(plane.key.field) is int
    assert math.isnan(plane.stage_x_um)


sizes = st.integers(0, 2**62)
keys = st.builds(
    PlaneKey,
    st.sampled_from(["A01", "B02", "AF48"]),
    st.integers(1, 2**31 - 1),
    st.integers(1, 99),
    st.integers(0, 999),
    st.integers(1, 99),
    st.sampled_from(list(Projection)),
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
planes_strategy = st.lists(st.builds(PlaneRecord, keys, names, sizes, sizes, st.floats()), unique_by=lambda p: p.key)


@given(planes_strategy)
def test_any_planes_round_trip(tmp_path_factory: pytest.TempPathFactory, planes: list[PlaneRecord]) -> None:
    path = tmp_path_factory.mktemp("index") / "index.parquet"
    wells = sorted({plane.key.well for plane in planes})
    planes = sorted(planes, key=lambda plane: plane.key.well)
    write_index(path, planes, dataclasses.replace(INFO, wells=tuple(wells), planes_per_well={}))
    assert as_text(read_index(path)[1]) == as_text(planes)


def test_keys_and_paths_are_those_of_the_whole_records(path: Path) -> None:
    info, planes = read_index(path)
    expected = {well: [(p.key, p.path) for p in planes if p.key.well == well] for well in info.wells}
    found = read_paths(path)
    assert found == expected
    assert all(type(key) is PlaneKey and type(key.projection) is Projection for key, _ in found[info.wells[0]])
    assert read_paths(path, [info.wells[-1]]) == {info.wells[-1]: expected[info.wells[-1]]}
    with pytest.raises(MissingPlaneError, match="P24"):
        read_paths(path, ["P24"])


def test_each_well_has_its_own_row_group(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(number).column("well").to_pylist() for number in range(file.num_row_groups)]
    assert groups == [["B02"] * 2, ["C03"], ["AA01"] * 3]


def test_reading_one_well_reads_one_row_group(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = pq.ParquetFile.read_row_groups

    def spy(self: Any, groups: list[int], *args: Any, **options: Any) -> Any:
        read.extend(groups)
        return original(self, groups, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    info, planes = read_index(path, ["C03"])
    assert (read, [plane.key.well for plane in planes], info) == ([1], ["C03"], INFO)


def test_wells_come_in_the_order_asked_for(path: Path) -> None:
    planes = read_index(path, ["AA01", "B02"])[1]
    assert [plane.key.well for plane in planes] == ["AA01"] * 3 + ["B02"] * 2


def test_a_well_that_the_plate_has_not_is_an_error_naming_it(path: Path) -> None:
    with pytest.raises(MissingPlaneError, match="no plane of well H12; it has B02, C03, AA01"):
        read_index(path, ["B02", "H12"])


def test_planes_of_other_wells_than_the_plates_are_refused(tmp_path: Path) -> None:
    for planes in (PLANES[:3], [*PLANES, record("H12", 1)]):
        with pytest.raises(ValueError, match="do not make the wells"):
            write_index(tmp_path / "index.parquet", planes, INFO)
    assert not list(tmp_path.iterdir())


def test_an_index_of_another_schema_version_is_refused_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_METADATA", dataclasses.replace(index._METADATA, version=99))
    for read in (read_info, read_index):
        with pytest.raises(SchemaVersionError, match=r"index\.parquet has schema version 3; this version .* reads 99"):
            read(path)


def test_parquet_of_someone_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"well": ["A01"]}), tmp_path / "other.parquet")
    with pytest.raises(SchemaVersionError, match=r"other\.parquet was not written by Wellfield"):
        read_info(tmp_path / "other.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 no parquet at all PAR1"])
def test_a_broken_index_is_an_error_naming_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.parquet").write_bytes(content)
    with pytest.raises(StorageError, match=r"broken\.parquet is not a plate index"):
        read_index(tmp_path / "broken.parquet")


def test_damaged_rows_are_an_error_naming_the_index(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"index\.parquet is not a plate index"):
        read_index(path)


def test_a_missing_index_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.parquet does not exist"):
        read_info(tmp_path / "none.parquet")
