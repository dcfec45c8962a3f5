"""The pixels of all objects of a plane at once. The measurements in this package sum, sort and count them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

# Steps (y, x) to the eight neighbours of a pixel. Each is one bit of a pattern; the first four share a side with it.
NEIGHBOURS = ((-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))
ALL_SIDES = 0b1111


@dataclass(frozen=True)
class ObjectPixels:
    """The pixels of *n* objects; within each object they are in row order.

    Parameters
    ----------
    ids:
        ``[n]``, int64: the ids of the objects in the labels, rising. Item *i* of a result belongs to object ``ids[i]``.
    index:
        ``[pixels]``: the object, 0 to *n* − 1, that each pixel belongs to.
    positions:
        ``[pixels]``: the index of each pixel in the flattened plane.
    shape:
        Rows and columns of the plane.
    """

    ids: _Array
    index: _Array
    positions: _Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, labels: _Array) -> ObjectPixels:
        """Return the objects of labels ``[1, Y, X]``; large ids and gaps between them cost nothing."""
        positions = np.flatnonzero(labels)
        ids, index = np.unique(labels.reshape(-1)[positions], return_inverse=True)
        # 16-bit integers are sorted several times as fast.
        index = index.astype(np.uint16 if ids.size <= 2**16 else np.int32)
        return cls(ids.astype(np.int64), index, positions, labels.shape[1:])

    def __len__(self) -> int:
        return self.ids.size

    @cached_property
    def areas(self) -> _Array:
        """Pixels of each object."""
        return np.bincount(self.index, minlength=len(self)).astype(np.int64, copy=False)

    @cached_property
    def y(self) -> _Array:
        """Row of each pixel."""
        return self.positions // max(self.shape[1], 1)

    @cached_property
    def x(self) -> _Array:
        """Column of each pixel."""
        return self.positions % max(self.shape[1], 1)

    @cached_property
    def by_object(self) -> _Array:
        """Indices that sort the pixels by object; within each object they stay in row order."""
        return np.argsort(self.index, kind="stable")

    @cached_property
    def starts(self) -> _Array:
        """Where each object begins in :attr:`by_object`, and in the result of :meth:`ordered`."""
        return np.cumsum(self.areas) - self.areas

    @cached_property
    def neighbours(self) -> _Array:
        """For each pixel, which of its NEIGHBOURS belong to the same object: one bit each."""
        plane = self.numbered(border=1)
        width, flat = plane.shape[1], plane.reshape(-1)
        places = (self.y + 1) * width + self.x + 1
        own = flat[places]
        patterns = np.zeros(places.size, np.uint8)
        for bit, (dy, dx) in enumerate(NEIGHBOURS):
            patterns |= (flat[places + dy * width + dx] == own).astype(np.uint8) << np.uint8(bit)
        return patterns

    @cached_property
    def edge(self) -> ObjectPixels:
        """The same objects, reduced to pixels with a side towards the outside; the plane's end counts as outside."""
        kept = (self.neighbours & ALL_SIDES) != ALL_SIDES
        return ObjectPixels(self.ids, self.index[kept], self.positions[kept], self.shape)

    def parts(self, size: int) -> Iterator[ObjectPixels]:
        """Yield all objects in groups of about *size* pixels; without objects, one empty group."""
        first = np.flatnonzero(np.diff(self.starts // size, prepend=-1)) if len(self) else np.zeros(1, np.int64)
        for start, stop in zip(first, [*first[1:], len(self)], strict=True):
            kept = self.by_object[int(self.areas[:start].sum()) : int(self.areas[:stop].sum())]
            index = (self.index[kept] - start).astype(self.index.dtype)
            yield ObjectPixels(self.ids[start:stop], index, self.positions[kept], self.shape)

    def total(self, values: _Array) -> _Array:
        """Return the sum of each object's *values*, one per pixel, in float64."""
        # bincount sums in float64 for every dtype, but returns integers if there is nothing to sum.
        return np.bincount(self.index, weights=values, minlength=len(self)).astype(np.float64, copy=False)

    def ordered(self, values: _Array) -> _Array:
        """Return *values*, one per pixel, sorted by object and then rising (NaN last)."""
        by_value = np.argsort(values)
        return values[by_value[np.argsort(self.index[by_value], kind="stable")]]

    def numbered(self, *, border: int = 0) -> _Array:
        """Return a plane with 1 to *n* in the objects, 0 elsewhere, and a *border* of 0 around it."""
        height, width = self.shape
        plane = np.zeros((height + 2 * border, width + 2 * border), np.int32)
        inner = plane[border : border + height, border : border + width]
        inner[self.y, self.x] = self.index.astype(np.int32) + 1
        return plane
