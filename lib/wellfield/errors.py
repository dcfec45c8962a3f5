"""The error tree. Every error is a :class:`WellfieldError` and also the built-in error that it specialises.

A message says what happened, where (plate, well, field, channel, file), what was expected and what to do.
"""

from __future__ import annotations

import errno
import io
import os
from functools import partial
from typing import Any, ClassVar


class WellfieldError(Exception):
    """Root of all errors that Wellfield raises on purpose."""


class SystemFailure(WellfieldError, OSError):
    """Base of the errors that are also an :class:`OSError`: ``errno`` and ``filename`` are set as Python sets them.

    Parameters
    ----------
    message:
        What happened, in full; ``str`` of the error.
    path:
        The path at which it happened; becomes ``filename``.
    code:
        Number of the operating system's error; becomes ``errno``. By default the number of the class.
    """

    default_code: ClassVar[int] = errno.EIO

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.errno = self.default_code if code is None else code
        self.strerror = message
        if path is not None:
            self.filename = os.fspath(path)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), path=self.filename, code=self.errno), self.args, self.__dict__ or None


class ArgumentTypeError(WellfieldError, TypeError):
    """An argument has a type that cannot be used, such as a number for a path."""


# --- configuration -----------------------------------------------------------------------------------------------


class ConfigError(WellfieldError, ValueError):
    """A value in a configuration file is missing, misspelt or out of range."""


class SchemaVersionError(WellfieldError, ValueError):
    """Another version of Wellfield wrote a file, with an incompatible layout."""


# --- plates and microscopes --------------------------------------------------------------------------------------


class WellNameError(WellfieldError, ValueError):
    """A well name cannot be read."""


class PlateNotFoundError(SystemFailure, FileNotFoundError):
    """The folder of a plate does not exist or is not a folder."""

    default_code = errno.ENOENT


class EmptyPlateError(WellfieldError, ValueError):
    """A plate folder holds no usable image."""


class MicroscopeDetectionError(WellfieldError, ValueError):
    """A plate folder is recognised by no microscope format, or by more than one."""


class DuplicatePlaneError(WellfieldError, ValueError):
    """Two different files claim to be the same plane."""


class MetadataError(WellfieldError, ValueError):
    """A metadata file is corrupt or contradicts itself."""


class MissingPlaneError(WellfieldError, LookupError):
    """A requested plane is not on the plate."""


# --- storage and formats -----------------------------------------------------------------------------------------


class StorageError(SystemFailure):
    """A storage operation failed."""


class DataNotFoundError(StorageError, FileNotFoundError):
    """Nothing is stored under the given path."""

    default_code = errno.ENOENT


class DestinationExistsError(StorageError, FileExistsError):
    """Something is at the destination of a copy, a move or a link; it is not overwritten."""

    default_code = errno.EEXIST


class IsFolderError(StorageError, IsADirectoryError):
    """An object is expected, but the path is a folder."""

    default_code = errno.EISDIR


class NotAFolderError(StorageError, NotADirectoryError):
    """A folder is expected, but the path is an object."""

    default_code = errno.ENOTDIR


class FolderNotEmptyError(StorageError):
    """A folder is not empty; only an empty folder is deleted."""

    default_code = errno.ENOTEMPTY


class AccessError(StorageError, PermissionError):
    """The operating system does not allow to read or write a path."""

    default_code = errno.EACCES


class InvalidPathError(StorageError, ValueError):
    """A text is not a usable path: it is empty, holds a null character, or is reserved for unfinished writes."""

    default_code = errno.EINVAL


class BatchError(StorageError, ValueError):
    """The objects and paths of a batch do not fit together."""

    default_code = errno.EINVAL


class UnknownBackendError(StorageError, LookupError):
    """No storage backend has the given name."""

    default_code = errno.EINVAL


class MemoryLimitError(StorageError, MemoryError):
    """The memory backend would hold more than its limit."""

    default_code = errno.ENOMEM


class ForeignStoreError(StorageError):
    """Wellfield did not write a Zarr store, or a well in it; it is left as it is."""

    default_code = errno.EPERM


class UnstorableDataError(StorageError, ValueError):
    """Data cannot be stored as it is: the format does not have its dtype, size or value."""

    default_code = errno.EINVAL


class BrokenStageError(StorageError):
    """The staged results of a well are damaged; the next run stages the well again."""


class UnsupportedOperationError(SystemFailure, io.UnsupportedOperation):
    """A storage backend does not support an operation."""

    default_code = errno.ENOTSUP


