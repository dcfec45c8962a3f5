"""Decide whether an error is due to the data or to the machine, and make its text.

If the data of a well is wrong, only that well fails: its manifest says why, and the plate still gets its tables and
report. If the machine lacks memory, space or permission, the job fails and is tried again. Only this module separates
the two cases.
"""

from __future__ import annotations

import errno
import inspect
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wellfield.errors import (
    BatchError,
    ConfigError,
    DeviceNotFoundError,
    MemoryConversionError,
    MetadataError,
    PathEscapeError,
    PipelineError,
    PlateNotFoundError,
    SchemaVersionError,
    StepError,
    SystemFailure,
    UnknownFunctionError,
    UnstorableDataError,
    UnsupportedOperationError,
    WellfieldError,
)
from wellfield.formatting import visible

# A longer text is cut: a function may put a whole table into its error.
LONGEST_REASON = 2_000
_CUT_NOTE = 100  # the longest note about a cut

# Errors that are also built-in system errors, but are due to the data.
_OF_THE_DATA = (StepError, BatchError, UnstorableDataError, UnsupportedOperationError)
# Another attempt, another machine or the user has to help; the images are not the cause.
_OF_THE_JOB = (
    MemoryError,
    OSError,
    ImportError,
    ConfigError,
    DeviceNotFoundError,
    MemoryConversionError,
    MetadataError,
    PathEscapeError,
    PipelineError,
    PlateNotFoundError,
    SchemaVersionError,
    UnknownFunctionError,
)
# Nothing is at the path, or a wrong number in a file points to a position that does not exist.
_OF_THE_CONTENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EOVERFLOW)
# A process or a machine is at its limit, or a file server does not answer; the file may be good. EIO is not listed: it
# may be a bad sector of the disk, and then belongs to the file.
_OF_THE_MACHINE = (
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET),
)


def fails_well(error: BaseException) -> bool:
    """Tell whether an error fails only the well that is processed or written; any other error fails the job.

    A function may raise anything, and so may a library that gets its results. So every error fails only the well,
    unless it is known to be due to the machine or the configuration.
    """
    if isinstance(error, _OF_THE_DATA):
        return True
    return isinstance(error, Exception) and not isinstance(error, _OF_THE_JOB)


def fails_plane(error: BaseException, folder: str | os.PathLike[str] | None) -> bool:
    """Tell whether an error while reading a plane concerns only this plane; then ``on_unreadable`` decides.

    Examples are a damaged file and a file that the system refuses to read. If the plate folder is gone, the error
    concerns all planes.

    Parameters
    ----------
    folder:
        The plate folder; ``None`` if the planes are not files.
    """
    if not isinstance(error, Exception) or isinstance(error, MemoryError | ImportError | PlateNotFoundError):
        return False
    if any(number in _OF_THE_MACHINE for number in _system_numbers(error)):
        return False
    return folder is None or os.path.isdir(folder)


def refused_by_system(error: BaseException) -> bool:
    """Tell whether the system refused to read an existing file, for example because permission is missing."""
    return any(number not in (None, *_OF_THE_CONTENT) for number in _system_numbers(error))


def error_text(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """Return the text of an error for a manifest, a log or a page; for an error without text, its type and place.

    Parameters
    ----------
    function:
        The user's function that raised the error: its file and line are the place.
    """
    try:
        text = str(error)
    except Exception as failed:  # __str__ may be user code that fails
        text = f"(its text cannot be shown: {type(failed).__name__})"
    name = type(error).__name__
    if not text.strip():
        return clean_text(f"{name}, which says nothing{_place(error, function)}")
    own = function is None and isinstance(error, WellfieldError)
    return clean_text(text if own else f"{name}: {text}")


# The parts of the place where a well failed, in the order of the text.
_PLACE = ("field", "timepoint", "channel", "step", "file")


def failure_place(failure: Mapping[str, Any] | None) -> str:
    """Return where a well failed, from the ``error`` of its manifest; may be empty.

    Examples
    --------
    >>> failure_place({"message": "no nuclei", "field": 2, "timepoint": 1, "step": "1 (blur)", "file": None})
    'field 2, timepoint 1, step 1 (blur)'
    """
    return ", ".join(f"{name} {failure[name]}" for name in _PLACE if failure.get(name)) if failure else ""


def failure_reason(failure: Mapping[str, Any] | None) -> str:
    """Return why a well failed, in one line, from the ``error`` of its manifest."""
    return " ".join(str(failure["message"]).split()) if failure else "its manifest gives no reason"


def failure_text(failure: Mapping[str, Any] | None) -> str:
    """Return where and why a well failed, in one line: ``field 2, timepoint 1, step 1 (blur): no nuclei``."""
    return ": ".join(filter(None, (failure_place(failure), failure_reason(failure))))


def clean_text(text: str, longest: int = LONGEST_REASON) -> str:
    """Return text with unwritable characters and terminal controls escaped, and cut if it is too long.

    Examples
    --------
    >>> clean_text("lost\\x00 \\udcff")
    'lost\\\\x00 \\\\udcff'
    """
    more = ""
    if len(text) > longest + _CUT_NOTE:  # a text that was cut before is not cut again
        more = f" … (cut: {len(text):,} characters in all)"
        text = text[:longest]
    return visible(text) + more


def _system_numbers(error: BaseException) -> list[int | None]:
    """Return the error numbers from the system itself; Wellfield's own errors have numbers for damaged files too."""
    return [
        cause.errno for cause in _causes(error) if isinstance(cause, OSError) and not isinstance(cause, SystemFailure)
    ]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _place(error: BaseException, function: Callable[..., Any] | None) -> str:
    """Return where an error was raised, if possible the last line in the file of *function*; folders are left out."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    own = getattr(code, "co_filename", None)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1] if frames else None)
    return "" if frame is None else f" ({os.path.basename(frame.filename)}:{frame.lineno}, in {frame.name})"
