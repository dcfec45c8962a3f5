"""The settings of a pipeline, each declared once, and how they are resolved.

A setting is one field of a dataclass below, or of :class:`~wellfield.storage.ZarrConfig`. Example:
``compression: TiffCompression = inherited(TiffCompression.NONE, "Lossless codec of the pixels.")``. The annotation says
which values are allowed. Everything else follows from the field: the key ``tiff.compression`` of ``config.yaml`` with
its check and JSON schema (:mod:`wellfield.config.models`), its place in ``plan.json`` and in ``wellfield plan``.

``None`` in a field inherits. A value may be given as an enum member or as its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, get_type_hints

from wellfield.errors import ConfigError
from wellfield.formats.tiff import TiffCompression
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.setting_fields import Setting, declared, inherited
from wellfield.storage.backend import Backend, ZarrChunkStrategy, ZarrConfig

DEFAULT = "default"


class SourceChoice(StrEnum):
    """What a pipeline starts from."""

    PLANES = "planes"
    PROJECTION = "projection"
    PLANES_OR_PROJECTION = "planes_or_projection"


class OnUnreadable(StrEnum):
    """What happens to a plane that cannot be read."""

    FAIL = "fail"
    SKIP_FIELD = "skip_field"
    BLANK = "blank"


class OnMissing(StrEnum):
    """What happens to a field that lacks a plane."""

    USE_PRESENT = "use_present"
    SKIP_FIELD = "skip_field"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class VFSConfig:
    """Which storage backends a pipeline works with."""

    read_backend: Literal[Backend.VIRTUAL_WORKSPACE, Backend.DISK] | None = inherited(
        None, "Where planes are read from; the plate's own backend by default."
    )
    intermediate_backend: Literal[Backend.MEMORY, Backend.DISK] = inherited(
        Backend.MEMORY, "Where images live between steps; disk for wells that do not fit into memory."
    )
    materialization_backend: Literal[Backend.DISK, Backend.ZARR] = inherited(
        Backend.ZARR, "Where images of steps with `materialize: true` go: TIFF files (disk), or plate.zarr (zarr)."
    )


@dataclass(frozen=True, slots=True)
class StepMaterializationConfig:
    """How the results of a step are written. At the top level: the default of every step."""

    sub_dir: str | None = inherited(
        None,
        "For a step: folder of its TIFF and ROI files; its name by default. For all steps: their parent folder.",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
    )


@dataclass(frozen=True, slots=True)
class TiffConfig:
    """Settings of TIFF files."""

    compression: TiffCompression = inherited(TiffCompression.NONE, "Lossless codec of the pixels.")


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of one pipeline; ``None`` inherits."""

    source: SourceChoice = inherited(
        SourceChoice.PLANES_OR_PROJECTION,
        "What the pipeline starts from; by default a channel that has only a projection starts from that.",
    )
    memory_type: MemoryType | None = inherited(
        None,
        "Array library of every step that names none and whose function has an implementation for it; by default a "
        "step stays with the library of its input if it can.",
    )
    device: DeviceChoice = inherited(
        DeviceChoice.CPU,
        "Where steps of other libraries than NumPy run: gpu fails without a GPU, gpu_or_cpu falls back to the CPU; "
        "cupy needs a GPU.",
    )
    on_unreadable: OnUnreadable = inherited(
        OnUnreadable.FAIL, "If a plane cannot be read: fail the well, leave out the field, or use black pixels."
    )
    on_missing: OnMissing = inherited(
        OnMissing.USE_PRESENT, "If a plane is not there: go on without it, leave out the field, or fail the well."
    )
    vfs: VFSConfig = VFSConfig()
    # The default of a plate's results is the layout that other tools open. `ZarrConfig()`, the setting of a store made
    # in Python, is `well` as in OpenHCS.
    zarr: ZarrConfig = inherited(ZarrConfig(ZarrChunkStrategy.FIELD))
    tiff: TiffConfig = TiffConfig()
    step_materialization: StepMaterializationConfig = StepMaterializationConfig()


@dataclass(frozen=True)
class GlobalPipelineConfig(PipelineConfig):
    """Settings of all pipelines, which each may override."""


@dataclass(frozen=True)
class Settings(PipelineConfig):
    """Resolved settings: every value, and in *origins* the level that it came from, by dotted name."""

    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def values(self) -> dict[str, Any]:
        """Return every value by dotted name, as :func:`resolve_settings` takes them back."""
        return _values(self)


def _by_dotted_name(groups: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    for name, entry in groups.items():
        if isinstance(entry, Setting):
            yield name, entry
        else:
            yield from ((f"{name}.{inner}", found) for inner, found in entry.items())


# Dotted name, such as "tiff.compression", → what is declared.
SETTINGS: Mapping[str, Setting] = MappingProxyType(dict(_by_dotted_name(declared(PipelineConfig))))


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
    given = [(name, level if isinstance(level, Mapping) else _values(level)) for name, level in levels]
    for name, level in given:
        if unknown := [key for key in level if key not in SETTINGS]:
            raise ConfigError(f"{name}: no setting is named {unknown[0]!r}; there are {', '.join(SETTINGS)}")
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, entry in SETTINGS.items():
        values = ((level[key], name) for name, level in given if level.get(key) is not None)
        value, origins[key] = next(values, (entry.default, DEFAULT))
        try:
            value = None if value is None else entry.checked(value)
        except ValueError as expected:
            raise ConfigError(f"{origins[key]}: {key} is {value!r}; expected {expected}") from None
        group, _, name = key.rpartition(".")
        (found.setdefault(group, {}) if group else found)[name] = value
    kinds = get_type_hints(PipelineConfig)
    return Settings(**{n: kinds[n](**v) if isinstance(v, dict) else v for n, v in found.items()}, origins=origins)


def _values(config: PipelineConfig) -> dict[str, Any]:
    """Return the values of a configuration by dotted name, ``None`` where it inherits."""
    found: dict[str, Any] = {}
    for name in SETTINGS:
        group, _, key = name.rpartition(".")
        found[name] = getattr(getattr(config, group) if group else config, key, None)
    return found
