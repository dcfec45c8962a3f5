"""Fixtures of the tests with other people's readers: plates, each written once, and readers' own environments."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pytest

from tests.conftest import required
from tests.interop.environments import NAPARI, NGIO, OPENHCS, PYCYTOMINER, IndexNotReachedError, ReaderEnvironment
from tests.interop.plates import PlateOf, WrittenPlate, write_plate
from wellfield.storage import ZarrChunkStrategy

READERS = {"ngio", "napari", "openhcs", "pycytominer"}  # fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if READERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.readers)


@pytest.fixture(scope="session")
def plate_of(tmp_path_factory: pytest.TempPathFactory) -> PlateOf:
    """Return a plate by strategy, version and dtype; tests that change it copy it first."""

    @cache
    def written(strategy: ZarrChunkStrategy, version: str = "0.5", dtype: str = "uint16") -> WrittenPlate:
        name = f"{strategy}-{version}-{dtype}"
        return write_plate(tmp_path_factory.mktemp(name) / "plate.zarr", strategy, version, dtype)

    return written


@pytest.fixture(scope="session")
def ngio() -> Callable[..., object]:
    """Return the function that gives a list of plates to ngio and returns what it read."""
    return _checker(NGIO, "check_with_ngio.py")


@pytest.fixture(scope="session")
def napari() -> Callable[..., object]:
    """Return the function that gives a list of folders to napari-ome-zarr and returns its layers."""
    return _checker(NAPARI, "check_with_napari.py")


@pytest.fixture(scope="session")
def openhcs() -> Callable[..., object]:
    """Return the function that has OpenHCS do a list of things with folders and returns what it answers to each."""
    return _checker(OPENHCS, "check_with_openhcs.py")


@pytest.fixture(scope="session")
def pycytominer() -> Callable[..., object]:
    """Return the function that gives a table of objects to pycytominer and returns what becomes of it."""
    return _checker(PYCYTOMINER, "check_with_pycytominer.py")


def _checker(environment: ReaderEnvironment, script: str) -> Callable[..., object]:
    if not environment.is_ready and not required():
        pytest.skip(f"{environment.name}: in an environment of its own, 0.5 to 0.8 GB: make test-all")
    try:
        environment.python()
    except IndexNotReachedError as error:
        pytest.skip(str(error))
    return partial(environment.run, script)
