"""Arrays of the real libraries are stored as NumPy's are: the files are equal (V13)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.libraries import ON_CPU, as_type, need
from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.types import MemoryType
from wellfield.storage import Backend, FileManager, create_storage_registry

OTHERS = [name for name in ON_CPU if name != MemoryType.NUMPY]
PLANE = np.array([[0, 1, 65535], [256, 3, 4]], "u2")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("library", OTHERS)
@pytest.mark.parametrize("name", ["plane.tif", "plane.npy", "plane"])
def test_a_file_of_any_library_is_that_of_numpy(library: str, name: str, tmp_path: Path) -> None:
    files = FileManager(create_storage_registry())
    for folder, data in (("numpy", PLANE), ("other", as_type(PLANE, library))):
        files.save(data, tmp_path / folder / name, Backend.DISK)
    assert contents(tmp_path / "numpy") == contents(tmp_path / "other")
    np.testing.assert_array_equal(files.load(tmp_path / "other" / name, Backend.DISK), PLANE, strict=True)


@pytest.mark.parametrize("library", OTHERS)
def test_zarr_arrays_and_wells_of_any_library_are_those_of_numpy(library: str, tmp_path: Path) -> None:
    files = FileManager(create_storage_registry())
    planes = [PLANE, PLANE + 1]
    names = [f"A01_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
    for folder, given in (("numpy", planes), ("other", [as_type(plane, library) for plane in planes])):
        files.save(given[0], tmp_path / folder / "single", Backend.ZARR)
        plate = tmp_path / folder / "plate.zarr"
        files.save_batch(given, [plate / name for name in names], Backend.ZARR, chunk_name="A01")
    assert contents(tmp_path / "numpy") == contents(tmp_path / "other")
    found = files.load_batch([tmp_path / "other" / "plate.zarr" / name for name in names], Backend.ZARR)
    for plane, expected in zip(found, planes, strict=True):
        np.testing.assert_array_equal(plane, expected, strict=True)


@pytest.mark.parametrize("library", OTHERS)
def test_memory_keeps_an_array_where_it_is(library: str) -> None:
    files = FileManager(create_storage_registry())
    data = as_type(PLANE, library)
    files.save(data, "/a/plane", Backend.MEMORY)
    assert files.load("/a/plane", Backend.MEMORY) is data


def test_what_numpy_does_not_have_is_refused(tmp_path: Path) -> None:
    need("torch")
    data: Any = ADAPTERS[MemoryType.TORCH].cast(as_type(PLANE, "torch"), "bfloat16")
    with pytest.raises(MemoryTypeError, match=r"torch\.Tensor.*bfloat16"):
        FileManager(create_storage_registry()).save(data, tmp_path / "plane.npy", Backend.DISK)
    assert not list(tmp_path.iterdir())


def test_storing_numpy_arrays_imports_nothing_of_the_memory_types(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from wellfield.storage import FileManager, create_storage_registry\n"
        f"FileManager(create_storage_registry()).save(np.zeros((2, 2), 'u2'), {str(tmp_path / 'a.npy')!r}, 'disk')\n"
        "print([name for name in sys.modules if name.startswith('wellfield.memory')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done
