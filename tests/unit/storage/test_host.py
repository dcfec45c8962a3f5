"""Arrays of other libraries reach files through the host copy, without one of the libraries being imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from wellfield.errors import MemoryTypeError, UnknownFormatError
from wellfield.storage import DiskStorageBackend, MemoryStorageBackend, host
from wellfield.storage.host import host_array, is_array, register_host_copy

VALUES = np.arange(12, dtype="u2").reshape(3, 4) * 5000
disk = DiskStorageBackend()


class Shaped:
    """What every array library has."""

    def __init__(self, values: Any = VALUES) -> None:
        self.values = values
        self.shape, self.dtype = values.shape, f"lib.{values.dtype}"


class DlpackArray(Shaped):
    """An array in host memory that exchanges by DLPack alone, as most libraries can."""

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.values.__dlpack_device__()
        return device


class NumpyLikeArray(Shaped):
    """An array that NumPy copies itself, and whose dtype DLPack cannot tell."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("no such dtype in DLPack")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class DeviceArray(Shaped):
    """An array on a device, which refuses to be taken for one of NumPy."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("implicit conversion is not allowed, use .get()")

    def __dlpack__(self, **options: Any) -> Any:
        raise AssertionError("the pointer is one of a device")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class BufferOnlyArray(Shaped):
    """An array on a device that tells its pointer and nothing else."""

    __cuda_array_interface__: ClassVar[dict[str, int]] = {"version": 3}


@pytest.fixture(autouse=True)
def restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(host, "_CONVERTERS", dict(host._CONVERTERS))
    yield


def register_device_copy() -> None:
    register_host_copy(DeviceArray.__module__.partition(".")[0], lambda array: array.values)


@pytest.mark.parametrize("kind", [DlpackArray, NumpyLikeArray, DeviceArray])
@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.ome.tif", "a.TIFF", "a.png", "a.npy", "a"])
def test_the_file_equals_that_of_the_numpy_array(tmp_path: Path, kind: type[Shaped], name: str) -> None:
    if kind is DeviceArray:
        register_device_copy()
    disk.save(VALUES, tmp_path / "numpy" / name)
    disk.save(kind(), tmp_path / "other" / name)
    (first,), (second,) = disk.list_files(tmp_path / "numpy"), disk.list_files(tmp_path / "other")
    np.testing.assert_array_equal(disk.load(second), VALUES, strict=True)
    if "ome" not in name:  # which has an identifier of its own in every file
        assert Path(first).read_bytes() == Path(second).read_bytes()


@pytest.mark.parametrize("kind", [DeviceArray, BufferOnlyArray])
@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a"])
def test_an_array_that_cannot_be_copied_is_an_error_that_says_what_to_do(
    tmp_path: Path, kind: type[Shaped], name: str
) -> None:
    with pytest.raises(MemoryTypeError, match=rf"{kind.__name__} \(lib\.uint16, shape \(3, 4\)\).*register_host_copy"):
        disk.save(kind(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_registered_conversion_goes_before_all_others() -> None:
    register_device_copy()
    register_host_copy(DlpackArray.__module__.partition(".")[0], lambda array: array.values + 1)
    np.testing.assert_array_equal(host_array(DlpackArray()), VALUES + 1)


@pytest.mark.parametrize(
    "result", [[1, 2], None, np.array([None]), np.array(["a"])], ids=["list", "None", "object", "text"]
)
def test_a_conversion_must_give_an_array_of_numbers(result: Any) -> None:
    register_host_copy(DeviceArray.__module__.partition(".")[0], lambda array: result)
    with pytest.raises(MemoryTypeError, match="no NumPy array of numbers"):
        host_array(DeviceArray())


def test_what_dlpack_gives_is_not_copied() -> None:
    assert np.shares_memory(host_array(DlpackArray()), VALUES)


@pytest.mark.parametrize("value", [None, 5, "text", [1, 2], {"shape": 1}, np.float32(1), np.uint16, DeviceArray])
def test_what_is_no_array_is_returned_as_it_is(value: Any) -> None:
    assert not is_array(value)
    assert host_array(value) is value


def test_a_numpy_array_is_returned_as_it_is() -> None:
    mapped = VALUES.view(np.memmap)
    for array in (VALUES, VALUES[::-2], VALUES.astype(">u2"), np.array([None]), mapped):
        assert is_array(array)
        assert host_array(array) is array


def test_a_table_is_no_array(tmp_path: Path) -> None:
    import pandas

    frame = pandas.DataFrame({"a": [1, 2]})
    assert not is_array(frame)
    disk.save(frame, tmp_path / "a.csv")
    assert disk.load(tmp_path / "a.csv").to_pydict() == {"a": [1, 2]}
    with pytest.raises(UnknownFormatError):
        disk.save(frame, tmp_path / "a")


def test_memory_keeps_arrays_of_devices_where_they_are() -> None:
    memory, array = MemoryStorageBackend(), DeviceArray()
    memory.save(array, "a")
    memory.copy("a", "b")
    assert memory.load("a") is memory.load("b") is array


def test_a_host_copy_imports_no_library() -> None:
    code = """
import sys
import numpy as np
from wellfield.storage.host import host_array
class Array:
    shape, dtype = (3,), "x"
    def __array__(self, dtype=None, copy=None):
        return np.zeros(3)
host_array(Array())
print([name for name in ("torch", "jax", "tensorflow", "cupy", "pyclesperanto", "pandas") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
