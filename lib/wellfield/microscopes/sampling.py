"""Size and dtype of a plate's images, from a few of them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from wellfield.microscopes.contents import PlateContents
from wellfield.plate.index import PlaneRecord


def sample_images(plate_path: Path, contents: PlateContents) -> None:
    """Fill in shape and dtype of the planes from the first and last readable TIFF file of each channel."""
    by_channel: dict[int, list[PlaneRecord]] = defaultdict(list)
    for plane in contents.planes:
        by_channel[plane.key.channel].append(plane)
    found: Counter[tuple[tuple[int, ...], str]] = Counter()
    for planes in by_channel.values():
        sampled = set()
        for order in (planes[:3], planes[:-4:-1]):  # an unreadable file does not hide what its neighbours say
            for plane in order:
                if plane.path in sampled:
                    break
                contents.images_opened += 1
                if plane.size and (kind := read_kind(plate_path / plane.path)) is not None:
                    sampled.add(plane.path)
                    found[kind] += 1
                    break
    if found:
        (shape, contents.dtype), _ = found.most_common(1)[0]
        contents.shape = (shape[0], shape[1])
    if len(found) > 1:
        seen = ", ".join(f"{list(shape)} {dtype} ({count})" for (shape, dtype), count in found.most_common())
        contents.notes.append(f"planes of different size or dtype among those sampled: {seen}")


def read_kind(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], str] | None:
    """Return shape and dtype of a TIFF file's first image, or ``None`` if it is no readable TIFF; no pixel is read."""
    import tifffile

    try:
        with tifffile.TiffFile(os.fspath(path)) as file:
            page = file.pages.first
            return tuple(map(int, page.shape)), np.dtype(page.dtype).newbyteorder("=").name
    except Exception:  # tifffile meets what is corrupt with almost any kind of error
        return None
