"""Settings in three levels: all pipelines, one pipeline, a step; what a level leaves at ``None`` it inherits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from wellfield.errors import ConfigError
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.storage.backend import Backend, ZarrConfig

E = TypeVar("E", bound=StrEnum)

DEFAULT = "default"


class SourceChoice(StrEnum):
    """What a pipeline starts from."""

    PLANES = "planes"
    PROJECTION = "projection"
    PLANES_OR_PROJECTION = "planes_or_projection"


class OnUnreadable(StrEnum):
    """What becomes of a plane that cannot be read."""

    FAIL = "fail"
    SKIP_FIELD = "skip_field"
    BLANK = "blank"


class OnMissing(StrEnum):
    """What becomes of a field that lacks a plane."""

    USE_PRESENT = "use_present"
    SKIP_FIELD = "skip_field"
    FAIL = "fail"


class TiffCompression(StrEnum):
    """Lossless codec of TIFF files."""

    NONE = "none"
    ZLIB = "zlib"
    ZSTD = "zstd"
    LZW = "lzw"


@dataclass(frozen=True, slots=True)
class VFSConfig:
    """Which storage backends a pipeline works with.

    Parameters
    ----------
    read_backend:
        Where planes are read from; that of the plate (its primary backend) by default.
    intermediate_backend:
        Where images live between steps: ``"memory"``, or ``"disk"`` for wells that do not fit.
    materialization_backend:
        Where the images of steps with ``materialize=True`` are written: ``"disk"`` (TIFF) or ``"zarr"``.
    """

    read_backend: Backend | str | None = None
    intermediate_backend: Backend | str | None = None
    materialization_backend: Backend | str | None = None


@dataclass(frozen=True, slots=True)
class StepMaterializationConfig:
    """How a step's results are written.

    Parameters
    ----------
    sub_dir:
        Of a step, the folder of its TIFF and ROI files, in place of one of its name. Of a pipeline, the folder above
        those of its steps.
    """

    sub_dir: str | None = None


@dataclass(frozen=True, slots=True)
class TiffConfig:
    """Settings of TIFF files; *compression* is ``"none"``, ``"zlib"``, ``"zstd"`` or ``"lzw"``."""

    compression: TiffCompression | str | None = None


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of one pipeline; ``None`` inherits.

    Parameters
    ----------
    source:
        What the pipeline starts from: ``"planes"``, ``"projection"`` or ``"planes_or_projection"``.
    memory_type:
        Array library of all steps that name none and whose function has an implementation for it. Without it a step
        stays with the library of its input if its function has an implementation for that.
    device:
        ``"cpu"``, ``"gpu"`` or ``"gpu_or_cpu"``: where steps of other libraries than NumPy run.
    on_unreadable, on_missing:
        What happens to a field with a plane that cannot be read, or that is not there.
    vfs, zarr, tiff, step_materialization:
        Storage backends, the Zarr store, TIFF files, and what holds for every step that does not say otherwise.
    """

    source: SourceChoice | str | None = None
    memory_type: MemoryType | str | None = None
    device: DeviceChoice | str | None = None
    on_unreadable: OnUnreadable | str | None = None
    on_missing: OnMissing | str | None = None
    vfs: VFSConfig = VFSConfig()
    zarr: ZarrConfig | None = None
    tiff: TiffConfig = TiffConfig()
    step_materialization: StepMaterializationConfig = StepMaterializationConfig()


@dataclass(frozen=True)
class GlobalPipelineConfig(PipelineConfig):
    """Settings of all pipelines, which each may override."""


@dataclass(frozen=True)
class Settings:
    """Resolved settings: every value, and in *origins* the level that it came from, by dotted name."""

    source: SourceChoice
    memory_type: MemoryType | None
    device: DeviceChoice
    on_unreadable: OnUnreadable
    on_missing: OnMissing
    read_backend: Backend | None
    intermediate_backend: Backend
    materialization_backend: Backend
    zarr: ZarrConfig
    tiff_compression: TiffCompression
    sub_dir: str | None
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


# Dotted name of a setting → its value where no level says anything, and what is allowed.
_SETTINGS: Mapping[str, tuple[Any, tuple[str, ...] | None]] = MappingProxyType(
    {
        "source": (SourceChoice.PLANES_OR_PROJECTION, tuple(SourceChoice)),
        "memory_type": (None, tuple(MemoryType)),
        "device": (DeviceChoice.CPU, tuple(DeviceChoice)),
        "on_unreadable": (OnUnreadable.FAIL, tuple(OnUnreadable)),
        "on_missing": (OnMissing.USE_PRESENT, tuple(OnMissing)),
        "vfs.read_backend": (None, (Backend.VIRTUAL_WORKSPACE, Backend.DISK)),
        "vfs.intermediate_backend": (Backend.MEMORY, (Backend.MEMORY, Backend.DISK)),
        "vfs.materialization_backend": (Backend.DISK, (Backend.DISK, Backend.ZARR)),
        "zarr.chunk_strategy": (ZarrConfig().chunk_strategy, None),
        "zarr.compressor": (ZarrConfig().compressor, None),
        "zarr.compression_level": (ZarrConfig().compression_level, None),
        "zarr.ngff_version": (ZarrConfig().ngff_version, None),
        "tiff.compression": (TiffCompression.NONE, tuple(TiffCompression)),
        "step_materialization.sub_dir": (None, None),
    }
)


def resolve_settings(levels: Sequence[tuple[str, PipelineConfig | Mapping[str, Any]]]) -> Settings:
    """Return the settings that hold where the first of *levels* (the innermost) that says something decides.

    Parameters
    ----------
    levels:
        Name of each level → its configuration, or its values by dotted name (``"zarr.compressor"``).

    Raises
    ------
    ConfigError
        A value is not allowed, or no such setting exists; the message says which level it came from.
    """
    given = [(name, dict(level) if isinstance(level, Mapping) else dict(_leaves(level))) for name, level in levels]
    for name, level in given:
        if unknown := [key for key in level if key not in _SETTINGS]:
            raise ConfigError(f"{name}: no setting is named {unknown[0]!r}; there are {', '.join(_SETTINGS)}")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, (default, allowed) in _SETTINGS.items():
        found = ((level[key], name) for name, level in given if level.get(key) is not None)
        value, origins[key] = next(found, (default, DEFAULT))
        if allowed is not None and value is not None and value not in allowed:
            raise ConfigError(f"{origins[key]}: {key} is {value!r}; expected one of {', '.join(allowed)}")
        values[key] = value
    memory_type = values["memory_type"]
    return Settings(
        source=SourceChoice(values["source"]),
        memory_type=None if memory_type is None else MemoryType(memory_type),
        device=DeviceChoice(values["device"]),
        on_unreadable=OnUnreadable(values["on_unreadable"]),
        on_missing=OnMissing(values["on_missing"]),
        read_backend=None if values["vfs.read_backend"] is None else Backend(values["vfs.read_backend"]),
        intermediate_backend=Backend(values["vfs.intermediate_backend"]),
        materialization_backend=Backend(values["vfs.materialization_backend"]),
        zarr=ZarrConfig(**{key[5:]: value for key, value in values.items() if key.startswith("zarr.")}),
        tiff_compression=TiffCompression(values["tiff.compression"]),
        sub_dir=values["step_materialization.sub_dir"],
        origins=origins,
    )


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a configuration by dotted name."""
    for entry in fields(config):
        value = getattr(config, entry.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{entry.name}.")
        elif value is not None:
            yield f"{prefix}{entry.name}", value
