"""Decorators that declare which array library a function works on.

A decorated function takes and returns stacks ``[Z, Y, X]``; one plane is ``[1, Y, X]``. Array arguments are converted
to the declared type before the call. The type and rank of the main result are checked after it.

>>> import numpy as np
>>> @numpy
... def brighter(image, factor=2.0):
...     return image * factor
>>> brighter(np.ones((1, 2, 2), np.uint16)).dtype
dtype('float64')
>>> @numpy(dtype_policy="preserve")
... def brighter(image, factor=2.0):
...     return image * factor
>>> brighter(np.ones((1, 2, 2), np.uint16)).dtype
dtype('uint16')
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.convert import convert_memory, device_of, to_device
from wellfield.memory.detect import detect_memory_type, is_array_argument, known_type
from wellfield.memory.devices import target_device, working_on
from wellfield.memory.dtype_policy import DtypePolicy, check_compute_dtype, preserve_dtype, promote
from wellfield.memory.oom import recover
from wellfield.memory.stack_check import check_stack
from wellfield.memory.types import Device, DeviceKind, MemoryType

F = TypeVar("F", bound=Callable[..., Any])

Library = Literal["maintained", "prototype"]
_PROTOTYPE_MODULE = "pyclesperanto_prototype"


class Options(TypedDict, total=False):
    """Options of every decorator; see :func:`memory_types`."""

    oom_recovery: bool
    dtype_policy: DtypePolicy | str
    compute_dtype: str | None
    slice_wise: bool
    cpu_fallback: bool
    library: Library | None


def memory_types(
    *,
    input_type: MemoryType | str,
    output_type: MemoryType | str,
    oom_recovery: bool | None = None,
    dtype_policy: DtypePolicy | str = DtypePolicy.NATIVE,
    compute_dtype: str | None = None,
    slice_wise: bool = False,
    cpu_fallback: bool = False,
    library: Library | None = None,
) -> Callable[[F], F]:
    """Declare which array library a function takes and which it returns.

    Every array argument of a known library is converted to *input_type*; other arguments are passed on unchanged. If
    the function returns a tuple, the image is its first item; the other items are passed on unchanged. Arrays in host
    memory stay there, unless the thread works on a GPU (:func:`wellfield.memory.use_gpu`). On a CUDA device the
    function runs in its thread's own stream, and new arrays of PyTorch, CuPy, JAX and TensorFlow are made on that
    device. Its work on the device is complete when the call returns.

    Parameters
    ----------
    input_type, output_type:
        Names or members of :class:`MemoryType`.
    oom_recovery:
        If the device has no memory left, try the steps of :mod:`wellfield.memory.oom`. By default this is on, unless
        the function takes and returns NumPy arrays.
    dtype_policy:
        ``"native"`` keeps the dtype that the function returned. ``"preserve"`` returns the dtype of the image: values
        are rounded and clipped, never rescaled.
    compute_dtype:
        The image (no other argument) is promoted to this dtype before the call, for libraries that lack operations on
        integers. The dtype must hold every value of the image's dtype.
    slice_wise:
        The function treats each plane separately (unless it is called with ``volumetric=True``), so a stack may be
        cut into pieces if memory is short.
    cpu_fallback:
        The function may run on the CPU if the GPU has too little memory; results can then differ in the last bits.
    library:
        Only for pyclesperanto: ``"maintained"`` or ``"prototype"``, the package whose arrays the function gets. By
        default the prototype's if the function imports the prototype, else the maintained package's.

    Raises
    ------
    ArrayShapeError
        The first argument or the main result is not ``[Z, Y, X]``.
    MemoryTypeError
        The first argument is not an array, the main result is not of *output_type*, or a dtype would lose values.
    MemoryConversionError
        An argument cannot be converted.
    DeviceMemoryError
        The device has too little memory, even after these steps.
    """
    source, target = MemoryType(input_type), MemoryType(output_type)
    check_compute_dtype(compute_dtype)

    def decorate(function: F) -> F:
        first = _first_parameter(function)
        contract = _Contract(
            function=function,
            name=getattr(function, "__name__", type(function).__name__),
            source=source,
            target=target,
            policy=DtypePolicy(dtype_policy),
            compute_dtype=compute_dtype,
            slice_wise=slice_wise,
            cpu_fallback=cpu_fallback,
            prototype=source == MemoryType.PYCLESPERANTO
            and (library == "prototype" or (library is None and _imports(function, _PROTOTYPE_MODULE))),
        )
        recovers = {source, target} != {MemoryType.NUMPY} if oom_recovery is None else oom_recovery
        call = contract.guarded if recovers else contract.call

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not args and first in kwargs:
                return call(kwargs.pop(first), (), kwargs)
            image, *others = args or (None,)
            return call(image, tuple(others), kwargs)

        wrapper.input_memory_type = source  # type: ignore[attr-defined]
        wrapper.output_memory_type = target  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]

    return decorate


class TypeDecorator:
    """Decorator for one array library: ``@torch``, ``@torch(compute_dtype="float32")``.

    Takes the arguments of :func:`memory_types`; *input_type* and *output_type* default to the library.
    """

    def __init__(self, memory_type: MemoryType) -> None:
        self._memory_type = memory_type

    @overload
    def __call__(self, function: F, /) -> F: ...
    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        input_type: MemoryType | str | None = None,
        output_type: MemoryType | str | None = None,
        **options: Unpack[Options],
    ) -> Callable[[F], F]: ...
    def __call__(
        self,
        function: F | None = None,
        /,
        *,
        input_type: MemoryType | str | None = None,
        output_type: MemoryType | str | None = None,
        **options: Unpack[Options],
    ) -> F | Callable[[F], F]:
        """Decorate a function, or return the decorator with these options."""
        decorate = memory_types(
            input_type=input_type or self._memory_type, output_type=output_type or self._memory_type, **options
        )
        return decorate if function is None else decorate(function)

    def __repr__(self) -> str:
        return f"@{self._memory_type}"


numpy = TypeDecorator(MemoryType.NUMPY)
cupy = TypeDecorator(MemoryType.CUPY)
torch = TypeDecorator(MemoryType.TORCH)
tensorflow = TypeDecorator(MemoryType.TENSORFLOW)
jax = TypeDecorator(MemoryType.JAX)
pyclesperanto = TypeDecorator(MemoryType.PYCLESPERANTO)


@dataclass(frozen=True, slots=True)
class _Contract:
    """A function and its declaration."""

    function: Callable[..., Any]
    name: str
    source: MemoryType
    target: MemoryType
    policy: DtypePolicy
    compute_dtype: str | None
    slice_wise: bool
    cpu_fallback: bool
    prototype: bool

    def call(self, image: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Convert the arguments, run the function, check the result."""
        check_stack(image, what=f"input of {self.name}")
        adapter = ADAPTERS[self.source]
        own = self._converted(image)
        args = tuple(self._converted(value) if is_array_argument(value) else value for value in args)
        kwargs = {n: self._converted(value) if is_array_argument(value) else value for n, value in kwargs.items()}
        if self.source == MemoryType.NUMPY:
            return self._run(own, args, kwargs, image)
        device = adapter.device(own)
        if device.kind == DeviceKind.CPU:
            with adapter.scope(device, None):
                return self._run(own, args, kwargs, image)
        with working_on(adapter, device) as stream:
            result = self._run(own, args, kwargs, image)
            if device.kind == DeviceKind.CUDA:
                adapter.finish(result, device, stream)
        return result

    def guarded(self, image: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do the same as :meth:`call`; if memory is short, try the steps of :mod:`wellfield.memory.oom`."""
        try:
            return self.call(image, args, kwargs)
        except Exception as error:  # every other error is raised again
            if not self._is_short(error):
                raise
            adapter = ADAPTERS[self.source]
            others = any(map(is_array_argument, (*args, *kwargs.values())))
            return recover(
                error,
                lambda piece: self.call(piece, args, kwargs),
                image,
                name=self.name,
                adapter=adapter,
                output=ADAPTERS[self.target],
                is_short=self._is_short,
                device=target_device(adapter, None, device_of(image)),
                slice_wise=self.slice_wise and not kwargs.get("volumetric") and not others,
                cpu_fallback=self.cpu_fallback,
            )

    def _run(self, own: Any, args: tuple[Any, ...], kwargs: dict[str, Any], image: Any) -> Any:
        """Call the function on *own*, the converted image, and check the result; *image* is the caller's."""
        if self.compute_dtype is not None:
            own = promote(own, self.compute_dtype, ADAPTERS[self.source], function=self.name)
        result = self.function(own, *args, **kwargs)
        main, *others = result if isinstance(result, tuple) else (result,)
        found = known_type(main)
        if found != self.target:
            raise MemoryTypeError(f"{self.name} returned {found or type(main).__name__}; it declares {self.target}")
        check_stack(main, what=f"result of {self.name}")
        if self.policy == DtypePolicy.NATIVE:
            return result
        dtype = ADAPTERS[detect_memory_type(image)].dtype(image)
        main = preserve_dtype(main, dtype, ADAPTERS[self.target], function=self.name)
        return (main, *others) if isinstance(result, tuple) else main

    def _converted(self, value: Any) -> Any:
        if self.prototype:
            return to_device(value, ADAPTERS[self.source], Device(DeviceKind.PROTOTYPE))
        return convert_memory(value, detect_memory_type(value), self.source)

    def _is_short(self, error: BaseException) -> bool:
        """Tell whether an error of the input's or the output's library means that memory is short."""
        return any(ADAPTERS[name].is_out_of_memory(error) for name in {self.source, self.target})


def _first_parameter(function: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(function).parameters), "")


def _imports(function: Callable[..., Any], module: str) -> bool:
    """Tell whether a function imports *module* in its body, or uses a global name that refers to *module*."""
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    used = (function.__globals__.get(name) for name in code.co_names)
    return module in code.co_names or any(getattr(value, "__name__", None) == module for value in used)
