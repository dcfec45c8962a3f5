"""Calling the functions of a step: with their surroundings kept, and with their results checked."""

from __future__ import annotations

import locale
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, WellfieldError
from wellfield.faults import error_text
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory.stack_check import check_stack
from wellfield.pipeline.array_placement import convert_image, protected
from wellfield.pipeline.parameters import with_footprints
from wellfield.pipeline.plan import Branch, CompiledCall
from wellfield.processing.function_registry import ImageKind


class CallFailed(WellfieldError, RuntimeError):
    """A function raised an error or returned a wrong value; the message says which."""


def run_chain(
    branch: Branch, image: Any, arguments: Sequence[Mapping[str, Any]]
) -> tuple[Any, list[tuple[str, MaterializationSpec | None, Any]]]:
    """Call a chain of functions; return the image and the special outputs, each with name and spec.

    Parameters
    ----------
    image:
        The stack ``[Z, Y, X]`` in the memory type of the first function.
    arguments:
        Of each function, the arguments that its plan lacks: images, special inputs, facts of the plate.

    Raises
    ------
    CallFailed
        A function raised an error or returned a wrong value.
    MemoryError
        The machine or a device has too little memory: the job failed, not the data.
    """
    outputs: list[tuple[str, MaterializationSpec | None, Any]] = []
    for number, (call, own) in enumerate(zip(branch.calls, arguments, strict=True)):
        if number:
            image = convert_image(image, branch.calls[number - 1].returns, call.memory_type)
            if not call.is_registered:
                image = protected(image, call.memory_type, is_needed=bool(outputs))
        image, values = _run(call, image, own)
        outputs += [(name, spec, value) for (name, spec), value in zip(call.outputs, values, strict=True)]
    return image, outputs


def _run(call: CompiledCall, image: Any, arguments: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    params = {**with_footprints(call.params), **arguments}
    name = getattr(call.call, "__name__", str(call.func))
    try:
        with nullcontext() if call.is_registered else kept_surroundings():
            result = _plane_by_plane(call, image, params) if call.planewise else call.call(image, **params)
    except (MemoryError, KeyboardInterrupt):  # of the machine or a device; of the user
        raise
    except WellfieldError as error:
        raise CallFailed(error_text(error)) from error
    except BaseException as error:  # the function is anybody's code: whatever it raises becomes the well's reason
        raise CallFailed(error_text(error, call.call)) from error
    returned, *values = result if isinstance(result, tuple) else (result,)
    if len(values) != len(call.outputs):
        names = ", ".join(name for name, _ in call.outputs) or "none"
        raise CallFailed(
            f"{name}: {len(values)} values came back besides the image; {len(call.outputs)} are declared ({names})"
        )
    _check_kind(name, call.returns, returned)
    return returned, values


def _plane_by_plane(call: CompiledCall, image: Any, params: Mapping[str, Any]) -> Any:
    """Call a function of planes ``[Y, X]``; its extra images go plane by plane too."""
    images = {name: params[name] for name in call.images}
    others = {name: value for name, value in params.items() if name not in images}
    made = []
    for z, plane in enumerate(image):
        own = {name: stack[z if len(stack) == len(image) else 0] for name, stack in images.items()}
        made.append(call.call(plane, **own, **others))
    if wrong := [type(result).__name__ for result in made if np.ndim(result) != 2]:
        raise ArrayShapeError(f"called for each plane [Y, X], it returned {wrong[0]}; expected a plane")
    stack = np.stack(made)
    check_stack(stack, what=f"result of {getattr(call.call, '__name__', 'function')}")
    return stack


def _check_kind(name: str, kind: ImageKind, image: Any) -> None:
    """Refuse an image whose dtype does not fit the kind that the plan expects."""
    dtype = str(image.dtype)
    if kind == ImageKind.LABELS and "int" not in dtype:
        raise CallFailed(f"{name}: expected labels (integers) as its result; it returned {dtype}")
    if kind == ImageKind.MASK and "bool" not in dtype and "uint8" not in dtype:
        raise CallFailed(f"{name}: expected a mask (bool) as its result; it returned {dtype}")


@contextmanager
def kept_surroundings() -> Iterator[None]:
    """Restore what a function changed in its process, so that it cannot affect later steps and logs.

    Restored are the working directory (even if it was renamed), the umask, the environment, the locale, the warning
    filters, NumPy's error state and the logging setup. The seed of random numbers is not restored: every field would
    get the same random numbers, and Wellfield itself does not use the shared generators.
    """
    folder = _open_working_directory()
    mask = os.umask(0)
    os.umask(mask)
    environment = os.environ.copy()
    region = locale.setlocale(locale.LC_ALL)
    filters = warnings.filters[:]
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    try:
        with np.errstate():
            yield
    finally:
        if folder is not None:
            with suppress(OSError):  # it may not be entered any more
                os.fchdir(folder)
            os.close(folder)
        os.umask(mask)
        if os.environ.copy() != environment:
            os.environ.clear()
            os.environ.update(environment)
        if locale.setlocale(locale.LC_ALL) != region:
            locale.setlocale(locale.LC_ALL, region)
        warnings.filters[:] = filters  # type: ignore[index]
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


def _open_working_directory() -> int | None:
    try:
        return os.open(".", os.O_RDONLY)
    except OSError:  # removed, or not to be listed
        return None
