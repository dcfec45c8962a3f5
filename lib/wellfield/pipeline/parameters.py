"""Arguments of functions: checked when a pipeline is compiled, completed from the plate."""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from wellfield.formatting import suggest

# Parameters that get a fact of the plate, unless the step sets them.
PLATE_PARAMETERS: Mapping[str, str] = {
    "pixel_size_um": "size of a pixel in µm, None where unknown",
    "image_kind": "what the pixels of the input are: intensity, mask or labels",
    "channel_names": "name of the channel of each plane with stack: channel, else of the one channel",
    "field_numbers": "field of each plane of a stack over fields",
    "stage_positions_um": "[F, 2], x and y of each of these fields, NaN where unknown",
    "flip_y": "whether the stage's y rises towards the top of the images",
    "illumination": "the fitted illumination of the channel",
}

# Names of parameters that take a neighbourhood, and the shapes that may be named for it.
_FOOTPRINT_PARAMETERS = ("footprint", "structure")
FOOTPRINTS = ("disk", "diamond", "ball", "octahedron", "rectangle")


def parameter_names(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """Return the names of a function's parameters after the first, and whether it takes ``**kwargs``."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def check_parameters(function: Callable[..., Any], params: Mapping[str, Any], given: Iterable[str]) -> list[str]:
    """Return the mistakes in *params*: unknown names, missing ones, values of a wrong type.

    *given* are the parameters that get their value elsewhere: extra images, special inputs, facts of the plate.
    """
    name = getattr(function, "__name__", "function")
    known, open_ended = parameter_names(function)
    mistakes = []
    for parameter in params if not open_ended else ():
        if parameter not in known:
            mistakes.append(f"{name} has no parameter {parameter!r}{suggest_and_list(parameter, known)}")
    required = [
        p.name
        for p in list(inspect.signature(function).parameters.values())[1:]
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    for parameter in required:
        if parameter not in params and parameter not in set(given):
            mistakes.append(f"{name} needs the parameter {parameter!r} (under 'params', or 'inputs' for an image)")
    return mistakes + _wrong_types(function, name, params)


def suggest_and_list(wrong: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest of the known ones, and all of them."""
    names = list(known)
    return f"{suggest(wrong, names) or ';'} It has: {', '.join(names) or 'none'}"


def _wrong_types(function: Callable[..., Any], name: str, params: Mapping[str, Any]) -> list[str]:
    """Compare values with the annotations of their parameters, if these can be checked."""
    # The compiler needs pydantic, and no job of a well.
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        hints = typing.get_type_hints(function)
    except Exception:  # annotations are anybody's code
        hints = {}
    mistakes = []
    for parameter, value in params.items():
        if is_named_footprint(parameter, value):
            mistakes += [f"{name}: {text}" for text in _footprint_mistakes(parameter, value)]
        elif parameter in hints and not isinstance(value, np.ndarray):
            plain = value.item() if isinstance(value, np.generic) else value
            try:
                adapter: TypeAdapter[Any] = TypeAdapter(hints[parameter], config=ConfigDict(strict=True))
                adapter.validate_python(plain)
            except ValidationError as error:
                if _is_as_yaml(adapter, plain):
                    continue
                reasons = dict.fromkeys(problem["msg"] for problem in error.errors())
                mistakes.append(f"{name}: {parameter} is {value!r}: {', or '.join(reasons)}")
            except PydanticUserError:
                continue  # an array, or a class of somebody's own
        if isinstance(value, float) and not math.isfinite(value):
            mistakes.append(f"{name}: {parameter} is {value}; expected a finite number")
    return mistakes


def _is_as_yaml(adapter: Any, value: Any) -> bool:
    """Tell whether a value fits as YAML writes it: a list for a tuple, a text for a path or an enum member."""
    from pydantic import ValidationError  # as above

    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError, ValueError):
        return False
    return True


# --- neighbourhoods ----------------------------------------------------------------------------------------------


def is_named_footprint(parameter: str, value: Any) -> bool:
    """Tell whether a value names a neighbourhood, as ``{disk: 3}``."""
    return parameter in _FOOTPRINT_PARAMETERS and isinstance(value, Mapping)


def _footprint_mistakes(parameter: str, value: Mapping[str, Any]) -> list[str]:
    expected = f"expected one of {', '.join(FOOTPRINTS)} with its size in pixels, as {{disk: 3}}"
    if len(value) != 1 or next(iter(value)) not in FOOTPRINTS:
        return [f"{parameter} is {dict(value)!r}; {expected}"]
    [(shape, size)] = value.items()
    sizes = size if shape == "rectangle" and isinstance(size, list) and len(size) in (2, 3) else [size]
    if not all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in sizes):
        return [f"{parameter}: {shape} has size {size!r}; {expected} (rectangle: [rows, columns])"]
    return []


def with_footprints(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments in which each named neighbourhood is its array."""
    return {name: _footprint(value) if is_named_footprint(name, value) else value for name, value in params.items()}


def _footprint(value: Mapping[str, Any]) -> Any:
    from skimage import morphology  # only named neighbourhoods need it

    [(shape, size)] = value.items()
    if shape == "rectangle":
        sizes = tuple(size) if isinstance(size, list) else (size, size)
        return morphology.footprint_rectangle(sizes)  # type: ignore[no-untyped-call]
    return getattr(morphology, shape)(size)


def has_flat_footprint(params: Mapping[str, Any]) -> bool:
    """Tell whether a neighbourhood among the arguments is 2-D."""
    return any(
        np.ndim(value) == 2 if not isinstance(value, Mapping) else not {"ball", "octahedron"} & set(value)
        for name, value in params.items()
        if name in _FOOTPRINT_PARAMETERS and value is not None
    )
