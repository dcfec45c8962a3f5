"""Registration of storage backends: a class with a ``_backend_type`` registers itself when it is defined."""

from __future__ import annotations

import errno
import importlib
import inspect
import logging
import os
import threading
from abc import ABCMeta
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from wellfield.errors import MissingLibraryError, StorageError, UnknownBackendError, WellfieldError
from wellfield.storage.backend import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from wellfield.storage.base import DataSink

STORAGE_BACKENDS: dict[str, type[DataSink]] = {}

ENTRY_POINT_GROUP = "wellfield.storage_backends"

_LOG = logging.getLogger(__name__)
_LOCK = threading.RLock()

_ESSENTIAL = ("wellfield.storage.memory_backend", "wellfield.storage.disk_backend")
_BUILT_IN = (*_ESSENTIAL, "wellfield.storage.virtual_workspace", "wellfield.storage.zarr.zarr_backend")

# Entry points that were loaded, by name: None, or why they do not work.
_LOADED: dict[str, WellfieldError | None] = {}


class StorageBackendMeta(ABCMeta):
    """Metaclass that enters every class with its own ``_backend_type`` in :data:`STORAGE_BACKENDS`.

    Raises
    ------
    StorageError
        Another class is registered under the same name.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        backend_type = namespace.get("_backend_type")
        if backend_type is None:
            return
        known = STORAGE_BACKENDS.get(str(backend_type))
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise StorageError(
                f"two storage backends are named {str(backend_type)!r}: {known.__module__}.{known.__qualname__} "
                f"and {cls.__module__}.{cls.__qualname__}"
            )
        STORAGE_BACKENDS[str(backend_type)] = cls  # type: ignore[assignment]


def discover_all_backends() -> None:
    """Import the modules of all backends, so that they register; none of ours imports its heavy library yet.

    Other packages give theirs by entry points of the group ``wellfield.storage_backends``: the name of the backend, and
    the module or class that registers it. One that cannot be imported is logged, and breaks nothing until it is asked
    for by :func:`get_backend_instance`. In a subprocess with ``WELLFIELD_SUBPROCESS_NO_GPU=1``, or
    ``OPENHCS_SUBPROCESS_NO_GPU=1``, only disk and memory are there.
    """
    for module in _ESSENTIAL if _is_limited() else _BUILT_IN:
        importlib.import_module(module)
    if not _is_limited():
        _load_entry_points()


def get_backend_instance(name: str) -> DataSink:
    """Return the process's one instance of the backend *name*: that of :data:`storage_registry`.

    Raises
    ------
    UnknownBackendError
        There is no such backend.
    StorageError
        It needs arguments, or is another package's and broken.
    MissingLibraryError
        A library of the backend is not installed.
    """
    key = str(name)
    with _LOCK:
        if key not in storage_registry:
            storage_registry[key] = _make(key)
        return storage_registry[key]


def _make(key: str) -> DataSink:
    """Return a new instance of a backend that needs no arguments."""
    discover_all_backends()
    if key not in STORAGE_BACKENDS:
        raise _absent(key)
    cls = STORAGE_BACKENDS[key]
    if _needs_arguments(cls):
        raise StorageError(f"storage backend {key!r} needs arguments; make one of {cls.__name__}", code=errno.EINVAL)
    try:
        return cls()
    except ImportError as error:
        raise _missing_library(key, error) from error


def create_storage_registry() -> dict[str, DataSink]:
    """Return one new instance of every backend that can be made without arguments, by name.

    The memory of each such registry is its own; :data:`storage_registry` and :func:`get_backend_instance` share one.
    A backend that cannot be made, as its library is missing, is left out; asking for it by
    :func:`get_backend_instance` says what to install.
    """
    discover_all_backends()
    registry: dict[str, DataSink] = {}
    for name, cls in list(STORAGE_BACKENDS.items()):
        if not _needs_arguments(cls):
            try:
                registry[name] = cls()
            except ImportError as error:
                _LOG.debug("storage backend %s is not available: %s", name, error)
            except Exception:  # of a class that is somebody else's
                _LOG.warning("storage backend %s cannot be made", name, exc_info=True)
    return registry


def _is_limited() -> bool:
    return any(os.environ.get(f"{prefix}_SUBPROCESS_NO_GPU") == "1" for prefix in ("WELLFIELD", "OPENHCS"))


def _load_entry_points() -> None:
    """Load each entry point once, and keep by name why it failed."""
    from importlib.metadata import entry_points

    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, {})[entry.value] = entry
    with _LOCK:
        for name in found.keys() - _LOADED.keys():
            _LOADED[name] = _load(name, list(found[name].values()))
            if _LOADED[name] is not None:
                _LOG.warning("%s", _LOADED[name])


def _load(name: str, entries: Sequence[EntryPoint]) -> WellfieldError | None:
    """Load the entry point of a backend; return what is wrong with it."""
    places = " and ".join(sorted(entry.value for entry in entries))
    if len(entries) > 1:
        return StorageError(f"two storage backends are named {name!r}: {places}; uninstall one of them")
    try:
        entries[0].load()
    except ImportError as error:
        return _missing_library(name, error)
    except Exception as error:  # of a module that is somebody else's
        failure = StorageError(f"storage backend {name!r} cannot be loaded from {places}: {error}")
        failure.__cause__ = error
        return failure
    if name not in STORAGE_BACKENDS:
        return StorageError(f"{places} is to register the storage backend {name!r}, and does not")
    return None


def _missing_library(name: str, error: ImportError) -> MissingLibraryError:
    if isinstance(error, MissingLibraryError):
        return error
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    advice = f"install {library}" if library else "install what it needs again"
    missing = MissingLibraryError(f"storage backend {name!r} is not available: {error}; {advice}", name=error.name)
    missing.__cause__ = error
    return missing


def _absent(name: str) -> WellfieldError:
    failure = _LOADED.get(name)
    if failure is not None:
        return failure
    if name in set(Backend) and not _is_limited():
        return UnknownBackendError(f"storage backend {name!r} is not implemented yet")
    why = "; of others this subprocess is kept free (WELLFIELD_SUBPROCESS_NO_GPU=1)" if _is_limited() else ""
    return UnknownBackendError(f"no storage backend {name!r}; known: {', '.join(sorted(STORAGE_BACKENDS))}{why}")


def _needs_arguments(cls: type[DataSink]) -> bool:
    return any(
        parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(cls).parameters.values()
    )


class _LazyRegistry(MutableMapping[str, "DataSink"]):
    """The process-wide registry; filled when it is first used, not when it is imported."""

    def __init__(self) -> None:
        self._backends: dict[str, DataSink] | None = None

    def _filled(self) -> dict[str, DataSink]:
        with _LOCK:
            if self._backends is None:
                self._backends = create_storage_registry()
            return self._backends

    def __getitem__(self, name: str) -> DataSink:
        return self._filled()[name]

    def __setitem__(self, name: str, backend: DataSink) -> None:
        self._filled()[name] = backend

    def __delitem__(self, name: str) -> None:
        del self._filled()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._filled()))

    def __len__(self) -> int:
        return len(self._filled())


storage_registry: MutableMapping[str, DataSink] = _LazyRegistry()
