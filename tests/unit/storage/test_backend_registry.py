from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import MissingLibraryError, StorageError, UnsupportedOperationError
from wellfield.storage import (
    STORAGE_BACKENDS,
    Backend,
    DataSink,
    FileManager,
    StorageBackend,
    StorageBackendMeta,
    VirtualBackend,
    backend_registry,
    create_storage_registry,
    discover_all_backends,
    get_backend_instance,
    storage_registry,
)

HEAVY = (
    "zarr", "ome_zarr", "pandas", "pyarrow", "tifffile", "imagecodecs", "scipy", "skimage", "PIL", "matplotlib",
    "torch", "cupy", "jax", "tensorflow", "pyclesperanto", "napari", "omero", "snakemake", "pydantic", "tensorstore",
    "roifile", "pytest", "hypothesis",
)  # fmt: skip


@pytest.fixture(autouse=True)
def restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    discover_all_backends()
    before = dict(STORAGE_BACKENDS)
    monkeypatch.setattr(backend_registry, "_LOADED", {})
    monkeypatch.setattr(storage_registry, "_backends", None)
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


def test_a_class_that_fails_for_another_reason_is_logged_and_breaks_only_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def init(self: DataSink) -> None:
        raise ZeroDivisionError("broken on purpose")

    make("Broken", __init__=init)
    assert "test_backend" not in create_storage_registry()
    assert "broken on purpose" in caplog.text
    with pytest.raises(ZeroDivisionError):
        get_backend_instance("test_backend")


def test_an_instance_is_named_by_text_or_member() -> None:
    assert type(get_backend_instance(Backend.MEMORY)) is type(get_backend_instance("memory"))


@pytest.mark.parametrize("name", ["omero_local", Backend.NAPARI_STREAM, "fiji_stream"])
def test_backends_that_have_only_their_name_say_so(name: str) -> None:
    with pytest.raises(StorageError, match=f"'{name!s}' is not implemented yet"):
        get_backend_instance(name)
    assert name not in create_storage_registry()


@pytest.mark.parametrize("name", ["OMEROLocalBackend", "NapariStreamBackend", "FijiStreamBackend"])
def test_classes_that_are_not_there_yet_say_so(name: str) -> None:
    storage = importlib.import_module("wellfield.storage")
    with pytest.raises(AttributeError, match=f"{name} is not implemented yet"):
        getattr(storage, name)


def test_threads_that_come_together_fill_one_global_registry() -> None:
    lazy = backend_registry._LazyRegistry()
    together = threading.Barrier(8, timeout=30)

    def first_use(_: int) -> DataSink:
        together.wait()
        return lazy["memory"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(first_use, range(8))))) == 1


# Of other packages


OWN = """
from wellfield.storage import DataSink
class Own(DataSink):
    _backend_type = "own"
    def save(self, data, identifier, **kwargs): pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Give a function that installs a package with a module and entry points to it."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def install(module: str, source: str, **entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        information = tmp_path / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (information / "entry_points.txt").write_text("\n".join(["[wellfield.storage_backends]", *lines]) + "\n")
        importlib.invalidate_caches()

    yield install
    for module in set(sys.modules) - modules:
        del sys.modules[module]


@pytest.mark.parametrize("value", ["third_party", "third_party:Own"])
def test_a_package_gives_a_backend_by_an_entry_point(install: Callable[..., None], value: str) -> None:
    install("third_party", OWN, own=value)
    assert type(create_storage_registry()["own"]).__name__ == "Own"
    assert type(get_backend_instance("own")).__name__ == "Own"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("import no_such_library", MissingLibraryError, "'own' is not available: .*; install no_such_library"),
        ("from os import no_such_name", MissingLibraryError, "'own' is not available: cannot import name"),
        ("1 / 0", StorageError, "'own' cannot be loaded from third_party: division by zero"),
        ("this is no Python", StorageError, "'own' cannot be loaded from third_party: invalid syntax"),
        ("", StorageError, "third_party is to register the storage backend 'own', and does not"),
        (
            OWN.replace('"own"', '"disk"'),
            StorageError,
            "'own' cannot be loaded .* two storage backends are named 'disk'",
        ),
    ],
)
def test_a_broken_package_is_logged_once_and_breaks_only_its_own_backend(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture, source: str, error: type[Exception], message: str
) -> None:
    install("third_party", source, own="third_party")
    for _ in range(2):
        assert {"memory", "disk"} <= set(create_storage_registry())
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "'own'" in caplog.text
    for _ in range(2):
        with pytest.raises(error, match=message):
            get_backend_instance("own")
    assert type(get_backend_instance("disk")).__module__ == "wellfield.storage.disk_backend"


def test_two_packages_with_one_name_are_an_error_and_none_of_them_is_taken(install: Callable[..., None]) -> None:
    install("third_party", OWN, own="third_party")
    install("fourth_party", OWN, own="fourth_party")
    assert "own" not in create_storage_registry()
    with pytest.raises(StorageError, match="two storage backends are named 'own': fourth_party and third_party"):
        get_backend_instance("own")


def test_a_package_that_asks_for_backends_while_it_is_imported_does_not_hang(install: Callable[..., None]) -> None:
    install("third_party", "from wellfield.storage import *\ncreate_storage_registry()" + OWN, own="third_party")
    assert "own" in create_storage_registry()


def in_fresh_process(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
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
before = "wellfield.storage.disk_backend" in sys.modules
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


@pytest.mark.parametrize("variable", ["WELLFIELD_SUBPROCESS_NO_GPU", "OPENHCS_SUBPROCESS_NO_GPU"])
def test_a_subprocess_can_be_kept_to_disk_and_memory(variable: str) -> None:
    code = """
