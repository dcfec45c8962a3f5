"""The base classes for viewers and servers: what a backend of one gets from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, UnsupportedOperationError
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.storage import DataSink, FileManager, StorageBackend, StreamingBackend, VirtualBackend
from wellfield.storage.omero import OMEROBackend

KEYS = [PlaneKey("A01", field, 1, 1, 1) for field in (10, 2, 1)] + [PlaneKey("B02", 1, 1, 0, 1, Projection.MAX)]


class Viewer(StreamingBackend):
    """A viewer that writes down what happens to it; not registered."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connect(self) -> None:
        self.events.append("connected")

    def close(self) -> None:
        self.events.append("closed")

    def save(self, data: Any, identifier: Any, **kwargs: Any) -> None:
        self.events.append((str(identifier), data))


class Server(OMEROBackend):
    """A server with a plate of four planes; not registered."""

    def __init__(self) -> None:
        self.asked = 0

    def _plane_keys(self) -> Iterable[PlaneKey]:
        self.asked += 1
        yield from KEYS

    def _load_plane(self, key: PlaneKey) -> Any:
        return np.full((2, 2), key.field)

    def _title(self) -> str:
        return "plate 7 of the server"

    def save(self, data: Any, identifier: Any, **kwargs: Any) -> None:
        raise self._unsupported("save")


def test_a_stream_takes_data_in_order_and_gives_none() -> None:
    viewer = Viewer()
    manager = FileManager({"viewer": viewer})
    with viewer:
        manager.save_batch([1, 2], ["b", "a"], "viewer")
        manager.save(3, "c", "viewer")
    assert viewer.events == ["connected", ("b", 1), ("a", 2), ("c", 3), "closed"]
    with pytest.raises(UnsupportedOperationError, match="'viewer' cannot load"):
        manager.load("a", "viewer")


def test_a_stream_is_closed_when_something_fails() -> None:
    viewer = Viewer()
    with pytest.raises(RuntimeError), viewer:
        raise RuntimeError
    assert viewer.events == ["connected", "closed"]


@pytest.mark.parametrize("missing", ["save", "connect", "close"])
def test_a_stream_must_connect_send_and_close(missing: str) -> None:
    incomplete = type(
        "Incomplete", (StreamingBackend,), {**Viewer.__dict__, missing: getattr(StreamingBackend, missing)}
    )
    with pytest.raises(TypeError, match=missing):
        incomplete()


def test_sinks_streams_storage_and_views_are_told_apart() -> None:
    assert issubclass(StreamingBackend, DataSink)
    assert not issubclass(StreamingBackend, StorageBackend | VirtualBackend)
    assert issubclass(OMEROBackend, VirtualBackend)
    assert not issubclass(OMEROBackend, StorageBackend)


def test_a_servers_plate_is_listed_from_its_structure_which_is_asked_once() -> None:
    server = Server()
    manager = FileManager({"omero": server})
    names = manager.list_files(".", "omero")
    assert names == [f"A01_s{field:03d}_w1_z001_t001.tif" for field in (1, 2, 10)] + ["B02_s001_w1_max_t001.tif"]
    assert manager.list_image_files(".", "omero") == names
    assert manager.list_dir("", "omero") == names
    assert [plane[0, 0] for plane in manager.load_batch(names, "omero")] == [1, 2, 10, 1]
    assert manager.exists(names[0], "omero")
    assert not manager.exists("A01_s003_w1_z001_t001.tif", "omero")
    assert (manager.stat(names[0], "omero").kind, manager.stat(".", "omero").kind) == ("file", "folder")
    assert server.generate_filename({"well": "A1", "field": 2}) == names[1]
    assert server.asked == 1


def test_a_plane_that_the_server_does_not_have_is_not_found() -> None:
    for operation in (Server().load, Server().stat):
        with pytest.raises(DataNotFoundError, match=r"plate 7 of the server has no plane C03\.tif"):
            operation("C03.tif")
