"""Damaged and hostile metadata: one clear error that names the file, whatever is wrong in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.microscopes.ngff_plates import VERSIONS, Image, write_image, write_plate
from wellfield.errors import EmptyPlateError, MetadataError
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.index import plate_json

Read = Callable[[Path], ParsedPlate]
versions = pytest.mark.parametrize("version", VERSIONS)
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**12, 2**64, 10**400, 1e308, float("nan"), float("inf"), 0.5]),
    st.text(max_size=5),
    st.sampled_from(["../x", "/etc", "a/../b", "", "c", "v2", "AF/49"]),
    st.just([]),
    st.just({}),
    st.lists(st.integers(0, 3), max_size=6),
    st.dictionaries(st.sampled_from(["name", "path", "type", "scale"]), st.integers(), max_size=2),
)


def metadata(store: Path) -> list[Path]:
    return sorted(p for p in store.rglob("*") if p.name in (".zattrs", ".zarray", "zarr.json") and p.parent.name != "1")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def replaced(data: Any, place: tuple[Any, ...], value: Any, *, remove: bool) -> Any:
    if not place:
        return value
    data = copy.deepcopy(data)
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    if remove:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return data


@pytest.fixture(scope="module", params=VERSIONS)
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("damaged") / "p"
    image = Image("tczyx", labels=("a", "b"), translation={"x": 3.0}, shards=request.param == "0.5")
    plate = {"acquisitions": [{"id": 1, "name": "first"}, {"id": 2}]}
    write_plate(store, {"A/1": {"0": image, "1": image}}, request.param, plate=plate, acquisitions={"0": 1, "1": 2})
    return store


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_wrong_values_anywhere_are_one_clear_error_or_do_not_matter(stores: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(metadata(stores)))
    content = file.read_bytes()
    whole = json.loads(content)
    place = data.draw(st.sampled_from(list(places(whole))))
    changed = replaced(whole, place, data.draw(WRONG), remove=data.draw(st.booleans()))
    file.write_text(json.dumps(changed))
    try:
        contents = get_microscope_handler(stores, "ome_zarr")[0].read_plate()
    except MetadataError as error:
        assert str(stores) in str(error) or file.relative_to(stores).as_posix() in str(error)
    except EmptyPlateError:
        pass
    else:
        assert contents.planes
        plate_json(contents.complete(name="p", path="p", microscope="ome_zarr"))
    finally:
        file.write_bytes(content)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_truncated_and_garbled_files_are_an_error_that_names_the_file(stores: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(metadata(stores)))
    content = file.read_bytes()
    if not json.loads(content):  # the attributes of a row, which nobody needs
        return
    cut = data.draw(st.integers(0, len(content.rstrip()) - 1))
    garbage = data.draw(st.sampled_from([b"", b"\xff\xfe", b"{", b"[" * 20_000]))
    file.write_bytes(content[:cut] + garbage)
    is_row = file.parent.name == "A"
    try:
        if is_row:
            get_microscope_handler(stores)[0].read_plate()
        else:
            with pytest.raises(MetadataError, match=rf"{file.relative_to(stores).as_posix()} is not valid JSON"):
                get_microscope_handler(stores)[0].read_plate()
    finally:
        file.write_bytes(content)


@versions
@pytest.mark.parametrize("path", ["../../outside", "/etc/passwd", "0/../0", "", ".", "a\\b"])
def test_paths_that_leave_the_image_are_refused(tmp_path: Path, read: Read, version: str, path: str) -> None:
    content = Image("yx").attributes()
    content["multiscales"][0]["datasets"][0]["path"] = path
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx", extra=content)}}, version)
    with pytest.raises(MetadataError, match=r"A/1/0/(\.zattrs|zarr.json): .*datasets\[0\].path is .*; expected"):
        read(tmp_path / "p")


@versions
@pytest.mark.parametrize("linked", ["A", "A/1", "A/1/0", "A/1/0/0"])
def test_a_link_in_the_plate_is_an_error_and_not_an_absent_plane(
    tmp_path: Path, read: Read, version: str, linked: str
) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image()}, "B/1": {"0": Image()}}, version)
    (tmp_path / "p" / linked).rename(tmp_path / "elsewhere")
    (tmp_path / "p" / linked).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MetadataError, match=rf"{linked} is a link to a folder"):
        read(tmp_path / "p")


def test_a_chunk_that_is_a_link_out_of_the_plate_is_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx", separator=".")}})
    chunk = tmp_path / "p" / "A/1/0/0/0.0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MetadataError, match=r"A/1/0/0/0.0 is a link"):
        read(tmp_path / "p")


def test_a_chunk_that_is_a_link_to_nothing_is_an_error_and_not_absent(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx", separator=".")}})
    chunk = tmp_path / "p" / "A/1/0/0/0.0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "annex" / "not fetched")
    with pytest.raises(MetadataError, match=r"A/1/0/0/0.0 is a link to a folder, to nothing"):
        read(tmp_path / "p")


def test_a_link_in_an_image_without_a_plate(tmp_path: Path, read: Read) -> None:
    write_image(tmp_path / "p", Image("yx", separator="."), "0.4")
    chunk = tmp_path / "p" / "0/0.0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MetadataError, match=r"0/0.0 is a link"):
        read(tmp_path / "p")
