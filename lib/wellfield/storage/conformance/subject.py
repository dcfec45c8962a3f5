"""The description of a backend under test: how to make one, what it can do, and how to store data in it."""

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
    """What a backend can do in addition to loading and listing."""

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
    """Any Python object can be stored, not only arrays."""
    FREE_NAMES = auto()
    """Objects can have any name, not only names of planes."""
    NESTED = auto()
    """A folder can hold objects and folders with objects."""
    PERSISTENT = auto()
    """Another instance sees the stored data."""


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
        The folder; it need not exist. For a backend that does not use the disk it is only a name.
    """

    backend_name: ClassVar[str]
    capabilities: ClassVar[Capability]
    dtypes: ClassVar[tuple[str, ...]] = ("u1", "u2", "u4", "i2", "f4", ">u2")
    """The dtypes that the backend keeps; it must refuse any other dtype that the behaviours try."""
    suffix: ClassVar[str] = ".tif"

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def make_backend(self) -> DataSink:
        """Return a backend that sees the data of this subject; a new instance if the backend is persistent."""

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
        """The folder of the paths from :meth:`path`."""
        return self.beside("images")

    def beside(self, name: str) -> str:
        """Return the path of a folder beside :attr:`folder`."""
        return str(self.root / name)

    def path(self, number: int, well: str = "A01") -> str:
        """Return the path of an object; in natural order, paths are sorted by *number*."""
        return f"{self.folder}/{well}_{number}{self.suffix}"

    def named(self, name: str) -> str:
        """Return the path of an object with any name; the name includes its suffix."""
        return f"{self.folder}/{name}"

    def options(self, well: str) -> dict[str, Any]:
        """Return the options with which ``save_batch`` stores objects of *well*."""
        return {}

    def fill(self, values: Mapping[str, Array], well: str = "A01") -> Files:
        """Store *values* by path as the whole of *well*; return the backend behind a file manager."""
        files = self.open()
        files.save_batch(list(values.values()), list(values), **self.options(well))
        return files

    def mentions(self, message: str, path: str) -> bool:
        """Tell whether an error message names the object *path*."""
        return path.rpartition("/")[2] in message


def value(seed: int, dtype: str = "u2", shape: tuple[int, ...] = (24, 32)) -> Array:
    """Return an array with values over the whole range of *dtype*; equal arguments give equal arrays."""
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
