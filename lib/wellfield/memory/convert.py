"""Convert arrays from one memory type to another, and explain a conversion without doing it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from wellfield.errors import DeviceNotFoundError, MemoryConversionError, MemoryTypeError, MissingLibraryError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.detect import detect_memory_type
from wellfield.memory.devices import target_device
from wellfield.memory.routes import Conversion, choose_route
from wellfield.memory.rules import LIBRARIES, WIDE, rules_of
from wellfield.memory.transfer import carry_out
from wellfield.memory.types import CPU, Device, MemoryType

_UNUSABLE = (MissingLibraryError, DeviceNotFoundError, MemoryTypeError)


def convert_memory(
    data: Any, source_type: MemoryType | str, target_type: MemoryType | str, gpu_id: int | None = None
) -> Any:
    """Return *data* as an array of *target_type*; the same object if it already is one on the requested device.

    Values never change. A dtype changes only by the rules of :mod:`wellfield.memory.rules` (pyclesperanto keeps
    ``bool`` as ``uint8``); a dtype that the target cannot hold is an error.

    If the libraries allow it, the result shares the memory of *data* (:func:`explain_conversion` says so): a later
    write to a NumPy array is then visible in the result. A result never modifies a source that must not change (JAX,
    TensorFlow, read-only arrays): it is read-only or a copy. Arrays that the target cannot share (another byte order,
    backward axes, gaps, a start at the wrong address) are copied into a buffer that it can share.

    Parameters
    ----------
    data:
        Array of any shape.
    source_type, target_type:
        Names or members of :class:`MemoryType`.
    gpu_id:
        Device of the target library, from 0; ignored for NumPy. Without it, the device of the thread is used
        (:func:`use_gpu`, :func:`use_cpu`); else the array stays on its device if the target library has arrays there,
        and goes to that library's default device if not.

    Raises
    ------
    MemoryConversionError
        *data* is not of *source_type*; the target library is missing, does not see the device, or cannot hold the
        dtype or shape; every route failed.
    DeviceMemoryError
        The device has no memory left, even after the libraries' caches were freed.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((1, 4, 5), np.uint16)
    >>> convert_memory(image, "numpy", "numpy") is image
    True
    """
    source, target = _adapter(source_type), _adapter(target_type)
    return carry_out(data, source, target, _explain(data, source, target, gpu_id))


def explain_conversion(
    data: Any, source_type: MemoryType | str, target_type: MemoryType | str, gpu_id: int | None = None
) -> Conversion:
    """Return what :func:`convert_memory` would do with the same arguments, without doing it.

    Raises
    ------
    MemoryConversionError
        *data* is not of *source_type*; the target library is missing or does not see the device. If the dtype or shape
        is refused, no error is raised: the result's ``refusal`` says why.

    Examples
    --------
    >>> import numpy as np
    >>> print(explain_conversion(np.zeros((1, 4, 5), np.uint16), "numpy", "numpy"))
    numpy uint16 → numpy by same object (shared)
    """
    return _explain(data, _adapter(source_type), _adapter(target_type), gpu_id)


def to_device(data: Any, adapter: Adapter, device: Device) -> Any:
    """Return *data* as an array of a library on a device; see :func:`convert_memory`."""
    source = ADAPTERS[detect_memory_type(data)]
    return carry_out(data, source, adapter, _route(data, source, adapter, device))


def to_numpy(data: Any) -> Any:
    """Return an array of any library as a NumPy array that shares its memory if possible."""
    return convert_memory(data, detect_memory_type(data), MemoryType.NUMPY)


def device_of(data: Any) -> Device:
    """Return the device that holds an array."""
    return ADAPTERS[detect_memory_type(data)].device(data)


def prepare(memory_types: Iterable[MemoryType | str], gpu_id: int | None = None) -> None:
    """Import the libraries of *memory_types* and check that each has a device, before work starts.

    OpenCL is opened before TensorFlow is imported: the other order crashes the process.

    Raises
    ------
    MemoryConversionError
        A library is missing or does not see the device.
    """
    wanted = {MemoryType(name) for name in memory_types}
    for memory_type in sorted(wanted, key=lambda name: name != MemoryType.PYCLESPERANTO):
        adapter = ADAPTERS[memory_type]
        try:
            adapter.require()
            target_device(adapter, gpu_id, CPU)
        except _UNUSABLE as error:
            _raise_unusable(adapter, adapter, error)


def holds(adapter: Adapter, dtype: str, device: Device) -> bool:
    """Tell whether a library can hold a dtype on a device."""
    x64 = dtype in WIDE and adapter.memory_type == MemoryType.JAX and _keeps_64_bits(adapter)
    return dtype in rules_of(adapter.memory_type, device, x64=x64).dtypes


def _adapter(memory_type: MemoryType | str) -> Adapter:
    # A plain string finds its member: the two are equal. Any other value raises an error with the allowed names.
    return ADAPTERS.get(memory_type) or ADAPTERS[MemoryType(memory_type)]  # type: ignore[arg-type]


def _explain(data: Any, source: Adapter, target: Adapter, gpu_id: int | None) -> Conversion:
    found = detect_memory_type(data)
    if found != source.memory_type:
        raise MemoryConversionError(
            str(source.memory_type), str(target.memory_type), "detection", f"the array is of type {found}"
        )
    return _route(data, source, target, gpu_id)


def _route(data: Any, source: Adapter, target: Adapter, place: int | Device | None) -> Conversion:
    try:
        target.require()
        facts = source.facts(data, alignment=LIBRARIES[target.memory_type].alignment > 1)
        device = place if isinstance(place, Device) else target_device(target, place, facts.device)
        x64 = facts.dtype in WIDE and target.memory_type == MemoryType.JAX and _keeps_64_bits(target)
    except _UNUSABLE as error:
        _raise_unusable(source, target, error)
    return choose_route(source.memory_type, target.memory_type, facts, device, x64)


def _raise_unusable(source: Adapter, target: Adapter, error: Exception) -> NoReturn:
    method = {MissingLibraryError: "import", DeviceNotFoundError: "device"}.get(type(error), "detection")
    names = str(source.memory_type), str(target.memory_type)
    raise MemoryConversionError(*names, method, str(error)) from error


def _keeps_64_bits(target: Adapter) -> bool:
    return bool(target.library().config.jax_enable_x64)