import sys
from wellfield.errors import StorageError
from wellfield.storage import create_storage_registry, get_backend_instance
print(sorted(create_storage_registry()), "wellfield.storage.zarr.zarr_backend" in sys.modules)
try:
    get_backend_instance("zarr")
except StorageError as error:
    print(error)
"""
    listed, message = in_fresh_process(code, **{variable: "1"}).splitlines()
    assert listed == "['disk', 'memory'] False"
    assert "no storage backend 'zarr'; known: disk, memory; " in message
    assert "SUBPROCESS_NO_GPU" in message
    assert "'zarr'" in in_fresh_process(code, **{variable: "0"})


def test_a_registry_of_all_backends_imports_no_library() -> None:
    code = f"""
import sys
from wellfield.storage import create_storage_registry
assert {{"disk", "memory", "zarr"}} <= set(create_storage_registry())
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert in_fresh_process(code) == "[]"


# The one instance


def test_every_call_gives_the_one_instance_of_the_registry() -> None:
    memory = get_backend_instance("memory")
    memory.save(5, "a")
    assert get_backend_instance(Backend.MEMORY) is memory is storage_registry["memory"]
    assert FileManager(storage_registry).load("a", "memory") == 5
    assert not FileManager(create_storage_registry()).exists("a", "memory")


def test_a_backend_that_is_put_into_the_registry_is_the_instance_and_one_defined_later_enters_it() -> None:
    own = make("Own")()
    storage_registry["memory"] = own
    assert get_backend_instance("memory") is own
    later = make("Later", "test_later")
    assert type(get_backend_instance("test_later")) is later
    assert storage_registry["test_later"] is get_backend_instance("test_later")


def test_threads_that_come_together_get_one_instance() -> None:
    together = threading.Barrier(8, timeout=30)

    def first_use(_: int) -> DataSink:
        together.wait()
        return get_backend_instance("memory")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(first_use, range(8))))) == 1


def test_an_unknown_backend_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no storage backend 'dsik'; known: "):
        get_backend_instance("dsik")


# The reference's smallest backends


def test_a_virtual_backend_with_the_four_methods_of_the_reference_can_be_made() -> None:
    class Cloud(VirtualBackend):
        _backend_type = "test_cloud"

        def save(self, data: Any, identifier: Any, **kwargs: Any) -> None: ...

        def save_batch(self, data_list: Any, identifiers: Any, **kwargs: Any) -> None: ...

        def list_files(self, directory: Any, **kwargs: Any) -> list[str]:
            return [f"{directory}/b.tif", f"{directory}/a.tif"]

        def generate_filename(self, metadata: Any, **kwargs: Any) -> str:
            return f"{metadata['well']}.tif"

    assert isinstance(get_backend_instance("test_cloud"), Cloud)
    manager = FileManager(create_storage_registry())
    assert manager.list_files("p", "test_cloud") == ["p/b.tif", "p/a.tif"]
    for operation in ("load", "exists", "is_file", "is_dir", "list_dir", "stat"):
        with pytest.raises(UnsupportedOperationError, match="'test_cloud' cannot "):
            getattr(manager, operation)("p", "test_cloud")


def test_a_storage_backend_with_the_three_methods_of_the_reference_can_be_made() -> None:
    class Small(StorageBackend):
        _backend_type = "test_small"

        def save(self, data: Any, identifier: Any, **kwargs: Any) -> None: ...

        def load(self, file_path: Any, **kwargs: Any) -> Any:
            return file_path

    manager = FileManager({"small": Small()})
    assert manager.load_batch(["a", "b"], "small") == ["a", "b"]
    for operation, paths in {"delete": 1, "delete_all": 1, "ensure_directory": 1, "copy": 2, "move": 2}.items():
        with pytest.raises(UnsupportedOperationError, match="'test_small' cannot "):
            getattr(manager, operation)(*["a", "b"][:paths], "small")


@pytest.mark.parametrize("missing", ["save", "list_files", "generate_filename"])
def test_a_backend_without_what_it_is_for_cannot_be_made(missing: str) -> None:
    members = {name: save for name in ("save", "list_files", "generate_filename") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type(VirtualBackend)("Cloud", (VirtualBackend,), {**members, "__module__": __name__})()
