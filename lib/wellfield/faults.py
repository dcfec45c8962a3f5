"""Whom an error is about, the data or the machine, and what an error says.

A well whose data is wrong fails alone: its manifest says why, and the plate gets its tables and report. A machine
without memory, space or permission fails the job, which is tried again. The line between the two is drawn here only.
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

# Longer texts are cut: a function may put a whole table into its error.
LONGEST_REASON = 2_000
_CUT_NOTE = 100  # what the note about a cut takes at most

# Errors that are also built-in errors of the system, but are about the data.
_OF_THE_DATA = (StepError, BatchError, UnstorableDataError, UnsupportedOperationError)
# Another try, another machine or the user has to help; the images are not to blame.
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
# Nothing is there, or a wrong number in a file asks for a place that it has not.
_OF_THE_CONTENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EOVERFLOW)
# A process or a machine at its limit, or a file server that does not answer, while the file may be good. EIO may be
# a bad sector of the disk, and so the file's.
_OF_THE_MACHINE = (
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET),
)


def fails_well(error: BaseException) -> bool:
    """Tell whether an error fails the well that is processed or written; any other error fails the job.

    A function may raise anything, and so may a library that is given its results. So every error is the well's, except
    those that are known to be about the machine or the configuration.
    """
    if isinstance(error, _OF_THE_DATA):
        return True
    return isinstance(error, Exception) and not isinstance(error, _OF_THE_JOB)


def fails_plane(error: BaseException, folder: str | os.PathLike[str] | None) -> bool:
    """Tell whether an error that reading a plane raised is about this plane, so that ``on_unreadable`` decides.

    A damaged file is, and so is one that the system refuses to read. A plate folder that is gone is not: then no plane
    of it can be read.

    Parameters
    ----------
    folder:
        The plate folder; ``None`` where the planes are no files.
    """
    if not isinstance(error, Exception) or isinstance(error, MemoryError | ImportError | PlateNotFoundError):
        return False
    if any(number in _OF_THE_MACHINE for number in _system_numbers(error)):
        return False
    return folder is None or os.path.isdir(folder)


def refused_by_system(error: BaseException) -> bool:
    """Tell whether the system refused to read a file that is there, as for want of permission."""
    return any(number not in (None, *_OF_THE_CONTENT) for number in _system_numbers(error))


def error_text(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """Return what an error says, fit for a manifest, a log and a page; where it says nothing, its type and place.

    Parameters
    ----------
    function:
        The function of the user that raised it: its file and line are the place.
    """
    try:
        text = str(error)
    except Exception as failed:  # __str__ is anybody's code too
        text = f"(its text cannot be shown: {type(failed).__name__})"
    name = type(error).__name__
    if not text.strip():
        return clean_text(f"{name}, which says nothing{_place(error, function)}")
    own = function is None and isinstance(error, WellfieldError)
    return clean_text(text if own else f"{name}: {text}")


# Where a well failed, in the order in which it is said.
_PLACE = ("field", "timepoint", "channel", "step", "file")


def failure_place(failure: Mapping[str, Any] | None) -> str:
    """Return where a well failed, as its manifest's ``error`` says it; may be empty.

    Examples
    --------
    >>> failure_place({"message": "no nuclei", "field": 2, "timepoint": 1, "step": "1 (blur)", "file": None})
    'field 2, timepoint 1, step 1 (blur)'
    """
    return ", ".join(f"{name} {failure[name]}" for name in _PLACE if failure.get(name)) if failure else ""


def failure_reason(failure: Mapping[str, Any] | None) -> str:
    """Return why a well failed, in one line, as its manifest's ``error`` says it."""
    return " ".join(str(failure["message"]).split()) if failure else "its manifest gives no reason"


def failure_text(failure: Mapping[str, Any] | None) -> str:
    """Return where and why a well failed, in one line: ``field 2, timepoint 1, step 1 (blur): no nuclei``."""
    return ": ".join(filter(None, (failure_place(failure), failure_reason(failure))))


def clean_text(text: str, longest: int = LONGEST_REASON) -> str:
    """Return text without characters that cannot be written or that steer a terminal, cut if it is too long.

    Examples
    --------
    >>> clean_text("lost\\x00 \\udcff")
    'lost\\\\x00 \\\\udcff'
    """
    more = ""
    if len(text) > longest + _CUT_NOTE:  # so that a text that was cut is not cut again
        more = f" … (cut: {len(text):,} characters in all)"
        text = text[:longest]
    return visible(text) + more


def _system_numbers(error: BaseException) -> list[int | None]:
    """Return the numbers that the system itself gave; errors of the tree have one for damaged files too."""
    return [
        cause.errno for cause in _causes(error) if isinstance(cause, OSError) and not isinstance(cause, SystemFailure)
    ]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _place(error: BaseException, function: Callable[..., Any] | None) -> str:
    """Return where an error was raised: in the file of *function*, if it was called there. Folders are left out."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    own = getattr(code, "co_filename", None)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1] if frames else None)
    return "" if frame is None else f" ({os.path.basename(frame.filename)}:{frame.lineno}, in {frame.name})"
