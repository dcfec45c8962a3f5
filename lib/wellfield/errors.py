"""The error tree. Every error is a :class:`WellfieldError` and also the built-in that it specialises.

A message says what happened, where (plate, well, field, channel, file), what was expected and what to do.
"""

from __future__ import annotations

import io


class WellfieldError(Exception):
    """Root of all errors that Wellfield raises on purpose."""


# --- configuration -----------------------------------------------------------------------------------------------


class ConfigError(WellfieldError, ValueError):
    """A value in a configuration file is missing, misspelt or out of range."""


class SchemaVersionError(WellfieldError, ValueError):
    """A file was written by a version of Wellfield with another, incompatible layout."""


# --- plates and microscopes --------------------------------------------------------------------------------------


class WellNameError(WellfieldError, ValueError):
    """A well name cannot be read."""


class PlateNotFoundError(WellfieldError, FileNotFoundError):
    """The folder of a plate does not exist or is no folder."""


class EmptyPlateError(WellfieldError, ValueError):
    """A plate folder holds no image that could be used."""


class MicroscopeDetectionError(WellfieldError, ValueError):
    """No microscope, or more than one, recognises a plate folder."""


class DuplicatePlaneError(WellfieldError, ValueError):
    """Two different files claim to be the same plane."""


class MetadataError(WellfieldError, ValueError):
    """A metadata file is corrupt or contradicts itself."""


class MissingPlaneError(WellfieldError, LookupError):
    """A plane that was asked for is not on the plate."""


# --- storage and formats -----------------------------------------------------------------------------------------


class StorageError(WellfieldError, OSError):
    """A storage operation failed."""


class DataNotFoundError(StorageError, FileNotFoundError):
    """Nothing is stored under the given path."""


class DestinationExistsError(StorageError, FileExistsError):
    """Something lies where a copy, a move or a link should go; nothing is overwritten unasked."""


class MemoryLimitError(StorageError, MemoryError):
    """The memory backend would hold more than its limit."""


class ForeignStoreError(StorageError):
    """A Zarr store, or a well in it, was not written by Wellfield; it is left as it is."""


class UnstorableDataError(StorageError, ValueError):
    """Data cannot be stored as it is: a dtype, a size or a value that the format does not have."""


class BrokenStageError(StorageError):
    """What a well's first job staged for its second one is damaged; the next run stages it again."""


class UnsupportedOperationError(WellfieldError, io.UnsupportedOperation):
    """A storage backend cannot do what was asked of it."""


class UnreadableImageError(StorageError, ValueError):
    """A file is not a readable image, or not the image that was expected."""


class ImageKindError(UnreadableImageError):
    """A readable image is no single grey plane of intensities: colours, a palette, several planes, white as 0."""


class FileAccessError(UnreadableImageError, PermissionError):
    """The user may not read an image file."""


class PathEscapeError(WellfieldError, ValueError):
    """A path leads outside the folder it must stay in."""


class UnknownFormatError(WellfieldError, ValueError):
    """The suffix of a path names no format, or the data does not fit the format."""


class MissingLibraryError(WellfieldError, ImportError):
    """A backend's optional library is not installed; the message names what to install."""


class DiskSpaceError(WellfieldError, OSError):
    """The file system has not enough free space."""


# --- memory types ------------------------------------------------------------------------------------------------


class MemoryTypeError(WellfieldError, TypeError):
    """An object is no array of a known memory type, or not of the declared one."""


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
    """A GPU was asked for that the array library does not see."""


class DeviceMemoryError(WellfieldError, MemoryError):
    """A device has not enough memory, and nothing that was tried made do with less.

    Parameters
    ----------
    function:
        What needed the memory.
    shape:
        Shape of the array that it worked on.
    device:
        Where.
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
    """No function is registered under a name."""


class StepError(WellfieldError, RuntimeError):
    """A step of the pipeline failed while it ran; says plate, well, field and step."""


class MaterializationError(WellfieldError, ValueError):
    """A result does not fit the materialization that was declared for it."""


class ValidationError(WellfieldError, ValueError):
    """Results do not agree with their manifests, or with other results."""


class PlateFailedError(WellfieldError, RuntimeError):
    """At least one well of a plate failed."""
