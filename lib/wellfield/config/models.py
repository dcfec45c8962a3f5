"""Typed models of ``config/config.yaml``. The JSON schemas in ``config/schemas`` are generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    create_model,
    model_validator,
)

from wellfield.config.settings import SETTINGS, PipelineConfig, Settings, resolve_settings
from wellfield.config.typed_path import typed_path
from wellfield.memory import MemoryType
from wellfield.plate.filename_layout import Layout, WellNumbers, pattern_problems
from wellfield.setting_fields import Setting, declared

Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None
Value = Scalar | list[Any] | dict[str, Any]
TypedPath = Annotated[StrictStr, AfterValidator(typed_path)]


_CALL_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"func": {"type": "string"}, "params": {"type": "object"}},
            "required": ["func"],
            "additionalProperties": False,
        },
    ]
}
_CHAIN_SCHEMA: dict[str, Any] = {"anyOf": [_CALL_SCHEMA, {"type": "array", "items": _CALL_SCHEMA, "minItems": 1}]}
_FUNC_SCHEMA: dict[str, Any] = {"anyOf": [*_CHAIN_SCHEMA["anyOf"], {"type": "object", "minProperties": 1}]}


def _check_func(value: Any) -> Any:
    """Check the form of ``func``: a function, a chain of functions, or channel: one of these."""
    by_channel = isinstance(value, dict) and "func" not in value
    chains = list(value.values()) if by_channel else [value]
    if by_channel and any(isinstance(channel, bool) or not isinstance(channel, int | str) for channel in value):
        raise ValueError("Input should name channels by number or name")
    calls = [call for chain in chains for call in (chain if isinstance(chain, list) else [chain])]
    for call in calls:
        is_call = isinstance(call, dict) and set(call) <= {"func", "params"} and isinstance(call.get("func"), str)
        if not (isinstance(call, str) or (is_call and isinstance(call.get("params"), dict | None))):
            raise ValueError(
                "Input should be a function, {func: name, params: {…}}, a list of these, or channel: function"
            )
    if not calls:
        raise ValueError("Input should name at least one function")
    return value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Func = Annotated[Any, BeforeValidator(_check_func), WithJsonSchema(_FUNC_SCHEMA)]


class StepConfig(_Model):
    """One step of the pipeline."""

    name: Name | None = Field(None, description="Name of the step; the function's name by default.")
    func: Func = Field(
        description="Registered function (`wellfield functions`), package.module:function or file.py:function; a list "
        "of them is a chain, channel: function treats channels differently."
    )
    input: StrictStr = Field(
        "previous",
        description="Where its images come from: previous, start (the plate's images) or the name of a step.",
    )
    inputs: dict[str, StrictStr] = Field(
        {}, description="Further images: parameter → name of an earlier step (or of a special output)."
    )
    outputs: dict[str, StrictStr] = Field({}, description="New names for special outputs: declared name → name.")
    channels: list[StrictInt | StrictStr] | None = Field(
        None, min_length=1, description="Channels by number or name; all channels of the input by default."
    )
    stack: Literal["z", "field", "channel"] = Field(
        "z", description="What the first axis of the stack is: z planes, fields or channels."
    )
    planewise: StrictBool = Field(False, description="Call the function for each plane [Y, X].")
    returns: Literal["intensity", "mask", "labels"] | None = Field(
        None, description="What a function that is not registered returns; intensity by default."
    )
    params: dict[str, Value] = Field({}, description="Arguments of the function.")
    memory_type: Literal[tuple(map(str, MemoryType))] | None = Field(  # type: ignore[valid-type]
        None, description="Array library; by default as `memory_type` of all steps says."
    )
    materialize: StrictBool | list[Literal["zarr", "tiff", "roi"]] = Field(
        False,
        description="Write the step's images to `vfs.materialization_backend`, or in the formats of a list.",
    )
    sub_dir: Name | None = Field(None, description="Folder of its TIFF and ROI files; the step's name by default.")


def _model_of(config: type[Any], settings: Mapping[str, Any]) -> type[_Model]:
    """Return the model of the keys that set the fields of a settings class."""
    kinds, keys = get_type_hints(config), dict[str, Any]()
    for name, entry in settings.items():
        if not isinstance(entry, Setting):
            block = _model_of(kinds[name], entry)
            keys[name] = block, block()
            continue
        kind: Any = Literal[tuple(map(str, entry.choices))] if entry.choices else entry.kind
        default = str(entry.default) if isinstance(entry.default, str) else entry.default
        limits = dict(entry.limits) if entry.choices else {"strict": True, **entry.limits}
        allowed = kind | None if default is None else kind
        keys[name] = allowed, Field(default, description=entry.description, **limits)
    return create_model(config.__name__, __base__=_Model, __doc__=str(config.__doc__).partition("\n")[0], **keys)


if TYPE_CHECKING:  # read as `Config.settings`, which are resolved and typed
    _PipelineKeys = _Model
else:
    _PipelineKeys = _model_of(PipelineConfig, declared(PipelineConfig))


def _check_pattern(pattern: str) -> str:
    from wellfield.microscopes.presets import PRESETS  # only layouts need the microscopes

    if pattern not in PRESETS and (problems := pattern_problems(pattern)):
        raise ValueError("; ".join(problems))
    return pattern


def _check_layout_name(name: str) -> str:
    from wellfield.microscopes.handler_registry import microscope_names  # only layouts need the microscopes

    if name in microscope_names():
        raise ValueError("this name is taken by a microscope or a preset; choose another")
    return name


def _check_channels(channels: Any) -> Any:
    names = list(channels.values()) if isinstance(channels, dict) else channels
    if names is not None and (len(set(names)) != len(names) or not all(names)):
        raise ValueError("each channel needs a name, and none twice")
    tokens = [str(token) for token in channels] if isinstance(channels, dict) else []
    numbers = [str(int(token)) if token.isascii() and token.isdigit() else token for token in tokens]
    if len(set(numbers)) != len(numbers):
        raise ValueError("two channels have the same number, such as 1, '1' or '01'")
    return channels


LayoutName = Annotated[Name, AfterValidator(_check_layout_name)]
_Length = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
_ChannelNames = (
    Annotated[list[StrictStr], Field(min_length=1)]
    | Annotated[dict[StrictStr | StrictInt, StrictStr], Field(min_length=1)]
)
_Number = Annotated[StrictInt, Field(ge=1, le=999_999)]


class LayoutDefaults(_Model):
    """Field, channel, z and timepoint of files whose names do not say them."""

    field: _Number = Field(1, description="Field of files whose name has none.")
    channel: _Number = Field(1, description="Channel of files whose name has none.")
    z: _Number = Field(1, description="z of files whose name has none.")
    timepoint: _Number = Field(1, description="Timepoint of files whose name has none.")


class WellNumbersBlock(_Model):
    """How wells are numbered through the plate."""

    rows: Annotated[StrictInt, Field(ge=1, le=32)] = Field(description="Rows of the plate.")
    columns: Annotated[StrictInt, Field(ge=1, le=48)] = Field(description="Columns of the plate.")
    order: Literal["rows", "columns"] = Field("rows", description="Whether well 2 is A02 (rows) or B01 (columns).")


class LayoutBlock(_Model):
    """How the file names of a plate are read."""

    pattern: Annotated[StrictStr, AfterValidator(_check_pattern)] = Field(
        description="Regular expression with the groups well (or row and column), field, channel, z and timepoint. It "
        "fits whole file names, or with / the end of paths. Or the name of a preset."
    )
    pixel_size_um: _Length | None = Field(None, description="Size of a pixel in µm; by default what the files say.")
    z_spacing_um: _Length | None = Field(None, description="Distance of z planes in µm; by default what the files say.")
    channels: Annotated[_ChannelNames | None, AfterValidator(_check_channels)] = Field(
        None, description="Names of the channels in order, or a mapping of token to name."
    )
    defaults: LayoutDefaults = LayoutDefaults()
    well_numbers: WellNumbersBlock | None = Field(None, description="Wells are numbered through a plate of this size.")

    @model_validator(mode="after")
    def _numbers_need_the_group(self) -> Self:
        if self.well_numbers is not None and "(?P<well>" not in self.pattern:
            raise ValueError("well_numbers needs a pattern with the group well, which takes the number: (?P<well>…)")
        return self

    def layout(self, name: str) -> Layout:
        """Return the layout under its name."""
        from wellfield.microscopes.presets import PRESETS  # only layouts need the microscopes

        pattern = PRESETS[self.pattern].pattern if self.pattern in PRESETS else self.pattern
        channels: tuple[str, ...] | Mapping[str, str] | None = None
        if isinstance(self.channels, dict):
            channels = {str(token): channel for token, channel in self.channels.items()}
        elif self.channels is not None:
            channels = tuple(self.channels)
        numbers = WellNumbers(**self.well_numbers.model_dump()) if self.well_numbers is not None else None
        defaults = self.defaults.model_dump()
        return Layout(name, pattern, self.pixel_size_um, self.z_spacing_um, channels, defaults, numbers)


# Keys of which an edit reruns nothing; layouts decide how a plate is mapped, which has a digest of its own.
_NOT_DECIDING = {
    *("plates", "results", "layouts", "scratch", "keep_staged", "container"),
    *("memory_margin_mb", "acquisition_minutes", "wells_per_job", "jobs_per_plate"),
}


class Config(_PipelineKeys):
    """Everything that decides what the results are."""

    schema_version: Literal[1] = Field(1, description="Version of this file's layout.")
    plates: TypedPath = Field("config/plates.tsv", description="The plate sheet.")
    results: Annotated[StrictStr, Field(pattern=r"^[^{}]+$"), AfterValidator(typed_path)] = Field(
        "results", description="Folder of the results; never inside a plate folder."
    )
    layouts: dict[LayoutName, LayoutBlock] = Field(
        {}, description="How file names of other microscopes are read: name (for the plate sheet) → layout."
    )
    illumination: Literal["fitted", "microscope"] = Field(
        "fitted",
        description="What correct_illumination corrects by: a fit on planes of the plate, or the flat fields that the "
        "microscope stores with the plate (Opera Phenix).",
    )
    steps: list[StepConfig] = Field(min_length=1, description="The pipeline.")
    scratch: StrictStr | None = Field(
        None,
        description="Folder on the nodes' own disks for what process hands to materialize; both then run as one job. "
        "env:TMPDIR is the value of that variable in the job. By default a folder in the results.",
    )
    keep_staged: StrictBool = Field(
        False,
        description="Keep what process hands to materialize, in .staging of the results. Another format, compression "
        "or layout of images then runs materialize again and not process.",
    )
    wells_per_job: Literal["auto"] | Annotated[StrictInt, Field(ge=1)] = Field(
        "auto",
        description="How many wells share a job, at most. auto: as many as take some ten seconds together, one where "
        "a well takes longer; more on a cluster, where a plate makes at most 100 jobs. Finished wells keep theirs.",
    )
    jobs_per_plate: Annotated[StrictInt, Field(ge=1)] | None = Field(
        None,
        description="How many jobs the wells of a plate make, at most: more wells share a job then.",
    )
    memory_margin_mb: Annotated[StrictInt, Field(ge=0)] = Field(
        600, description="Memory that a well's job needs in addition to its images: Python, libraries, functions."
    )
    acquisition_minutes: Annotated[StrictInt, Field(ge=0)] = Field(
        10, description="Warn that a plate may still be being acquired if it has files younger than this; 0: never."
    )
    container: Annotated[StrictStr, Field(pattern=r"^\S+$")] | None = Field(
        None, description="Container image for jobs with --sdm apptainer: docker://…, or the path of a .sif file."
    )

    @model_validator(mode="after")
    def _nothing_is_kept_in_scratch(self) -> Self:
        if self.keep_staged and self.scratch is not None:
            raise ValueError(
                "keep_staged keeps staged wells in the results, and scratch stages them on the nodes' own disks; "
                "remove one of the two keys"
            )
        return self

    def deciding_results(self) -> dict[str, Any]:
        """Return everything that results depend on: nothing that only says where things are or how jobs run."""
        return self.model_dump(exclude=_NOT_DECIDING)

    def plate_layouts(self) -> dict[str, Layout]:
        """Return the layouts that a plate sheet may name."""
        return {name: block.layout(name) for name, block in self.layouts.items()}

    def given_settings(self) -> dict[str, Any]:
        """Return the settings that the file sets, by dotted name."""
        given = self.model_dump(exclude_unset=True)
        groups = {name.partition(".")[0] for name in SETTINGS if "." in name}
        blocks = {f"{group}.{name}": value for group in groups for name, value in given.get(group, {}).items()}
        return blocks | {name: given[name] for name in SETTINGS if name in given}

    @cached_property
    def settings(self) -> Settings:
        """The settings of the pipeline, resolved."""
        return resolve_settings([("config", self.given_settings())])
