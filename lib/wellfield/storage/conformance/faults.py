"""The error of each wrong use of a backend: the same class in every backend, with its number and the path."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import (
    ArgumentTypeError,
    BatchError,
    DataNotFoundError,
    DestinationExistsError,
    FolderNotEmptyError,
    InvalidPathError,
    IsFolderError,
    NotAFolderError,
    StorageError,
    WellfieldError,
)
from wellfield.storage.conformance.checks import assert_holds, needs, some
from wellfield.storage.conformance.subject import Capability, Subject, value


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong use of an operation.

    Parameters
    ----------
    operation:
        Name of the operation.
    arguments:
        Arguments of the operation; texts such as ``"object"`` stand for paths, see :func:`_path`.
    error:
        The expected error.
    code:
        The expected error number; by default the number of the class.
    """

    operation: str
    arguments: tuple[Any, ...]
    error: type[WellfieldError]
    code: int | None = None

    def __str__(self) -> str:
        return f"{self.operation}({', '.join(map(str, self.arguments))})"


LISTS = ("list_files", "list_dir", "list_image_files")
ASKS = ("exists", "is_file", "is_dir")
NO_PATHS = (None, 5, b"a", ("a",))

READS = [
    *(Fault("load", (path,), DataNotFoundError) for path in ("missing", "below", "long")),
    *(Fault("stat", (path,), DataNotFoundError) for path in ("missing", "below", "long")),
    *(Fault(name, (path,), DataNotFoundError) for name in LISTS for path in ("missing", "below", "long")),
    Fault("load", ("folder",), IsFolderError),
    *(Fault(name, ("object",), NotAFolderError) for name in LISTS),
    *(Fault(name, (path,), InvalidPathError) for name in ("load", "stat", *LISTS) for path in ("null", "half")),
    *(Fault(name, (path,), ArgumentTypeError) for name in ("load", "stat", *LISTS, *ASKS) for path in NO_PATHS),
    *(Fault("load_batch", (paths,), ArgumentTypeError) for paths in ("object", 5, None, {"a"}, [5])),
    Fault("load_batch", (["missing"],), DataNotFoundError),
    Fault("load_batch", (["folder"],), IsFolderError),
]

SAVES = [
    Fault("save", (1, "folder"), IsFolderError),
    *(Fault("save", (1, path), NotAFolderError) for path in ("below", "deep below")),
    *(Fault("save", (1, path), InvalidPathError) for path in ("", "null", "half", "unfinished")),
    *(Fault("save", (1, path), ArgumentTypeError) for path in NO_PATHS),
    Fault("save_batch", ([1, 2], ["new"]), BatchError),
    Fault("save_batch", ([1], ["new", "newer"]), BatchError),
    Fault("save_batch", ([1, 2], ["new", "new"]), BatchError),
    *(Fault("save_batch", ([1], path), ArgumentTypeError) for path in ("new", 5, None, {"a"}, [5])),
    Fault("save_batch", (None, ["new"]), ArgumentTypeError),
]

CHANGES = [
    *(Fault("ensure_directory", (path,), NotAFolderError) for path in ("object", "below", "deep below")),
    *(Fault("delete", (path,), DataNotFoundError) for path in ("missing", "below", "long")),
    Fault("delete", ("folder",), FolderNotEmptyError),
    *(Fault("delete_all", (path,), DataNotFoundError) for path in ("missing", "below", "long")),
    Fault("delete_all", ("object",), NotAFolderError),
    *(
        Fault(name, (path,), InvalidPathError)
        for name in ("ensure_directory", "delete", "delete_all")
        for path in ("", "null", "half")
    ),
    *(
        Fault(name, (path,), ArgumentTypeError)
        for name in ("ensure_directory", "delete", "delete_all")
        for path in NO_PATHS
    ),
]

