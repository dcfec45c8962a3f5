"""Size, dtype and calibration of a plate's images, from a few of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from wellfield.errors import DataNotFoundError, ImageKindError, UnreadableImageError
from wellfield.formats.plane import PlaneHeader, read_plane_header
from wellfield.microscopes.contents import PlateContents, channel_dtypes
from wellfield.plate.index import PlaneRecord

# Files that are tried at either end of a channel: an unreadable one does not hide what its neighbours say.
_TRIES = 3


def sample_images(plate_path: Path, contents: PlateContents) -> list[PlaneHeader]:
    """Fill in shape and dtype of the planes, and return the headers of those that were looked at.

    They are the first and the last readable file of each channel; no pixel is read. Files that cannot be read, and
    images that differ, are noted.

    Raises
    ------
    ImageKindError
        A file holds colours, a palette or several planes.
    """
    sampled = list(_headers(plate_path, contents))
    headers = [header for _, header in sampled]
    kinds = Counter((header.shape, header.dtype) for header in headers)
    if kinds:
        (contents.shape, contents.dtype), _ = kinds.most_common(1)[0]
    contents.channel_dtypes = channel_dtypes(((n, header.dtype) for n, header in sampled), contents.dtype)
    if len(kinds) > 1:
        seen = ", ".join(f"{list(shape)} {dtype} ({count})" for (shape, dtype), count in kinds.most_common())
        contents.notes.append(f"planes of different size or dtype among those sampled: {seen}")
    return headers


def _headers(plate_path: Path, contents: PlateContents) -> Iterator[tuple[int, PlaneHeader]]:
    by_channel: dict[int, list[PlaneRecord]] = defaultdict(list)
    for plane in contents.planes:
        by_channel[plane.key.channel].append(plane)
    for channel, planes in sorted(by_channel.items()):
        seen: set[str] = set()
        for order in (planes[:_TRIES], planes[: -_TRIES - 1 : -1]):
            for plane in order:
                if plane.path in seen:
                    break
                seen.add(plane.path)
                contents.images_opened += 1
                try:
                    yield channel, read_plane_header(plate_path / plane.path)
                except ImageKindError:
                    raise
                except (UnreadableImageError, DataNotFoundError) as error:
                    contents.notes.append(f"{plane.path} was sampled and cannot be read: {error}")
                    continue
                break
