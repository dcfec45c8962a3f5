"""Settings in levels: the innermost that says something decides, and what it was is kept."""

import pytest

from tests.unit.pipeline.steps import compiled, mistakes
from wellfield.config.settings import DEFAULT, resolve_settings
from wellfield.errors import ConfigError
from wellfield.pipeline import (
    FunctionStep,
    GlobalPipelineConfig,
    PipelineConfig,
    StepMaterializationConfig,
    TiffConfig,
    VFSConfig,
)
from wellfield.storage import ZarrChunkStrategy, ZarrCompressor, ZarrConfig

GLOBAL = GlobalPipelineConfig(
    memory_type="torch",
    vfs=VFSConfig(materialization_backend="zarr", intermediate_backend="disk"),
    zarr=ZarrConfig(compressor=ZarrCompressor.LZ4),
)
PIPELINE = PipelineConfig(on_missing="fail", vfs=VFSConfig(intermediate_backend="memory"))


def test_without_any_level_the_defaults_hold():
    settings = resolve_settings([])
    assert settings.vfs == VFSConfig(None, "memory", "zarr")
    assert settings.zarr == ZarrConfig(ZarrChunkStrategy.FIELD)
    assert set(settings.origins.values()) == {DEFAULT}


def test_a_pipeline_overrides_what_it_names_and_inherits_the_rest():
    settings = resolve_settings([("pipeline", PIPELINE), ("global", GLOBAL)])
    assert (settings.on_missing, settings.memory_type) == ("fail", "torch")
    assert settings.vfs == VFSConfig(None, "memory", "zarr")
    assert settings.zarr.compressor == ZarrCompressor.LZ4
    assert settings.device == "cpu"
    origins = {
        name: settings.origins[name] for name in ("on_missing", "vfs.intermediate_backend", "memory_type", "device")
    }
    assert origins == {
        "on_missing": "pipeline",
        "vfs.intermediate_backend": "pipeline",
        "memory_type": "global",
        "device": DEFAULT,
    }


def test_the_values_of_a_file_go_by_their_dotted_names():
    settings = resolve_settings([("file", {"zarr.chunk_strategy": "field", "tiff.compression": "zstd"})])
    assert settings.zarr.chunk_strategy == ZarrChunkStrategy.FIELD
    assert settings.tiff == TiffConfig("zstd")
    assert settings.tiff == resolve_settings([("x", PipelineConfig(tiff=TiffConfig("zstd")))]).tiff


@pytest.mark.parametrize(
    ("level", "part"),
    [
        (PipelineConfig(on_missing="ignore"), "mine: on_missing is 'ignore'; expected one of use_present, skip_field"),
        (
            PipelineConfig(vfs=VFSConfig(intermediate_backend="zarr")),
            "vfs.intermediate_backend is 'zarr'; expected one of",
        ),
        ({"zarr.codec": "zstd"}, "mine: no setting is named 'zarr.codec'"),
        ({"zarr.compression_level": 30}, "compression_level is 30"),
    ],
)
def test_what_is_not_allowed_names_the_level_and_what_is(level, part):
    with pytest.raises(ConfigError) as caught:
        resolve_settings([("mine", level)])
    assert part in str(caught.value)


def test_a_pipeline_is_compiled_with_both_levels():
    step = FunctionStep("max_projection", materialize=True)
    to_files = {"vfs.materialization_backend": "disk"}
    assert compiled(step, config=to_files).steps[0].materialize == ("tiff",)
    plan = compiled(step, config=PIPELINE, global_config=GLOBAL)
    assert plan.steps[0].materialize == ("zarr",)
    assert plan.libraries == ("torch",)


def test_the_folder_of_a_step_is_its_own_or_lies_in_that_of_all_steps():
    own = StepMaterializationConfig(sub_dir="own")
    steps = [
        FunctionStep("max_projection", name="a", materialize=["tiff"]),
        FunctionStep("gaussian_filter", name="b", materialize=["tiff"], step_materialization_config=own),
    ]
    assert [step.sub_dir for step in compiled(*steps).steps] == ["a", "own"]
    plan = compiled(*steps, config={"step_materialization.sub_dir": "checked"})
    assert [step.sub_dir for step in plan.steps] == ["checked/a", "own"]
    steps[0].step_materialization_config = StepMaterializationConfig(sub_dir="../up")
    assert "sub_dir is '../up'; expected a name" in mistakes(*steps)
