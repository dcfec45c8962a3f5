"""Registration of storage backends: a class with a ``_backend_type`` registers itself when it is defined."""

from __future__ import annotations

import importlib
import inspect
import logging
from abc import ABCMeta
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from wellfield.errors import StorageError

if TYPE_CHECKING:
    from wellfield.storage.base import DataSink

STORAGE_BACKENDS: dict[str, type[DataSink]] = {}

_LOG = logging.getLogger(__name__)

_BUILT_IN = (
    "wellfield.storage.memory",
    "wellfield.storage.disk",
    "wellfield.storage.virtual_workspace",
    "wellfield.storage.zarr.backend",
)


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
    """Import the modules of all built-in backends, so that they register; none imports its heavy library yet."""
    for module in _BUILT_IN:
        importlib.import_module(module)


def get_backend_instance(name: str) -> DataSink:
    """Return a new instance of the backend *name*, which must need no arguments.

    Raises
    ------
    StorageError
        No such backend, or one that needs arguments.
    """
    discover_all_backends()
    if name not in STORAGE_BACKENDS:
        raise StorageError(f"no storage backend {name!r}; known: {', '.join(sorted(STORAGE_BACKENDS))}")
    if _needs_arguments(STORAGE_BACKENDS[name]):
        raise StorageError(f"storage backend {name!r} needs arguments; make one of {STORAGE_BACKENDS[name].__name__}")
    return STORAGE_BACKENDS[name]()


def create_storage_registry() -> dict[str, DataSink]:
    """Return one new instance of every backend that can be made without arguments, by name.

    A backend whose library is missing is left out; asking for it by :func:`get_backend_instance` says what to install.
    """
    discover_all_backends()
    registry: dict[str, DataSink] = {}
    for name, cls in STORAGE_BACKENDS.items():
        if not _needs_arguments(cls):
            try:
                registry[name] = cls()
            except ImportError as error:
                _LOG.debug("storage backend %s is not available: %s", name, error)
    return registry


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
        return iter(self._filled())

    def __len__(self) -> int:
        return len(self._filled())


storage_registry: MutableMapping[str, DataSink] = _LazyRegistry()
