"""Typed models of ``config/config.yaml``. The JSON schemas in ``config/schemas`` are generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

CONFIG_SCHEMA_VERSION = 1

Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None
Value = Scalar | list[Any] | dict[str, Any]


Library = Literal["numpy", "cupy", "torch", "tensorflow", "jax", "pyclesperanto"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepConfig(_Model):
    """One step of the pipeline."""

    name: Name | None = Field(None, description="Name of the step; that of the function by default.")
    func: StrictStr = Field(description="Registered function (`wellfield functions`) or package.module:function.")
    input: StrictStr = Field("previous", description="previous, start (the plate's images) or the name of a step.")
    inputs: dict[str, StrictStr] = Field({}, description="Further images: parameter → name of an earlier step.")
    channels: list[StrictInt | StrictStr] | None = Field(
        None, min_length=1, description="Channels by number or name; all that the input has by default."
    )
    stack: Literal["z", "channel"] = Field("z", description="What the first axis of the function's stack runs over.")
    params: dict[str, Value] = Field({}, description="Arguments of the function.")
    memory_type: Library | None = Field(
        None, description="Array library; by default as `memory_type` of all steps says."
    )
    materialize: StrictBool | list[Literal["zarr", "tiff"]] = Field(
        False, description="Whether the step's images are written, in the layout of `storage`; a list names formats."
    )


class ZarrBlock(_Model):
    """Settings of plate.zarr."""

    compressor: Literal["zstd", "lz4", "none"] = Field("zstd", description="Codec (Blosc with bit shuffle) of pixels.")
    compression_level: Annotated[StrictInt, Field(ge=0, le=9)] = Field(1, description="Level of the codec.")
    ngff_version: Literal["0.5", "0.4"] = Field(
        "0.5", description="Version of the OME-Zarr text: 0.5 on Zarr v3, 0.4 on Zarr v2, which has no shards."
    )


class TiffBlock(_Model):
    """Settings of TIFF files."""

    compression: Literal["none", "zlib", "zstd", "lzw"] = Field("none", description="Lossless codec of the pixels.")


class StorageBlock(_Model):
    """How results are stored."""

    layout: Literal["field", "well", "file", "tiff"] = Field(
        "field",
        description="Images as an OME-Zarr image per field (field), one array per well in one object (well) or in an "
        "object per plane (file), or a TIFF per plane (tiff).",
    )
    zarr: ZarrBlock = ZarrBlock()
    tiff: TiffBlock = TiffBlock()


class Config(_Model):
    """Everything that decides what the results are."""

    schema_version: Literal[1] = Field(1, description="Version of this file's layout.")
    plates: StrictStr = Field("config/plates.tsv", description="The plate sheet.")
    results: Annotated[StrictStr, Field(pattern=r"^[^{}]+$")] = Field(
        "results", description="Folder of the results; never inside a plate folder."
    )
    source: Literal["planes", "projection", "planes_or_projection"] = Field(
        "planes_or_projection",
        description="What the pipeline starts from; by default a channel that has only a projection starts from that.",
    )
    memory_type: Library | None = Field(
        None,
        description="Array library of every step that names none and whose function has an implementation for it; by "
        "default a step stays with the library of its input if it can.",
    )
    device: Literal["cpu", "gpu"] = Field(
        "cpu", description="Where steps of other libraries than NumPy run; cupy needs gpu."
    )
    steps: list[StepConfig] = Field(min_length=1, description="The pipeline.")
    storage: StorageBlock = StorageBlock()
    on_unreadable: Literal["fail", "skip_field", "blank"] = Field(
        "fail", description="A plane that cannot be read: fail the well, leave out the field, or use black pixels."
    )
    on_missing: Literal["use_present", "skip_field", "fail"] = Field(
        "use_present", description="A plane that is not there: go on without it, leave out the field, or fail the well."
    )
    memory_margin_mb: Annotated[StrictInt, Field(ge=0)] = Field(
        600, description="Memory of a well job beside its images: Python, libraries, scratch of the functions."
    )
