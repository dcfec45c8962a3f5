"""Checks that the images below a folder belong to one plate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from wellfield.errors import MicroscopeDetectionError, WellNameError
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import canonical_well, split_well

# Folders that vendors make inside one plate.
_OF_VENDORS = re.compile(r"(?i)time_?point_?[0-9]+|zstep_?[0-9]+|images?|tiffs?")
# Folders that say what an axis of their planes is: the words of each axis, and where it stands in a key.
_AXES = {
    ("site", "s", "field", "fld", "fov", "f"): 1,
    ("wave", "wavelength", "w", "channel", "ch", "c"): 2,
    ("z", "plane", "slice"): 3,
    ("timepoint", "time", "tp", "t"): 4,
}
_NUMBERED = re.compile(r"([a-z]+)[-_ ]?[0-9]+")


def refuse_several_plates(
    plate_path: Path, contents: ParsedPlate, folders: dict[str, str] | None = None, *, any_folder: bool = False
) -> None:
    """Raise if the planes lie in the folders of several plates.

    One plate may have folders that vendors make (``TimePoint_1``, ``ZStep_2``, ``Images``), and folders that say what
    their planes are: a well, row, field, channel, z or timepoint.

    Parameters
    ----------
    folders:
        Folder of the plate by path of the plane; the folder of the file by default.
    any_folder:
        Files of one plate may lie in any folders: it is an error if a well is in two of them, else a note.

    Raises
    ------
    MicroscopeDetectionError
        There are several; the message names them.
    """
    places = {plane.path: plane.path.rpartition("/")[0] for plane in contents.planes} if folders is None else folders
    if len({without_vendor_folders(folder) for folder in set(places.values())}) < 2:
        return
    keys: dict[str, list[PlaneKey]] = defaultdict(list)
    for plane in contents.planes:
        keys[places[plane.path]].append(plane.key)
    wells: dict[str, set[str]] = defaultdict(set)
    shown: dict[str, str] = {}
    for folder, found in keys.items():
        plate = _plate(folder, found, contents)
        wells[plate] |= {key.well for key in found}
        shown.setdefault(plate, without_vendor_folders(folder))
    if len(wells) < 2:
        return
    if any_folder and sum(map(len, wells.values())) == len(set().union(*wells.values())):
        contents.notes.append(f"images in {_listed(shown.values())} count as one plate, as no well is in two of them")
        return
    raise several_plates(plate_path, shown.values())


def several_plates(plate_path: Path, folders: Iterable[str]) -> MicroscopeDetectionError:
    """Return the error that says that there are several plates."""
    return MicroscopeDetectionError(
        f"plate folder {plate_path} holds the images of several plates, in {_listed(folders)}; expected one plate. "
        "List each of these folders as a plate of its own in plates.tsv, or give a layout a pattern with / if they are "
        "parts of one plate"
    )


def _listed(folders: Iterable[str]) -> str:
    names = sorted(folder or "the plate folder itself" for folder in folders)
    return " and ".join(names) if len(names) < 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"


def without_vendor_folders(folder: str) -> str:
    """Return a path without the folders that vendors make inside one plate."""
    return "/".join(part for part in folder.split("/") if not _OF_VENDORS.fullmatch(part))


def _plate(folder: str, keys: list[PlaneKey], contents: ParsedPlate) -> str:
    """Return the folder of the plate that planes in a folder belong to."""
    return "/".join(part for part in without_vendor_folders(folder).split("/") if not _says_what(part, keys, contents))


def _says_what(part: str, keys: list[PlaneKey], contents: ParsedPlate) -> bool:
    """Tell whether the name of a folder says what all its planes are."""
    name = part.casefold()
    wells = {key.well for key in keys}
    if _is_well(name, wells):
        return True
    numbered = _NUMBERED.fullmatch(name)
    axis = next((axis for words, axis in _AXES.items() if numbered and numbered[1] in words), None)
    if axis is not None:
        return len({key[axis] for key in keys}) == 1
    channels = {key.channel for key in keys}
    label = contents.plate.channels.get(next(iter(channels)), "").casefold() if len(channels) == 1 else ""
    return bool(label) and re.sub(r"^(?:wave(?:length)?|channel|ch|c|w)[-_ ]", "", name) == label


def _is_well(name: str, wells: set[str]) -> bool:
    """Tell whether a folder is named like the only well, or the only row, of its planes."""
    if match := re.fullmatch(r"r([0-9]{1,2})c([0-9]{1,2})", name):
        return {split_well(well) for well in wells} == {(int(match[1]) - 1, int(match[2]) - 1)}
    rows = {split_well(well)[0] for well in wells}
    word, _, rest = re.sub(r"^(well|row)[-_ ]?(?=[a-z]{1,2}[0-9]*$)", r"\1 ", name).rpartition(" ")
    try:
        if word != "row" and any(letter.isdigit() for letter in rest):
            return wells == {canonical_well(rest)}
        return rows == {split_well(f"{rest}1")[0]}
    except WellNameError:
        return False
