"""What happens when a device has no memory left: up to four steps, one after the other. Each retry is logged.

1. Free the library's caches and try again.
2. Try smaller pieces along z, if the function treats each plane separately.
3. Try on the CPU, if the function allows it and its library has arrays there.
4. Raise :class:`~wellfield.errors.DeviceMemoryError`.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

from wellfield.errors import DeviceMemoryError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.cleanup import free_caches
from wellfield.memory.convert import to_numpy
from wellfield.memory.detect import detect_memory_type
from wellfield.memory.devices import use_cpu
from wellfield.memory.types import CPU, Device, DeviceKind

_logger = logging.getLogger(__name__)

# Converts an image and runs the function on it.
Attempt = Callable[[Any], Any]


def recover(
    error: BaseException,
    attempt: Attempt,
    image: Any,
    *,
    name: str,
    adapter: Adapter,
    output: Adapter,
    is_short: Callable[[BaseException], bool],
    device: Device,
    slice_wise: bool,
    cpu_fallback: bool,
) -> Any:
    """Try the steps one after the other after *error*, which said that no memory is left; return the result.

    Raises
    ------
    DeviceMemoryError
        There was too little memory in every step.
    """
    shape = tuple(image.shape)
    rungs: list[tuple[str, Callable[[], Any]]] = [("its caches freed", lambda: attempt(image))]
    if slice_wise and shape[0] > 1:
        rungs.append(
            (
                "smaller pieces along z",
                lambda: _in_pieces(attempt, image, adapter=adapter, output=output, is_short=is_short, device=device),
            )
        )
    if cpu_fallback and device != CPU and DeviceKind.CPU in adapter.kinds:
        rungs.append(("the CPU", lambda: _on_cpu(attempt, image)))
    for what, run in rungs:
        _logger.warning("%s: no memory left on %s for shape %s; trying again with %s", name, device, shape, what)
        error.__traceback__ = None  # its frames hold the arrays of the failed call
        _free(adapter, device)
        try:
            return run()
        except Exception as again:  # only an error that means "memory is short" leads to the next step
            if not is_short(again):
                raise
            error = again
    _free(adapter, device)
    raise DeviceMemoryError(name, shape, str(device)) from error


def _in_pieces(
    attempt: Attempt,
    image: Any,
    *,
    adapter: Adapter,
    output: Adapter,
    is_short: Callable[[BaseException], bool],
    device: Device,
) -> Any:
    """Run on both halves, halve a piece that fails again, down to single planes; join the results.

    Side results of pieces cannot be joined: this step then fails.
    """
    results = []
    if not ADAPTERS[detect_memory_type(image)].sliceable:
        image = to_numpy(image)
    pending = [image[len(image) // 2 :], image[: len(image) // 2]]
    while pending:
        piece = pending.pop()
        try:
            result = attempt(piece)
        except Exception as error:  # raised again, unless smaller pieces may help
            if len(piece) == 1 or not is_short(error):
                raise
            error.__traceback__ = None
            _free(adapter, device)
            pending += [piece[len(piece) // 2 :], piece[: len(piece) // 2]]
            continue
        if isinstance(result, tuple):
            raise MemoryError("side results of pieces cannot be joined")
        results.append(result)
    return output.concatenate(results)


def _on_cpu(attempt: Attempt, image: Any) -> Any:
    with use_cpu():
        return attempt(image)


def _free(adapter: Adapter, device: Device) -> None:
    gc.collect()
    free_caches(adapter, device)
