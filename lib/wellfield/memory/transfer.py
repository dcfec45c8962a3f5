"""Carry out a conversion: try its routes one after the other, and count the conversions."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wellfield.errors import DeviceMemoryError, MemoryConversionError
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.buffers import aligned_empty
from wellfield.memory.cleanup import free_caches
from wellfield.memory.detect import known_type
from wellfield.memory.routes import Conversion
from wellfield.memory.rules import LIBRARIES
from wellfield.memory.types import CPU, DeviceKind, MemoryType, Method

_logger = logging.getLogger(__name__)

_counts: Counter[tuple[MemoryType, MemoryType, Method]] = Counter()
_counts_lock = threading.Lock()

_NOTHING_TO_DO = (Method.SAME_OBJECT,)


@contextmanager
def count_conversions() -> Iterator[Counter[tuple[MemoryType, MemoryType, Method]]]:
    """Count the conversions that this process makes in the body, by source, target and method.

    The counter is filled when the body ends.
    """
    counted: Counter[tuple[MemoryType, MemoryType, Method]] = Counter()
    with _counts_lock:
        before = _counts.copy()
    try:
        yield counted
    finally:
        with _counts_lock:
            counted.update(_counts - before)


def carry_out(data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    """Return *data* converted as *conversion* says; if a route fails, try the next one.

    Raises
    ------
    MemoryConversionError
        The conversion is refused, every route failed, or a library changed the array during the conversion.
    DeviceMemoryError
        No memory is left, even after caches were freed.
    """
    if conversion.methods == _NOTHING_TO_DO:
        return data
    if conversion.refusal:
        raise MemoryConversionError(str(source.memory_type), str(target.memory_type), *conversion.refusal)
    failures: list[tuple[Method, Exception]] = []
    for method in conversion.methods:
        try:
            result = _with_room(method, data, source, target, conversion)
        except DeviceMemoryError:
            raise
        except Exception as error:  # each library raises its own errors, and the next route may work
            _logger.info("%s → %s via %s failed: %s", source.memory_type, target.memory_type, method, error)
            failures.append((method, error))
            continue
        if reason := _changed(result, target, conversion):
            raise MemoryConversionError(str(source.memory_type), str(target.memory_type), str(method), reason)
        with _counts_lock:
            _counts[conversion.source_type, conversion.target_type, method] += 1
        return result
    method, last = failures[-1]
    text = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failures)
    raise MemoryConversionError(str(source.memory_type), str(target.memory_type), str(method), text) from last


def _with_room(method: Method, data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    """Take one route; if no memory is left, free caches and take it once more."""
    try:
        return _take(method, data, source, target, conversion)
    except Exception as error:  # raised again, unless it means that memory is short
        adapters = {source, target}
        if not any(adapter.is_out_of_memory(error) for adapter in adapters):
            raise
    _logger.warning("%s has no memory left on %s; freeing its caches", target.memory_type, conversion.target_device)
    for adapter in adapters:
        free_caches(adapter)
    try:
        return _take(method, data, source, target, conversion)
    except Exception as error:  # as above
        if not any(adapter.is_out_of_memory(error) for adapter in adapters):
            raise
        what = f"conversion {source.memory_type} → {target.memory_type}"
        raise DeviceMemoryError(what, tuple(data.shape), str(conversion.target_device)) from error


def _take(method: Method, data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
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
    if device.kind == DeviceKind.CPU:
        return _exchange(method, data, source, target, conversion)
    with source.scope(device, None), target.scope(device, None):
        if MemoryType.TENSORFLOW in (source.memory_type, target.memory_type):
            source.wait(data)  # TensorFlow does not exchange streams with other libraries
        return _exchange(method, data, source, target, conversion)


def _exchange(method: Method, data: Any, source: Adapter, target: Adapter, conversion: Conversion) -> Any:
    """Share the memory by a protocol; if a copy is needed, copy after sharing, or before for an immutable target."""
    copied_after = conversion.copies > 0 and not LIBRARIES[target.memory_type].immutable
    if conversion.copies and not copied_after:
        data = source.copy(data)
    if method is Method.DLPACK:
        shared = target.from_dlpack(source.for_dlpack(data))
    else:
        shared = target.from_cuda_array(data, conversion.target_device)
    return target.copy(shared) if copied_after else shared


def _changed(result: Any, target: Adapter, conversion: Conversion) -> str:
    """Return what a library has changed during the conversion; an empty string if the result is as expected."""
    found = known_type(result)
    if found is not target.memory_type or target.dtype(result) != conversion.target_dtype:
        what = f"a {type(result).__name__}, {getattr(result, 'dtype', 'no array')}"
        return f"{conversion.source_dtype} became {what}; expected {conversion.target_dtype}"
    if conversion.target_device != CPU and target.device(result) != conversion.target_device:
        return f"the result is on {target.device(result)}; expected {conversion.target_device}"
    return ""
