"""Which planes of an array are stored, told from its files, against what zarr-python reads; and reading them."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wellfield.errors import DataNotFoundError, MetadataError, PathEscapeError, UnreadableImageError
from wellfield.formats.json_cursor import Checked
from wellfield.formats.json_files import read_json
from wellfield.storage import VirtualWorkspaceBackend
from wellfield.storage.zarr.chunks import ArrayLayout, parse_layout, read_layout, stored_now, stored_planes
from wellfield.storage.zarr.pixels import open_array

FILL = 7


def layout_of(folder: Path) -> ArrayLayout:
    v3 = folder / "zarr.json"
    file = v3 if v3.exists() else folder / ".zarray"
    return parse_layout(Checked(read_json(file), str(file)), 3 if v3.exists() else 2)


def listing(folder: Path) -> list[tuple[str, int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [(p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns) for p in files]


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, Any]:
    """Options of an array: of one to five axes beside... two at least, chunks of any shape, shards or none."""
    rank = draw(st.integers(2, 5))
    shape = tuple(draw(st.integers(1, 5)) for _ in range(rank))
    chunks = tuple(draw(st.integers(1, size + 1)) for size in shape)
    zarr_format = draw(st.sampled_from([2, 3]))
    options: dict[str, Any] = {"shape": shape, "chunks": chunks, "zarr_format": zarr_format}
    options["dtype"] = draw(st.sampled_from(["u1", "<u2", ">i4", "f4"])) if zarr_format == 2 else "u2"
    encoding = "v2" if zarr_format == 2 else draw(st.sampled_from(["v2", "default"]))
    options["chunk_key_encoding"] = {"name": encoding, "separator": draw(st.sampled_from([".", "/"]))}
    if zarr_format == 3 and draw(st.booleans()):
        options["shards"] = tuple(chunk * draw(st.integers(1, 3)) for chunk in chunks)
    return options


def pixels(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.arange(1, np.prod(shape) + 1).reshape(shape) % 100 + 100


@given(options=arrays(), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exactly_the_planes_that_have_a_chunk_are_stored_and_read_as_by_zarr(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("array") / "a"
    array = zarr.create_array(folder, fill_value=FILL, **options)
    grid = [range(0, size, chunk) for size, chunk in zip(options["shape"], options["chunks"], strict=True)]
    corners = list(product(*grid))
    written = data.draw(st.lists(st.sampled_from(corners), unique=True))
    values = pixels(options["shape"])
    truth = np.full(options["shape"], FILL)
    is_written = np.zeros(options["shape"], bool)
    for corner in written:
        place = tuple(slice(at, at + chunk) for at, chunk in zip(corner, options["chunks"], strict=True))
        array[place] = values[place]
        truth[place], is_written[place] = values[place], True
    files = [
        path for path in folder.rglob("*") if path.is_file() and path.name not in (".zarray", ".zattrs", "zarr.json")
    ]
    if "shards" not in options:
        for path in data.draw(st.lists(st.sampled_from(files), unique=True)) if files else ():
            path.unlink()
        truth = np.asarray(zarr.open_array(folder, mode="r")[...]).astype(int)
        is_written = truth != FILL
    (folder / "notes.txt").write_text("no chunk")
    stored = stored_planes(layout_of(folder), folder, listing(folder))
    planes = list(np.ndindex(options["shape"][:-2]))
    assert set(stored) == {plane for plane in planes if is_written[plane].any()}
    assert {plane for plane, found in stored.items() if found.partial} == {p for p in stored if not is_written[p].all()}
    workspace = VirtualWorkspaceBackend(
        folder.parent, {f"{number}": f"a#[{','.join(map(str, plane))}]" for number, plane in enumerate(planes)}
    )
    there = [str(number) for number, plane in enumerate(planes) if plane in stored]
    for number, plane in zip(there, workspace.load_batch(there), strict=True):
        expected = truth[planes[int(number)]]
        assert (plane == expected).all()
        assert plane.dtype == np.dtype(options["dtype"]).newbyteorder("=")
        assert workspace.stat(number).size == stored[planes[int(number)]].size
    for number, missing in enumerate(planes):
        if missing not in stored:
            with pytest.raises(DataNotFoundError, match=r"a#\[.*has no chunk of this plane"):
                workspace.load(str(number))
            with pytest.raises(DataNotFoundError):
                workspace.stat(str(number))


def test_sizes_are_shared_and_times_are_the_newest(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(4, 4, 4), chunks=(2, 2, 4), dtype="u1", compressors=None)
    array[:3] = 9
    for number, path in enumerate(sorted((tmp_path / "a" / "c").rglob("*"))):
        os.utime(path, ns=(10**9 * number, 10**9 * number))
    stored = stored_planes(layout_of(tmp_path / "a"), tmp_path / "a", listing(tmp_path / "a"))
    assert [stored[plane,].size for plane in range(4)] == [8 + 8] * 2 + [8 + 8] * 2
    newest = max((tmp_path / "a" / "c" / "0").rglob("0"), key=lambda p: p.stat().st_mtime_ns if p.is_file() else -1)
    assert stored[0,].mtime_ns == newest.stat().st_mtime_ns
    assert stored_now(read_layout(tmp_path / "a", 3), tmp_path / "a", [(0,)]) == {(0,): stored[0,]}


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    array = zarr.create_array(tmp_path / "p" / "a", shape=(2, 3, 64, 64), chunks=(1, 1, 32, 64), dtype="u2")
    array[...] = np.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
    return tmp_path / "p"


def workspace(plate: Path, *addresses: str) -> VirtualWorkspaceBackend:
    return VirtualWorkspaceBackend(plate, {f"{number}.tif": address for number, address in enumerate(addresses)})


def test_a_damaged_chunk_names_array_and_plane(plate: Path) -> None:
    chunk = plate / "a" / "c" / "1" / "2" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:10])
    view = workspace(plate, "a#[0,0]", "a#[1,2]")
    assert view.load("0.tif")[0, 1] == 1
    with pytest.raises(UnreadableImageError, match=r"a#\[1,2\] is damaged"):
        view.load_batch(["0.tif", "1.tif"])


@pytest.mark.parametrize("address", ["a#[2,0]", "a#[0]", "a#[]", "a#[0,0,0]"])
def test_a_plane_that_the_array_has_no_room_for_is_no_plane(plate: Path, address: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"not a plane of an array of shape \[2, 3, 64, 64\]"):
        workspace(plate, address).load("0.tif")


def test_an_array_that_is_gone_and_a_folder_that_is_none(plate: Path) -> None:
    (plate / "b").mkdir()
    view = workspace(plate, "none#[0,0]", "b#[0,0]")
    with pytest.raises(DataNotFoundError, match="none"):
        view.load("0.tif")
    with pytest.raises(DataNotFoundError, match="b is not a Zarr array"):
        view.load("1.tif")
    with pytest.raises(DataNotFoundError):
        view.stat("0.tif")


@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
def test_an_array_with_damaged_metadata_is_unreadable(plate: Path, name: str) -> None:
    (plate / "a" / "zarr.json").unlink()
    (plate / "a" / name).write_text('{"node_type": "array"')
    with pytest.raises(UnreadableImageError, match="not a readable Zarr array"):
        workspace(plate, "a#[0,0]").load("0.tif")


def test_escapes_are_refused(plate: Path, tmp_path: Path) -> None:
    (plate / "link").symlink_to(tmp_path)
    with pytest.raises(PathEscapeError):
        workspace(plate, "link/p/../x#[0]")
    with pytest.raises(PathEscapeError):
        workspace(plate, "/a#[0,0]")
    (tmp_path / "outside").mkdir()
    (plate / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(PathEscapeError, match="leads outside the plate"):
        workspace(plate, "out#[0,0]").load("0.tif")


@pytest.mark.parametrize("linked", ["zarr.json", "c", "c/0", "c/0/0/0/0"])
@pytest.mark.parametrize("outside", [True, False])
def test_links_in_an_array_that_leave_the_plate_are_refused_before_anything_is_opened(
    plate: Path, tmp_path: Path, linked: str, outside: bool
) -> None:
    target = tmp_path / "elsewhere" if outside else plate / "elsewhere"
    (plate / "a" / linked).rename(target)
    (plate / "a" / linked).symlink_to(target)
    view = workspace(plate, "a#[0,0]", "a#[1,0]")
    if not outside:
        assert (view.load("0.tif")[0, 1], view.stat("0.tif").kind) == (1, "file")
        return
    for operation in (view.load, view.stat):
        with pytest.raises(PathEscapeError, match=rf"a/{linked.rpartition('/')[0]}.* is a link that leads outside"):
            operation("0.tif")
    if linked.startswith("c/0"):
        assert view.load("1.tif")[0, 0] == 3 * 4096


def test_a_chunk_that_is_a_link_to_nothing_is_an_error_not_the_fill_value(plate: Path) -> None:
    chunk = plate / "a" / "c" / "0" / "0" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(plate / ".git" / "annex" / "x")
    with pytest.raises(DataNotFoundError, match=r"a/c/0/0/0/0 is a link to .*, which does not exist"):
        workspace(plate, "a#[0,0]").load("0.tif")


def test_a_batch_reads_the_index_of_a_shard_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wellfield.storage.zarr import chunks

    array = zarr.create_array(tmp_path / "a", shape=(9, 8, 8), chunks=(1, 4, 8), shards=(9, 8, 8), dtype="u2")
    array[...] = 5
    array[0, :4] = 0  # whose chunk is not written
    read: list[Path] = []
    real = chunks.read_index
    monkeypatch.setattr(chunks, "read_index", lambda path, *a: read.append(path) or real(path, *a))
    view = workspace(tmp_path, *(f"a#[{number}]" for number in range(9)))
    planes = view.load_batch([f"{number}.tif" for number in range(9)])
    assert [int(plane.sum()) for plane in planes] == [5 * 32] + [5 * 64] * 8
    assert len(read) == 1


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 1, 2)])
def test_shards_whose_axes_are_transposed_are_looked_into(tmp_path: Path, order: tuple[int, ...]) -> None:
    shape = (3, 4, 6)
    zarr.create_array(tmp_path / "a", shape=shape, chunks=shape, dtype="u2", fill_value=FILL)
    metadata = tmp_path / "a" / "zarr.json"
    content = json.loads(metadata.read_text())
    inner = [(1, 2, 6)[axis] for axis in order]
    sharding = {
        "chunk_shape": inner,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    }
    content["codecs"] = [
        {"name": "transpose", "configuration": {"order": list(order)}},
        {"name": "sharding_indexed", "configuration": sharding},
    ]
    metadata.write_text(json.dumps(content))
    array = open_array(tmp_path / "a", 3, write=True)  # zarr-python refuses such metadata
    values = pixels(shape).astype("u2")
    values[1] = FILL  # a plane, and a part of one, that are not written
    values[2, :2] = FILL
    array[0].write(values[0]).result()
    array[2, 2:].write(values[2, 2:]).result()
    stored = stored_planes(layout_of(tmp_path / "a"), tmp_path / "a", listing(tmp_path / "a"))
    assert {plane: found.partial for plane, found in stored.items()} == {(0,): False, (2,): True}
    view = workspace(tmp_path, "a#[0]", "a#[1]", "a#[2]")
    assert (np.stack(view.load_batch(["0.tif", "2.tif"])) == values[[0, 2]]).all()
    with pytest.raises(DataNotFoundError):
        view.load("1.tif")


V3 = {
    "shape": [2, 4, 4],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 4, 4]}},
    "chunk_key_encoding": "default",
}


def sharded(chunk_shape: list[int], codecs: list[Any], index_codecs: list[Any], *more: Any) -> dict[str, Any]:
    configuration = {"chunk_shape": chunk_shape, "codecs": codecs, "index_codecs": index_codecs}
    return {**V3, "codecs": [*more, {"name": "sharding_indexed", "configuration": configuration}]}


def test_shards_that_are_not_looked_into_are_told() -> None:
    inner = sharded([1, 4, 4], ["bytes"], ["bytes"])["codecs"]
    for content, opaque in (
        (sharded([1, 4, 4], ["bytes"], ["bytes", "crc32c"]), False),
        (sharded([1, 4, 4], ["bytes"], ["bytes", "zstd"]), True),
        (sharded([2, 4, 4], inner, ["bytes"]), True),
        (sharded([1, 4, 4], ["bytes"], ["bytes"], "other"), True),
        ({**V3, "codecs": ["bytes"]}, False),
    ):
        assert parse_layout(Checked(content, "f"), 3).opaque is opaque


@pytest.mark.parametrize("size", [10**12, 10**18])
def test_sizes_that_no_memory_holds_are_an_error(size: int) -> None:
    good = sharded([1, 4, 4], ["bytes"], ["bytes"])
    grid = {"name": "regular", "configuration": {"chunk_shape": [size, 4, 4]}}
    with pytest.raises(MetadataError, match="up to 1,000,000 chunks in a shard"):
        parse_layout(Checked({**good, "chunk_grid": grid}, "f"), 3)
    for shape in ([2, size, 4], [2, 4, size], [2, size, size]):
        with pytest.raises(MetadataError, match="planes of up to 10,000,000,000 pixels"):
            parse_layout(Checked({**good, "shape": shape}, "f"), 3)
    tiny = {"zarr_format": 2, "shape": [2, 10**4, 10**4], "chunks": [1, 1, 1], "dtype": "<u2"}
    with pytest.raises(MetadataError, match="of which a plane has up to 1,000,000"):
        parse_layout(Checked(tiny, "f"), 2)


@pytest.mark.parametrize("error", [MemoryError("no room"), ValueError("array is too big")])
def test_planes_that_the_memory_does_not_hold_are_unreadable(
    plate: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("wellfield.storage.zarr.pixels.np.empty", fail)
    with pytest.raises(UnreadableImageError, match=r"a: planes of shape \[64, 64\] cannot be read: "):
        workspace(plate, "a#[0,0]").load("0.tif")


def test_files_and_planes_in_one_batch_and_an_array_is_opened_once(
    plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wellfield.storage.zarr import foreign_arrays

    opened: list[Path] = []
    real = foreign_arrays.open_array
    monkeypatch.setattr(
        foreign_arrays, "open_array", lambda folder, *a, **k: opened.append(folder) or real(folder, *a, **k)
    )
    (plate / "n.txt").write_text("notes")
    view = VirtualWorkspaceBackend(plate, {"a": "a#[1,0]", "n.txt": "n.txt", "b": "a#[0,1]"})
    first, text, second = view.load_batch(["a", "n.txt", "b"])
    assert (first[0, 0], text, second[0, 0]) == (3 * 4096, "notes", 4096)
    assert len(opened) == 1
    with pytest.raises(TypeError, match="no options; got memmap"):
        view.load("a", memmap=True)


@pytest.mark.parametrize("damage", ["truncated", "index", "empty"])
def test_a_damaged_shard_counts_as_whole_and_its_planes_are_unreadable(tmp_path: Path, damage: str) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(2, 8, 8), chunks=(1, 8, 8), shards=(2, 8, 8), dtype="u2")
    array[0] = 5
    shard = tmp_path / "a" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    flipped = content[:-8] + bytes([content[-8] ^ 255]) + content[-7:]
    shard.write_bytes({"truncated": content[:20], "index": flipped, "empty": b""}[damage])
    stored = stored_planes(layout_of(tmp_path / "a"), tmp_path / "a", listing(tmp_path / "a"))
    assert set(stored) == {(0,), (1,)}
    with pytest.raises(UnreadableImageError, match=r"a#\[0\] is damaged"):
        workspace(tmp_path, "a#[0]").load("0.tif")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [4]}, "two axes or more"),
        ({"shape": [10**9, 4, 4], "chunks": [1, 4, 4]}, "up to 1,000,000 planes"),
        ({"shape": [0, 4, 4]}, "whole number from 1"),
        ({"shape": [True, 4, 4]}, "whole number from 1"),
        ({"chunks": [4, 4]}, "one for each axis"),
        ({"dtype": [["r", "<u1"]]}, "dtype of an image"),
        ({"dtype": "<M8[s]"}, "dtype of an image"),
        ({"dimension_separator": "-"}, "'.' or '/'"),
    ],
)
def test_metadata_of_no_array_of_images_is_an_error(change: dict[str, Any], message: str) -> None:
    good = {"zarr_format": 2, "shape": [2, 4, 4], "chunks": [1, 4, 4], "dtype": "<u2"}
    assert parse_layout(Checked(good, "f"), 2).dtype == "uint16"
    with pytest.raises(MetadataError, match=message):
        parse_layout(Checked({**good, **change}, "f"), 2)
