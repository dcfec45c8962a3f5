"""Which memory type an array has, and how it gets into another one."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from wellfield.errors import (
    DeviceMemoryError,
    DeviceNotFoundError,
    MemoryConversionError,
    MemoryTypeError,
    MissingLibraryError,
)
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.base import Adapter
from wellfield.memory.buffers import aligned_empty
from wellfield.memory.devices import target_device
from wellfield.memory.routes import Conversion, choose_route
from wellfield.memory.rules import LIBRARIES, WIDE
from wellfield.memory.types import CPU, Device, MemoryType, Method

_logger = logging.getLogger(__name__)

_types: dict[type, MemoryType] = {}
_counts: Counter[tuple[MemoryType, MemoryType, Method]] = Counter()
_counts_lock = threading.Lock()


def detect_memory_type(data: Any) -> MemoryType:
    """Return the memory type of an array. Imports no library.

    Raises
    ------
    MemoryTypeError
        *data* is no array of a supported library.
    """
    kind = type(data)
    found = _types.get(kind)
    if found is None:
        found = next((name for name, adapter in ADAPTERS.items() if adapter.owns(data)), None)
        if found is None:
            raise MemoryTypeError(
                f"{kind.__module__}.{kind.__qualname__} is no array of a supported memory type "
                f"({', '.join(MemoryType)})"
            )
        _types[kind] = found
    return found


def convert_memory(
    data: Any, source_type: MemoryType | str, target_type: MemoryType | str, gpu_id: int | None = None
) -> Any:
    """Return *data* as an array of *target_type*; the same object if it is one already, on the device asked for.

    Values never change; a dtype changes only by the rules of :mod:`wellfield.memory.rules` (pyclesperanto keeps
    ``bool`` as ``uint8``), and a dtype that the target does not hold is an error. Where the libraries allow, the result
    shares the memory of *data*, as :func:`explain_conversion` tells: what is written into a NumPy array later is then
    seen in the result. Sources that must not change (JAX, TensorFlow, read-only arrays) are never written through a
    result: it is read-only, or a copy. Arrays in another byte order, with backward axes, gaps or a start that the
    target cannot share are copied into one that it can.

    Parameters
    ----------
    data:
        Array of any shape.
    source_type, target_type:
        Names or members of :class:`MemoryType`.
    gpu_id:
        Device of the target library, from 0; ignored for NumPy. Without it the array stays where it is if the target
        library has arrays there, and otherwise goes to that library's default device.

    Raises
    ------
    MemoryConversionError
        *data* is not of *source_type*; the target library is missing, sees no such device or does not hold the dtype
        or shape; every route failed.
    DeviceMemoryError
        The device has no memory left, also after the library's caches were freed.
    """
    source, target = _adapter(source_type), _adapter(target_type)
    return _convert(data, source, target, _explain(data, source, target, gpu_id))


def explain_conversion(
    data: Any, source_type: MemoryType | str, target_type: MemoryType | str, gpu_id: int | None = None
) -> Conversion:
    """Return what :func:`convert_memory` would do with the same arguments, without doing it.

    Raises
    ------
    MemoryConversionError
        *data* is not of *source_type*; the target library is missing or sees no such device. What is refused for its
        dtype or shape is told in the result instead.
    """
    return _explain(data, _adapter(source_type), _adapter(target_type), gpu_id)


def to_device(data: Any, adapter: Adapter, device: Device) -> Any:
    """Return *data* as an array of a library on a device; see :func:`convert_memory`."""
    source = ADAPTERS[detect_memory_type(data)]
    return _convert(data, source, adapter, _route(data, source, adapter, device))


def to_numpy(data: Any) -> Any:
    """Return an array of any library as a NumPy array, sharing host memory where it can."""
    return convert_memory(data, detect_memory_type(data), MemoryType.NUMPY)


def device_of(data: Any) -> Device:
    """Return the device that holds an array."""
    return ADAPTERS[detect_memory_type(data)].device(data)


def prepare(memory_types: Iterable[MemoryType | str], gpu_id: int | None = None) -> None:
    """Import the libraries of *memory_types* and see that each has a device, before work starts.

    Opens OpenCL before TensorFlow is imported: the other order crashes the process.

    Raises
    ------
    MemoryConversionError
        A library is missing or sees no such device.
    """
    wanted = {MemoryType(name) for name in memory_types}
    for memory_type in sorted(wanted, key=lambda name: name != MemoryType.PYCLESPERANTO):
        adapter = ADAPTERS[memory_type]
        try:
            adapter.require()
            target_device(adapter, gpu_id, CPU)
        except _UNUSABLE as error:
            _raise_unusable(adapter, adapter, error)


@contextmanager
def count_conversions() -> Iterator[Counter[tuple[MemoryType, MemoryType, Method]]]:
    """Count the conversions of this process in the body: by source, target and method; filled when it ends."""
    counted: Counter[tuple[MemoryType, MemoryType, Method]] = Counter()
    with _counts_lock:
        before = _counts.copy()
    try:
        yield counted
    finally:
        with _counts_lock:
            counted.update(_counts - before)


_NOTHING_TO_DO = (Method.SAME_OBJECT,)
_UNUSABLE = (MissingLibraryError, DeviceNotFoundError, MemoryTypeError)


def _adapter(memory_type: MemoryType | str) -> Adapter:
    # A name is equal to its member; what is neither gets an error that says what is allowed.
    return ADAPTERS.get(memory_type) or ADAPTERS[MemoryType(memory_type)]  # type: ignore[arg-type]


def _explain(data: Any, source: Adapter, target: Adapter, gpu_id: int | None) -> Conversion:
    found = _types.get(type(data)) or detect_memory_type(data)
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


def _convert(data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    if conversion.copies == 0 and conversion.methods[:1] == _NOTHING_TO_DO:
        return data
    names = str(source.memory_type), str(target.memory_type)
    if conversion.refusal:
        raise MemoryConversionError(*names, *conversion.refusal)
    reasons = []
    for method in conversion.methods:
        try:
            result = _run(method, data, source, target, conversion)
        except Exception as error:  # each library fails in its own way, and the next route may go
            if source.is_out_of_memory(error) or target.is_out_of_memory(error):
                result = _again(method, data, source, target, conversion)
            else:
                _logger.info("%s → %s via %s failed: %s", *names, method, error)
                reasons.append((method, error))
                continue
        if detect_memory_type(result) is not target.memory_type or target.dtype(result) != conversion.target_dtype:
            _raise_changed(result, conversion, method)
        with _counts_lock:
            _counts[conversion.source_type, conversion.target_type, method] += 1
        return result
    method, last = reasons[-1]
    text = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in reasons)
    raise MemoryConversionError(*names, str(method), text) from last


def _run(method: Method, data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    device = conversion.target_device
    if method is Method.SAME_BUFFER:
        return source.to_host(data) if target.memory_type == MemoryType.NUMPY else target.share(data)
    if method is Method.DEVICE_MOVE:
        return source.move(data, device)
    if method is Method.HOST_COPY:
        if device != CPU:
            return target.upload(source.to_host(data), device)
        buffer = aligned_empty(tuple(data.shape), conversion.source_dtype)
        source.read_into(data, buffer)
        return target.share(buffer)
    copied_after = conversion.copies > 0 and not LIBRARIES[target.memory_type].immutable
    if conversion.copies and not copied_after:
        data = source.copy(data)
    shared = target.from_dlpack(source.for_dlpack(data)) if method is Method.DLPACK else target.from_cuda_array(data)
    return target.copy(shared) if copied_after else shared


def _again(method: Method, data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    """Try once more after the caches were freed."""
    _logger.warning("%s has no memory left on %s; freeing its caches", target.memory_type, conversion.target_device)
    for adapter in {source, target}:
        if adapter.loaded() is not None:
            adapter.free_caches()
    try:
        return _run(method, data, source, target, conversion)
    except Exception as error:  # whatever it is now, the device is the reason
        what = f"conversion {source.memory_type} → {target.memory_type}"
        raise DeviceMemoryError(what, tuple(data.shape), str(conversion.target_device)) from error


def _raise_changed(result: Any, conversion: Conversion, method: Method) -> NoReturn:
    """Report that a library has changed the dtype or the type on the way."""
    reason = f"{conversion.source_dtype} became a {type(result).__name__}, {getattr(result, 'dtype', 'no array')}"
    raise MemoryConversionError(str(conversion.source_type), str(conversion.target_type), str(method), reason)
