"""Choose the environment of ``envs/`` for jobs that import what the configuration names."""

from __future__ import annotations

from wellfield.config.models import Config
from wellfield.workflow import resources


def pipeline_environment(config: Config) -> str:
    """Return the name of the environment in which the pipeline is compiled and run.

    ``base`` where all steps are known to run on NumPy. ``libraries`` where they run on other array libraries or may do
    so, as functions of the user's own. On a GPU ``gpu`` or, with TensorFlow, whose CUDA is older than PyTorch's,
    ``gpu_tensorflow``; the two together have none, and get ``gpu``.
    """
    named = resources.libraries(config)
    if resources.gpus(config):
        return "gpu_tensorflow" if "tensorflow" in named and "torch" not in named else "gpu"
    return "libraries" if named or resources.names_own_functions(config) else "base"
