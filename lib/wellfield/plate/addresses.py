"""Addresses of planes that lie in arrays: ``B/2/0/0#[0,1,2]``, an array's folder and the plane's index in it.

The index has a number for every axis before y and x, in the order of the array's axes; the only plane of a 2-D array is
``#[]``. A path without such an ending is the path of a file. ``B/2/0/labels/nuclei/0#background[0,0]`` is a plane of
labels that had no chunk at ingest: it is background and has no object.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A folder with one of these files is a Zarr array, or (zarr.json) a group, which has no chunks.
ARRAY_METADATA = (".zarray", "zarr.json")

_ADDRESS = re.compile(
    r"(?P<array>.+)#(?P<background>background)?\[(?P<index>(?:(?:0|[1-9][0-9]*)(?:,(?:0|[1-9][0-9]*))*)?)\]", re.DOTALL
)


class ArrayPlane(NamedTuple):
    """One plane of an array: the array's folder, relative to the plate folder, and the plane's index *at*.

    A *background* plane may have no chunk; it then has the fill value.
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
    if not path.endswith("]"):  # the expression is slow for 100,000 files
        return None
    match = _ADDRESS.fullmatch(path)
    if match is None:
        return None
    at = tuple(map(int, match["index"].split(","))) if match["index"] else ()
    return ArrayPlane(match["array"], at, bool(match["background"]))
