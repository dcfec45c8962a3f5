"""The description of a backend under test: how to make one, what it can do, how data gets into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Flag, auto
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from wellfield.storage.base import DataSink
from wellfield.storage.filemanager import FileManager

Array = npt.NDArray[Any]


class Capability(Flag):
    """What a backend can do beyond being loaded from and listed."""

    BATCHES = auto()
    """Batches are saved."""
    OBJECTS = auto()
    """Single objects are saved, deleted, copied and moved."""
    FOLDERS = auto()
    """Folders are made, and deleted when they are empty."""
    TREES = auto()
    """A folder is copied, moved and removed with everything in it."""
    SYMLINKS = auto()
    """Symbolic links are made."""
    STATUS = auto()
    """Paths tell their kind and size."""
    ANY_OBJECT = auto()
    """Any Python object is a value, not only arrays."""
    FREE_NAMES = auto()
    """Objects have any name, not only those of planes."""
    NESTED = auto()
    """Folders with objects hold folders with objects."""
    PERSISTENT = auto()
    """Another instance sees what one stored."""


class Files:
    """One backend as programs use it: through a :class:`~wellfield.storage.FileManager`."""

    def __init__(self, backend: DataSink) -> None:
        self._manager = FileManager({"subject": backend})

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(getattr(self._manager, operation), backend="subject")


class Subject(ABC):
    """A backend under test, with all its data below one new folder.

    Parameters
    ----------
    root:
        The folder, which need not exist. A backend that has nothing to do with the disk takes it as the name of one.
    """

    backend_name: ClassVar[str]
    capabilities: ClassVar[Capability]
    dtypes: ClassVar[tuple[str, ...]] = ("u1", "u2", "u4", "i2", "f4", ">u2")
    """Those of the behaviours' dtypes that are kept; a batch of any other must be refused."""
    suffix: ClassVar[str] = ".tif"

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def make_backend(self) -> DataSink:
        """Return a backend that sees what this subject has stored; a new instance if it is persistent."""

    def at(self, root: Path) -> Self:
        """Return a subject of the same kind at another place."""
        return type(self)(root)

    def can(self, capability: Capability) -> bool:
        """Tell whether the backend has all of *capability*."""
        return capability in self.capabilities

    def open(self) -> Files:
        """Return the backend behind a file manager."""
        return Files(self.make_backend())

    @property
    def folder(self) -> str:
        """The folder that :meth:`path` gives paths in."""
        return self.beside("images")

    def beside(self, name: str) -> str:
        """Return the path of a folder beside :attr:`folder`."""
        return str(self.root / name)

    def path(self, number: int, well: str = "A01") -> str:
        """Return the path of an object; in natural order a smaller number comes first."""
        return f"{self.folder}/{well}_{number}{self.suffix}"

    def named(self, name: str) -> str:
        """Return the path of an object with a free name, which ends with a suffix."""
        return f"{self.folder}/{name}"

    def options(self, well: str) -> dict[str, Any]:
        """Return the options with which ``save_batch`` stores objects of *well*."""
        return {}

    def fill(self, values: Mapping[str, Array], well: str = "A01") -> Files:
        """Store *values* by path, the whole of *well*, and return the backend behind a file manager."""
        files = self.open()
        files.save_batch(list(values.values()), list(values), **self.options(well))
        return files

    def mentions(self, message: str, path: str) -> bool:
        """Tell whether an error message says which object *path* it is about."""
        return path.rpartition("/")[2] in message


def value(seed: int, dtype: str = "u2", shape: tuple[int, ...] = (24, 32)) -> Array:
    """Return an array over the whole range of *dtype*, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    wanted = np.dtype(dtype)
    special: tuple[float, ...]
    if wanted.kind == "f":
        array = (1000 * rng.standard_normal(shape)).astype(wanted)
        special = np.nan, np.inf, -np.inf, -0.0, float(np.finfo(wanted).smallest_subnormal)
    else:
        limits = np.iinfo(wanted)
        array = rng.integers(limits.min, limits.max, shape, wanted.newbyteorder("="), endpoint=True).astype(wanted)
        special = limits.min, limits.max
    if array.size > len(special):
        array.reshape(-1)[: len(special)] = special
    return array
