"""Which field each image of a well is, by the names of all images of a plate.

Names such as ``0``, ``1``, ``3``, or ``000``, ``001``, ``003``, or ``FOV_0``, ``FOV_1``, ``FOV_3`` give the numbers: an
image that a well lacks does not move the others. If there is ``0``, then ``0_illum_corr`` is an image that a program
made of it, not another field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wellfield.errors import MetadataError
from wellfield.microscopes.ngff import ListedImage

# The text before the last number of a name, the number, and the text after it.
_NAME = re.compile(r"(|.*[^0-9])([0-9]{1,6})([^0-9]*)")
_SEPARATOR = re.compile(r"[_. -]")


@dataclass
class NumberedFields:
    """The images of each well, by its path, and the number of the field that each is.

    *derived* are the paths of images that a program made of others and that are left out; *notes* say how names were
    understood if they are not numbers.
    """

    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def number_fields(wells: Mapping[str, Sequence[ListedImage]]) -> NumberedFields:
    """Return the fields of a plate, given the images that each well lists.

    Raises
    ------
    MetadataError
        Two images of a well have one number.
    """
    found = NumberedFields()
    known = {(image.path, image.acquisition) for images in wells.values() for image in images}
    names: dict[str, list[str]] = {}
    for well, images in wells.items():
        kept = [image for image in images if not _is_derived(image, known)]
        names[well] = [image.path for image in kept]
        found.derived += [f"{well}/{image.path}" for image in images if image not in kept]
        if not images:
            found.notes.append(f"well {well} lists no image")
        if images and not kept:
            found.notes.append(
                f"well {well} has only images that a program made of others ({images[0].path}): it is left out"
            )
    every = list(dict.fromkeys(name for own in names.values() for name in own))
    given = _numbers(names)
    if given is None:
        found.notes.append(_other_names(every, names, found))
        return found
    if not all(name.isdecimal() for name in every):
        found.notes.append(f"images are named such as {every[0]}: the number in the name is the field's")
    first = 1 if 0 in given.values() else 0
    for well, own in names.items():
        found.numbers[well] = {name: given[name] + first for name in own}
        _refuse_doubles(well, found.numbers[well])
    return found


def _is_derived(image: ListedImage, known: set[tuple[str, int | None]]) -> bool:
    """Tell whether an image has the name of another one of its acquisition, and more: ``0_illum_corr``, ``mip_0``."""
    for separator in _SEPARATOR.finditer(image.path):
        name, more = image.path[: separator.start()], image.path[separator.end() :]
        if name[-1:].isdigit() and any(map(str.isalpha, more)) and (name, image.acquisition) in known:
            return True
        more, name = image.path[: separator.start()], image.path[separator.end() :]
        if name.isdecimal() and any(map(str.isalpha, more)) and (name, image.acquisition) in known:
            return True
    return False


def _numbers(names: Mapping[str, Sequence[str]]) -> dict[str, int] | None:
    """Return the number in each name; ``None`` where names of a well differ in more than that.

    Names with more than the number are not read by it if no number occurs in two wells: it may count through the plate.
    """
    found: dict[str, int] = {}
    suffixes = set()
    wells_of: Counter[int] = Counter()
    for own in names.values():
        matches = [_NAME.fullmatch(name) for name in own]
        if None in matches or len({match[1] for match in matches if match}) > 1:
            return None
        found |= {match[0]: int(match[2]) for match in matches if match}
        suffixes |= {match[3] for match in matches if match}
        wells_of.update({int(match[2]) for match in matches if match})
    is_plain = all(name.isdecimal() for name in found)
    counts_on = sum(map(bool, names.values())) > 1 and max(wells_of.values(), default=0) == 1
    return None if len(suffixes) > 1 or (counts_on and not is_plain) else found


def _other_names(every: Sequence[str], names: Mapping[str, Sequence[str]], found: NumberedFields) -> str:
    """Number images without numbers by the list of a well that has all names, else by each well's own list."""
    whole = next((well for well, own in names.items() if len(own) == len(every)), None)
    for well, own in names.items():
        found.numbers[well] = {name: number for number, name in enumerate(names[whole or well], start=1) if name in own}
    said = f"image names such as {every[0]} are not numbers: fields are numbered by their positions in the wells' lists"
    if any(_same_number(own) for own in names.values()):
        said += "; some end in the same number: if they show one place, it is counted more than once"
    return said if whole is None else f"{said}, of {whole} for all wells"


def _same_number(names: Sequence[str]) -> bool:
    numbers = [int(match[2]) for match in map(_NAME.fullmatch, names) if match]
    return len(set(numbers)) < len(numbers)


def _refuse_doubles(well: str, numbers: Mapping[str, int]) -> None:
    by_number: dict[int, str] = {}
    for name, number in numbers.items():
        if by_number.setdefault(number, name) != name:
            raise MetadataError(f"images {by_number[number]} and {name} of well {well} are both field {number}")
