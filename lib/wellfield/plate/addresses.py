"""Addresses of planes that lie in arrays: ``B/2/0/0#[0,1,2]``, an array's folder and the plane's index in it.

The index has a number for every axis before y and x, in the order of the array's axes; a 2-D array's only plane is
``#[]``. A path that does not end so is one of a file. ``B/2/0/labels/nuclei/0#background[0,0]`` is a plane of labels
that had no chunk when the plate was mapped: it is background, without an object.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ADDRESS = re.compile(
    r"(?P<array>.+)#(?P<background>background)?\[(?P<index>(?:(?:0|[1-9][0-9]*)(?:,(?:0|[1-9][0-9]*))*)?)\]", re.DOTALL
)


class ArrayPlane(NamedTuple):
    """One plane of an array: the array's folder, relative to the plate folder, and the plane's index *at*.

    A plane that is *background* may have no chunk, and has the fill value then.
    """

    array: str
    at: tuple[int, ...]
    background: bool = False

    @property
    def path(self) -> str:
        """The address: ``B/2/0/0#[0,1,2]``."""
        return f"{self.array}#{'background' * self.background}[{','.join(map(str, self.at))}]"


def parse_array_plane(path: str) -> ArrayPlane | None:
    """Return what an address stands for, ``None`` for the path of a file; the inverse of :attr:`ArrayPlane.path`."""
    if not path.endswith("]"):  # spares 100,000 files the expression
        return None
    match = _ADDRESS.fullmatch(path)
    if match is None:
        return None
    at = tuple(map(int, match["index"].split(","))) if match["index"] else ()
    return ArrayPlane(match["array"], at, bool(match["background"]))
