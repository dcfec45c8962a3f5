"""Checks that the behaviours share: compare arrays, and test that a backend refuses what it cannot do."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from threading import Barrier
from typing import Any, TypeVar, cast

import numpy as np
import pytest

from wellfield.errors import StorageError, UnsupportedOperationError, WellfieldError
from wellfield.storage.conformance.subject import Array, Capability, Files, Subject, value

Behaviour = TypeVar("Behaviour", bound=Callable[..., None])


def assert_same(loaded: Any, expected: Array) -> None:
    """Check that dtype (in any byte order), shape and every bit are equal."""
    assert isinstance(loaded, np.ndarray), f"expected an array, not {type(loaded).__name__}"
    assert loaded.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert loaded.shape == expected.shape
    assert _bits(loaded) == _bits(expected), "pixels differ"


def _bits(array: Array) -> bytes:
    return array.astype(array.dtype.newbyteorder("=")).tobytes()


def assert_holds(files: Files, folder: str, expected: Mapping[str, Array]) -> None:
    """Check that *folder* and the folders below it hold exactly *expected*."""
    assert sorted(files.list_files(folder, recursive=True)) == sorted(expected)
    for path, array in expected.items():
        assert_same(files.load(path), array)


def some(subject: Subject, numbers: Iterable[int], well: str = "A01") -> dict[str, Array]:
    """Return the subject's paths with these numbers, each with a value."""
    return {subject.path(number, well): value(number) for number in numbers}


def at_once(work: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Call *work* with each of *numbers*, each in its own thread, and raise the errors of these calls."""
    arguments = list(numbers)
    start = Barrier(len(arguments))

    def run(number: int) -> None:
        start.wait()
        work(number)

    with ThreadPoolExecutor(len(arguments)) as pool:
        list(pool.map(run, arguments))


def needs(*capabilities: Capability) -> Callable[[Behaviour], Behaviour]:
    """Mark a behaviour that needs capabilities; a backend that lacks one is tested to refuse its operations instead."""

    def decorate(behaviour: Behaviour) -> Behaviour:
        @wraps(behaviour)
        def run(self: Any, subject: Subject, *args: Any, **kwargs: Any) -> None:
            lacking = [capability for capability in capabilities if not subject.can(capability)]
            if lacking:
                _WITHOUT[lacking[0]](subject)
            else:
                behaviour(self, subject, *args, **kwargs)

        return cast("Behaviour", run)

    return decorate


def _refuses(files: Files, operation: str, *args: Any) -> None:
    with pytest.raises(UnsupportedOperationError) as caught:
        getattr(files, operation)(*args)
    assert isinstance(caught.value, io.UnsupportedOperation)
    assert str(caught.value), "the error says nothing"


def _without_batches(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    _refuses(files, "save_batch", [value(3)], [subject.path(3)])
    assert_holds(files, subject.folder, content)


def _without_objects(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    _refuses(files, "save", value(3), subject.path(1))
    _refuses(files, "delete", subject.path(1))
    _refuses(files, "copy", subject.path(1), subject.path(3))
    _refuses(files, "move", subject.path(1), subject.path(3))
    assert_holds(files, subject.folder, content)
    try:
        files.save(value(3), subject.path(3))
    except UnsupportedOperationError:
        assert_holds(files, subject.folder, content)
    else:  # the backend stores single objects beside those of batches
        assert_holds(files, subject.folder, {**content, subject.path(3): value(3)})


def _without_folders(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    with suppress(UnsupportedOperationError):  # or it does nothing: folders are made when something is saved
        files.ensure_directory(f"{subject.folder}/new")
    assert not files.exists(f"{subject.folder}/new")
    assert_holds(files, subject.folder, content)


def _without_trees(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    _refuses(files, "copy", subject.folder, subject.beside("other"))
    _refuses(files, "move", subject.folder, subject.beside("other"))
    _refuses(files, "delete_all", subject.folder)
    assert_holds(files, subject.folder, content)
    assert not files.exists(subject.beside("other"))


def _without_symlinks(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    _refuses(files, "create_symlink", subject.path(1), subject.path(3))
    _refuses(files, "mirror_directory", subject.folder, subject.beside("mirror"))
    assert_holds(files, subject.folder, content)
    assert not files.exists(subject.beside("mirror"))


def _without_status(subject: Subject) -> None:
    files = subject.fill(some(subject, (1,)))
    _refuses(files, "stat", subject.path(1))


def _without_any_object(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    for strange in (object(), {"a": 1}, None):
        with pytest.raises(WellfieldError):
            files.save_batch([value(3), strange], [subject.path(3), subject.path(4)], **subject.options("A01"))
        assert not files.exists(subject.path(4))
        if files.exists(subject.path(3)):
            files.delete(subject.path(3))  # if a batch saves one after the other, the first may be stored
    assert_holds(files, subject.folder, content)


def _without_free_names(subject: Subject) -> None:
    content = some(subject, (1, 2))
    files = subject.fill(content)
    with pytest.raises(StorageError):
        files.save_batch([value(1), value(2)], [subject.path(1), subject.named("other.tif")], **subject.options("A01"))
    assert_holds(files, subject.folder, content)


def _without_nesting(subject: Subject) -> None:
    files = subject.fill(some(subject, (1, 2)))
    assert files.list_files(subject.folder, recursive=True) == files.list_files(subject.folder)
    assert [f"{subject.folder}/{name}" for name in files.list_dir(subject.folder)] == files.list_files(subject.folder)


def _without_persistence(subject: Subject) -> None:
    subject.fill(some(subject, (1,)))
    assert not subject.at(subject.root).open().exists(subject.path(1))


_WITHOUT: dict[Capability, Callable[[Subject], None]] = {
    Capability.BATCHES: _without_batches,
    Capability.OBJECTS: _without_objects,
    Capability.FOLDERS: _without_folders,
    Capability.TREES: _without_trees,
    Capability.SYMLINKS: _without_symlinks,
    Capability.STATUS: _without_status,
    Capability.ANY_OBJECT: _without_any_object,
    Capability.FREE_NAMES: _without_free_names,
    Capability.NESTED: _without_nesting,
    Capability.PERSISTENT: _without_persistence,
}
