"""Fixtures of the tests with other people's readers: plates, each written once, and readers' own environments."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pytest

from tests.conftest import required
from tests.interop.environments import ROOT, IndexNotReachedError, ReaderEnvironment
from tests.interop.plates import PlateOf, WrittenPlate, write_plate
from wellfield.storage import ZarrChunkStrategy

# It brings pandas 2.
NGIO = ReaderEnvironment("ngio", ("ngio==1.1.3", "zarr==3.1.6"))
# It brings napari, whose pytest plugins would load in every run of the tests.
NAPARI = ReaderEnvironment("napari-ome-zarr", ("napari-ome-zarr==0.10.0", "napari==0.9.2", "zarr==3.1.6"))
# It brings scikit-learn and AnnData, of which the project uses nothing.
PYCYTOMINER = ReaderEnvironment("pycytominer", ("pycytominer==1.7.1",))
# It would bring Qt and twice the packages that it needs without its window: the list is that of the benchmarks.
OPENHCS = ReaderEnvironment(
    "openhcs", tuple((ROOT / "benchmarks/peers/openhcs.txt").read_text().split()), complete=True
)


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
        pytest.skip(f"{environment.name} is installed apart from the project, 0.5 to 0.8 GB: make readers")
    try:
        environment.python()
    except IndexNotReachedError as error:
        pytest.skip(str(error))
    return partial(environment.run, script)
