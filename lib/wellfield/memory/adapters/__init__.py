"""One module per array library; only the module of a library may import it."""

from __future__ import annotations

from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.adapters.cupy_adapter import CupyAdapter
from wellfield.memory.adapters.jax_adapter import JaxAdapter
from wellfield.memory.adapters.numpy_adapter import NumpyAdapter
from wellfield.memory.adapters.pyclesperanto_adapter import PyclesperantoAdapter
from wellfield.memory.adapters.tensorflow_adapter import TensorflowAdapter
from wellfield.memory.adapters.torch_adapter import TorchAdapter
from wellfield.memory.types import MemoryType

ADAPTERS: dict[MemoryType, Adapter] = {
    adapter.memory_type: adapter
    for adapter in (
        NumpyAdapter(),
        CupyAdapter(),
        TorchAdapter(),
        TensorflowAdapter(),
        JaxAdapter(),
        PyclesperantoAdapter(),
    )
}