class UnreadableImageError(StorageError, ValueError):
    """A file is not a readable image, or not the expected image."""


class ImageKindError(UnreadableImageError):
    """A readable image is not a single grey plane of intensities: colours, a palette, several planes, white as 0."""


class FileAccessError(AccessError, UnreadableImageError):
    """The user may not read an image file."""


class FolderForImageError(IsFolderError, UnreadableImageError):
    """An image file is expected, but the path is a folder."""


class PathEscapeError(WellfieldError, ValueError):
    """A path leads outside the folder it must stay in."""


class UnknownFormatError(WellfieldError, ValueError):
    """The suffix of a path belongs to no known format, or the data does not fit the format."""


class MissingLibraryError(WellfieldError, ImportError):
    """A backend's optional library is not installed; the message names what to install."""


class SnakemakeVersionError(WellfieldError, RuntimeError):
    """The installed Snakemake lacks something that Wellfield needs."""


class DiskSpaceError(SystemFailure):
    """The file system does not have enough free space."""

    default_code = errno.ENOSPC


def os_failure(error: OSError, message: str, path: str | os.PathLike[str] | None = None) -> SystemFailure:
    """Return the error of this tree for an error of the operating system, with its number."""
    kinds: dict[int | None, type[SystemFailure]] = {
        errno.ENOENT: DataNotFoundError,
        errno.EEXIST: DestinationExistsError,
        errno.EISDIR: IsFolderError,
        errno.ENOTDIR: NotAFolderError,
        errno.ENOTEMPTY: FolderNotEmptyError,
        errno.EACCES: AccessError,
        errno.EPERM: AccessError,
        errno.ENOSPC: DiskSpaceError,
        errno.EDQUOT: DiskSpaceError,
    }
    return kinds.get(error.errno, StorageError)(message, path=path, code=error.errno)


# --- memory types ------------------------------------------------------------------------------------------------


class MemoryTypeError(WellfieldError, TypeError):
    """An object is not an array of a known memory type, or not of the declared memory type."""


class MemoryConversionError(WellfieldError, RuntimeError):
    """An array could not be converted from one memory type to another.

    Parameters
    ----------
    source_type, target_type:
        Names of the memory types, such as ``"numpy"``.
    method:
        The route that was tried.
    reason:
        Why it failed.
    """

    def __init__(self, source_type: str, target_type: str, method: str, reason: str) -> None:
        self.source_type = source_type
        self.target_type = target_type
        self.method = method
        self.reason = reason
        super().__init__(f"Failed to convert {source_type} → {target_type} via {method}: {reason}")

    def __reduce__(self) -> tuple[type[MemoryConversionError], tuple[str, str, str, str]]:
        return type(self), (self.source_type, self.target_type, self.method, self.reason)


class DeviceNotFoundError(WellfieldError, LookupError):
    """The array library does not see the requested GPU."""


class DeviceMemoryError(WellfieldError, MemoryError):
    """A device does not have enough memory, even after every step to use less.

    Parameters
    ----------
    function:
        Name of the function (or conversion) that needed the memory.
    shape:
        Shape of its array.
    device:
        Name of the device.
    """

    def __init__(self, function: str, shape: tuple[int, ...], device: str) -> None:
        self.function = function
        self.shape = shape
        self.device = device
        super().__init__(
            f"{function}: no memory left on {device} for an array of shape {list(shape)}; take a device with more "
            "memory, smaller images, or fewer processes on it"
        )

    def __reduce__(self) -> tuple[type[DeviceMemoryError], tuple[str, tuple[int, ...], str]]:
        return type(self), (self.function, self.shape, self.device)


class ArrayShapeError(WellfieldError, ValueError):
    """An array has the wrong rank or shape."""


# --- pipelines ---------------------------------------------------------------------------------------------------


class PipelineError(WellfieldError, ValueError):
    """A pipeline does not compile; the message lists every mistake with its step number."""


class UnknownFunctionError(WellfieldError, LookupError):
    """No registered function has this name."""


class StepError(WellfieldError, RuntimeError):
    """A step of the pipeline failed while it ran; the message says plate, well, field and step."""


class MaterializationError(WellfieldError, ValueError):
    """A result does not fit its declared materialization."""


class ValidationError(WellfieldError, ValueError):
    """Results do not agree with their manifests, or with other results."""


class PlateFailedError(WellfieldError, RuntimeError):
    """At least one well of a plate failed."""
