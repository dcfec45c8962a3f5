"""Dataclasses as JSON values: what comes back is what went in, and anything else is an error with its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from wellfield.formats.dataclass_json import NOT_STORED, DataclassJson


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    size: float | None = None
    z: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    colour: Colour = Colour.RED
    inner: Inner = Inner()
    by_number: Mapping[int, Inner] = field(default_factory=lambda: {3: Inner(0.5)})
    pair: tuple[str, Inner | None] = ("a", None)
    anything: Mapping[str, Any] = field(default_factory=dict)
    function: Any = field(default=None, metadata=NOT_STORED)


JSON = DataclassJson({})


def stored(value):
    return json.loads(json.dumps(JSON.encode(value)))


def test_what_was_stored_comes_back_with_its_types():
    outer = Outer(inner=Inner(2.5, ()), pair=("b", Inner()), anything={"sigma": [1, {"a": None}]}, function=print)
    back = JSON.decode(Outer, stored(outer))
    assert back == Outer(inner=Inner(2.5, ()), pair=("b", Inner()), anything={"sigma": [1, {"a": None}]})
    assert type(back.colour) is Colour
    assert "function" not in stored(outer)


def test_an_array_keeps_its_dtype():
    kernel = np.array([[1, 2]], np.uint8)
    back = JSON.decode(Outer, stored(Outer(anything={"kernel": kernel, "number": np.float32(2)}))).anything
    assert (back["kernel"].dtype, back["kernel"].tolist(), back["number"]) == ("uint8", [[1, 2]], 2.0)


def test_a_class_may_have_values_of_its_own():
    special = DataclassJson({Inner: (lambda inner: inner.size, Inner)})
    outer = Outer(inner=Inner(7.0))
    assert special.encode(outer)["inner"] == 7.0
    assert special.decode(Outer, special.encode(outer)) == outer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"size": "x", "z": []}}, 'inner.size is "x"; expected a number'),
        ({"inner": {"size": 1, "z": [1, True]}}, "inner.z[1] is true; expected a whole number"),
        ({"inner": {"size": 1}}, "inner has no 'z'"),
        ({"by_number": {"3": []}}, "by_number.3 is a list of 0; expected an object"),
        ({"colour": "blue"}, "'blue' is not a valid Colour"),
        ({"pair": ["a"]}, "pair has 1 entries; expected 2"),
        ({"odd": 1}, "the content has 'odd', which is not known"),
    ],
)
def test_anything_else_is_an_error_that_says_where(change, message):
    with pytest.raises(ValueError) as caught:
        JSON.decode(Outer, stored(Outer()) | change)
    assert message in str(caught.value)
