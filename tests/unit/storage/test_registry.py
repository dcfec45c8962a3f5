from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wellfield.errors import MissingLibraryError, StorageError
from wellfield.storage import (
    STORAGE_BACKENDS,
    DataSink,
    StorageBackendMeta,
    create_storage_registry,
    discover_all_backends,
    get_backend_instance,
    storage_registry,
)

HEAVY = (
    "zarr", "ome_zarr", "pandas", "pyarrow", "tifffile", "imagecodecs", "scipy", "skimage", "PIL", "matplotlib",
    "torch", "cupy", "jax", "tensorflow", "pyclesperanto", "napari", "omero", "snakemake", "pydantic",
)  # fmt: skip


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    discover_all_backends()
    before = dict(STORAGE_BACKENDS)
    yield
    STORAGE_BACKENDS.clear()
    STORAGE_BACKENDS.update(before)


def save(self: DataSink, data: Any, identifier: Any, **kwargs: Any) -> None: ...


def make(name: str, backend: str | None = "test_backend", **members: Any) -> type[DataSink]:
    members = {"save": save, "__module__": __name__, "_backend_type": backend, **members}
    return StorageBackendMeta(name, (DataSink,), members)


def test_a_class_with_a_type_registers_itself() -> None:
    cls = make("Own")
    assert STORAGE_BACKENDS["test_backend"] is cls
    assert type(create_storage_registry()["test_backend"]) is cls
    assert type(get_backend_instance("test_backend")) is cls


def test_a_class_without_a_type_of_its_own_registers_nothing() -> None:
    before = dict(STORAGE_BACKENDS)
    make("Nameless", None)
    parent = make("Parent")
    StorageBackendMeta("Child", (parent,), {"__module__": __name__})
    assert {**before, "test_backend": parent} == STORAGE_BACKENDS


def test_a_second_class_of_the_same_name_is_refused_naming_both() -> None:
    first = make("First")
    with pytest.raises(StorageError, match=r"two storage backends are named 'test_backend': .*First and .*Second"):
        make("Second")
    assert STORAGE_BACKENDS["test_backend"] is first


def test_the_same_class_again_as_after_a_reload_is_fine() -> None:
    make("First")
    again = make("First")
    assert STORAGE_BACKENDS["test_backend"] is again


def test_built_in_backends_are_there_and_new_each_time() -> None:
    registry = create_storage_registry()
    assert {"memory", "disk", "zarr"} <= set(registry)
    assert registry["memory"] is not create_storage_registry()["memory"]


def test_a_backend_that_needs_arguments_is_left_out_and_says_so() -> None:
    assert "virtual_workspace" in STORAGE_BACKENDS
    assert "virtual_workspace" not in create_storage_registry()
    with pytest.raises(StorageError, match="'virtual_workspace' needs arguments; make one of VirtualWorkspaceBackend"):
        get_backend_instance("virtual_workspace")


def by_name_or_place(self: DataSink, a: int) -> None: ...


def by_place(self: DataSink, a: int, /) -> None: ...


def by_name(self: DataSink, *, a: int) -> None: ...


@pytest.mark.parametrize("init", [by_name_or_place, by_place, by_name])
def test_any_kind_of_required_argument_counts(init: Callable[..., None]) -> None:
    make("Needy", __init__=init)
    assert "test_backend" not in create_storage_registry()


def test_a_missing_library_breaks_only_its_own_backend() -> None:
    def init(self: DataSink) -> None:
        raise MissingLibraryError("install wellfield[test]")

    make("Missing", __init__=init)
    assert "memory" in create_storage_registry()
    assert "test_backend" not in create_storage_registry()
    with pytest.raises(MissingLibraryError, match="install"):
        get_backend_instance("test_backend")


def test_an_unknown_backend_is_an_error_listing_the_known() -> None:
    with pytest.raises(StorageError, match=r"no storage backend 'nope'; known: disk, memory"):
        get_backend_instance("nope")


def in_fresh_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("module", ["wellfield", "wellfield.storage", "wellfield.memory", "wellfield.plate.keys"])
def test_importing_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert in_fresh_process(code) == "[]"


def test_even_the_full_registry_imports_no_library_before_it_is_used() -> None:
    code = f"""
import sys
from wellfield.storage import FileManager, storage_registry
FileManager(storage_registry).save(1, "a", "memory")
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert in_fresh_process(code) == "[]"


def test_the_global_registry_fills_on_first_use_and_stays() -> None:
    code = """
from wellfield.storage import STORAGE_BACKENDS, storage_registry
before = len(STORAGE_BACKENDS)
storage_registry["memory"].save(1, "a")
print(before, storage_registry["memory"].load("a"), "disk" in storage_registry, len(storage_registry) >= 3)
"""
    assert in_fresh_process(code) == "0 1 True True"


def test_backend_classes_are_imported_when_asked_for() -> None:
    code = """
import sys, wellfield.storage as storage
before = "wellfield.storage.disk" in sys.modules
print(before, storage.DiskStorageBackend.__name__, hasattr(storage, "Nothing"))
"""
    assert in_fresh_process(code) == "False DiskStorageBackend False"


def test_the_global_registry_is_a_mapping_that_can_be_extended() -> None:
    cls = make("Own")
    storage_registry["test_own"] = cls()
    try:
        assert "test_own" in list(storage_registry)
    finally:
        del storage_registry["test_own"]
    assert "test_own" not in storage_registry