TRANSFERS = [
    Fault(name, arguments, error, code)
    for name in ("copy", "move")
    for arguments, error, code in (
        (("missing", "new"), DataNotFoundError, None),
        (("below", "new"), DataNotFoundError, None),
        (("long", "new"), DataNotFoundError, None),
        *(
            ((source, to), DestinationExistsError, None)
            for source in ("object", "folder")
            for to in ("other", "folder")
        ),
        (("object", "object"), DestinationExistsError, None),
        (("object", "below other"), NotAFolderError, None),
        (("folder", "in folder"), StorageError, errno.EINVAL),
        *((("object", path), InvalidPathError, None) for path in ("", "null", "half", "unfinished")),
        *((("object", path), ArgumentTypeError, None) for path in NO_PATHS),
        *(((path, "new"), ArgumentTypeError, None) for path in NO_PATHS),
    )
]


def _path(subject: Subject, name: Any) -> Any:
    """Return the path that a name in the tables stands for; any other argument is returned as it is."""
    if isinstance(name, list):
        return [_path(subject, part) for part in name]
    folder, suffix = subject.folder, subject.suffix
    return (
        {
            "object": subject.path(1),
            "other": subject.path(2),
            "missing": subject.path(9),
            "below": f"{subject.path(1)}/x{suffix}",
            "deep below": f"{subject.path(1)}/a/b/x{suffix}",
            "below other": f"{subject.path(2)}/x{suffix}",
            "folder": folder,
            "in folder": f"{folder}/inside",
            "new": f"{subject.beside('new')}/x{suffix}",
            "newer": f"{subject.beside('new')}/y{suffix}",
            "null": f"{folder}/a\0b{suffix}",
            "half": f"{folder}/a\ud800b{suffix}",
            "long": f"{folder}/{'x' * 300}{suffix}",
            "unfinished": f"{folder}/.x{suffix}.0123456789ab.part",
        }.get(name, name)
        if isinstance(name, str)
        else name
    )


def _operations(faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", dict.fromkeys(fault.operation for fault in faults))


class FaultBehaviours:
    """A fault raises the same error in every backend, which is also the matching built-in error."""

    @_operations(READS)
    def test_a_wrong_reading_is_the_error_that_says_so(self, subject: Subject, operation: str) -> None:
        """A missing object is never found, and an argument of a wrong type is not reported as a missing file."""
        self._check(subject, READS, operation)

    @needs(Capability.OBJECTS)
    @_operations(SAVES)
    def test_a_wrong_save_is_the_error_that_says_so(self, subject: Subject, operation: str) -> None:
        """The save stores nothing."""
        self._check(subject, SAVES, operation)

    @needs(Capability.OBJECTS, Capability.FOLDERS, Capability.TREES)
    @_operations([*CHANGES, *TRANSFERS])
    def test_a_wrong_change_is_the_error_that_says_so(self, subject: Subject, operation: str) -> None:
        """It changes nothing, neither at the source nor at the destination."""
        self._check(subject, [*CHANGES, *TRANSFERS], operation)

    @pytest.mark.parametrize("path", ["null", "half", "long"])
    def test_no_question_fails_at_an_odd_path(self, subject: Subject, path: str) -> None:
        """The answer is always no."""
        files = subject.fill(some(subject, (1,)))
        for question in ASKS:
            assert getattr(files, question)(_path(subject, path)) is False

    @staticmethod
    def _check(subject: Subject, faults: list[Fault], operation: str) -> None:
        content = some(subject, (1, 2))
        files = subject.fill(content)
        for fault in faults:
            if fault.operation != operation:
                continue
            arguments = [_path(subject, argument) for argument in fault.arguments]
            if operation == "save":
                arguments[0] = value(5)
            elif operation == "save_batch" and arguments[0] is not None:
                arguments[0] = [value(5) for _ in arguments[0]]
            try:
                getattr(files, operation)(*arguments)
            except Exception as caught:
                error = caught
            else:
                raise AssertionError(f"{fault} raised nothing")
            assert isinstance(error, fault.error), f"{fault} raised {error!r}"
            if isinstance(error, StorageError):
                code = type(error).default_code if fault.code is None else fault.code
                assert error.errno == code, f"{fault} has the number {error.errno}"
                assert isinstance(error, BatchError) or error.filename is not None, f"{fault} names no path"
            assert not files.exists(Path(subject.beside("new"), f"x{subject.suffix}")), str(fault)
        assert_holds(files, subject.folder, content)
