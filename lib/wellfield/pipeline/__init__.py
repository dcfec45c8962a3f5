"""Pipelines: steps and contracts, compiled and checked before anything runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellfield.config.settings import (
        GlobalPipelineConfig,
        PipelineConfig,
        StepMaterializationConfig,
        TiffConfig,
        VFSConfig,
    )
    from wellfield.pipeline.api import PipelineResult, run_pipeline
    from wellfield.pipeline.compile import compile_pipeline
    from wellfield.pipeline.step import FunctionStep, load_steps
    from wellfield.processing.declarations import special_inputs, special_outputs

__all__ = [
    "FunctionStep",
    "GlobalPipelineConfig",
    "PipelineConfig",
    "PipelineResult",
    "StepMaterializationConfig",
    "TiffConfig",
    "VFSConfig",
    "compile_pipeline",
    "load_steps",
    "run_pipeline",
    "special_inputs",
    "special_outputs",
]

_LAZY = {
    "FunctionStep": "pipeline.step",
    "GlobalPipelineConfig": "config.settings",
    "PipelineConfig": "config.settings",
    "StepMaterializationConfig": "config.settings",
    "TiffConfig": "config.settings",
    "VFSConfig": "config.settings",
    "PipelineResult": "pipeline.api",
    "compile_pipeline": "pipeline.compile",
    "load_steps": "pipeline.step",
    "run_pipeline": "pipeline.api",
    "special_inputs": "processing.declarations",
    "special_outputs": "processing.declarations",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: functions that only declare a contract need nothing else."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"wellfield.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
