"""Pipelines: steps and contracts, compiled and checked before anything runs."""

from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.contracts import special_inputs, special_outputs
from wellfield.pipeline.run import PipelineResult, run_pipeline
from wellfield.pipeline.step import FunctionStep, load_steps

__all__ = [
    "FunctionStep",
    "PipelineResult",
    "compile_pipeline",
    "load_steps",
    "run_pipeline",
    "special_inputs",
    "special_outputs",
]
