"""Shape and dtype of a plate's images, from a sample of the files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from wellfield.errors import DataNotFoundError, ImageKindError, UnreadableImageError
from wellfield.formats.plane_files import PlaneHeader, read_plane_header
from wellfield.microscopes.parsed_plate import ParsedPlate, channel_dtypes
from wellfield.plate.index import PlaneRecord

# Files that are tried at either end of a channel, as some may be unreadable.
_TRIES = 3
# So many files that are not grey planes are named with their problem.
_NAMED = 3
# Further files of a channel, spread over the plate, when the first and the last one differ.
_MORE = 9


class Sample(NamedTuple):
    """A plane whose file was opened."""

    plane: PlaneRecord
    header: PlaneHeader


def sample_images(plate_path: Path, contents: ParsedPlate) -> list[Sample]:
    """Fill in shape and dtype of the plate, and return the files that were opened; no pixel is read.

    The first and the last readable file of each channel are opened, and more of them if these two differ. The plate
    gets the shape and dtype of most of them. A note names the others, and files that cannot be read or hold colours, a
    palette or several planes: their wells will fail.

    Raises
    ------
    ImageKindError
        Every file that was opened holds colours, a palette or several planes.
    """
    sampler = _Sampler(plate_path, contents)
    by_channel: dict[int, list[PlaneRecord]] = defaultdict(list)
    for plane in contents.planes:
        by_channel[plane.key.channel].append(plane)
    samples = [sample for _, planes in sorted(by_channel.items()) for sample in sampler.channel(planes)]
    if sampler.refused and not samples:
        raise next(iter(sampler.refused.values()))
    for path, error in list(sampler.refused.items())[:_NAMED]:
        contents.notes.append(f"the well of {path} will fail: {error}")
    if unnamed := list(sampler.refused)[_NAMED:]:
        contents.notes.append(f"the wells of {len(unnamed)} more sampled files will fail too: {', '.join(unnamed)}")
    kinds = Counter((sample.header.shape, sample.header.dtype) for sample in samples)
    if kinds:
        (shape, dtype), _ = kinds.most_common(1)[0]
        others = channel_dtypes(((sample.plane.key.channel, sample.header.dtype) for sample in samples), dtype)
        contents.plate = replace(contents.plate, shape=shape, dtype=dtype, channel_dtypes=others)
    if len(kinds) > 1:
        seen = ", ".join(f"{list(shape)} {dtype} ({count})" for (shape, dtype), count in kinds.most_common())
        usual = contents.plate.shape, contents.plate.dtype
        odd = [s.plane.path for s in samples if (s.header.shape, s.header.dtype) != usual]
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        contents.notes.append(
            f"planes of different size or dtype among those sampled: {seen}; the rarer are {', '.join(odd[:3])}{more}"
        )
    return samples


class _Sampler:
    """Opens files of a plate, each once; *refused* are the files that are not grey planes, by path."""

    def __init__(self, plate_path: Path, contents: ParsedPlate) -> None:
        self.refused: dict[str, ImageKindError] = {}
        self._root = plate_path
        self._contents = contents
        self._seen: set[str] = set()

    def channel(self, planes: Sequence[PlaneRecord]) -> list[Sample]:
        """Return samples of one channel: from both ends, and in between where the ends differ."""
        before = len(self.refused)
        found = [*self._first_readable(planes[:_TRIES]), *self._first_readable(planes[: -_TRIES - 1 : -1])]
        if len({(s.header.shape, s.header.dtype) for s in found}) > 1 or len(self.refused) > before:
            found += [s for plane in spread(planes, _MORE) if (s := self._look(plane)) is not None]
        return found

    def _first_readable(self, planes: Sequence[PlaneRecord]) -> Iterator[Sample]:
        for plane in planes:
            if plane.path in self._seen:
                return
            if (sample := self._look(plane)) is not None:
                yield sample
                return

    def _look(self, plane: PlaneRecord) -> Sample | None:
        if plane.path in self._seen:
            return None
        self._seen.add(plane.path)
        self._contents.images_opened += 1
        try:
            return Sample(plane, read_plane_header(self._root / plane.path))
        except ImageKindError as error:
            self.refused[plane.path] = error
        except (UnreadableImageError, DataNotFoundError) as error:
            self._contents.notes.append(f"{plane.path} was sampled and cannot be read: {error}")
        return None


def spread(planes: Sequence[PlaneRecord], count: int) -> list[PlaneRecord]:
    """Return *count* planes at equal distances, or all if there are fewer."""
    if len(planes) <= count:
        return list(planes)
    return [planes[place * (len(planes) - 1) // (count - 1)] for place in range(count)]
