"""Pipelines: steps and contracts, compiled and checked before anything runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wellfield.pipeline.compile import compile_pipeline
    from wellfield.pipeline.contracts import special_inputs, special_outputs
    from wellfield.pipeline.run import PipelineResult, run_pipeline
    from wellfield.pipeline.settings import (
        GlobalPipelineConfig,
        PipelineConfig,
        StepMaterializationConfig,
        TiffConfig,
        VFSConfig,
    )
    from wellfield.pipeline.step import FunctionStep, load_steps

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
    "FunctionStep": "step",
    "GlobalPipelineConfig": "settings",
    "PipelineConfig": "settings",
    "StepMaterializationConfig": "settings",
    "TiffConfig": "settings",
    "VFSConfig": "settings",
    "PipelineResult": "run",
    "compile_pipeline": "compile",
    "load_steps": "step",
    "run_pipeline": "run",
    "special_inputs": "contracts",
    "special_outputs": "contracts",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: functions that only declare a contract need nothing else."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"wellfield.pipeline.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
