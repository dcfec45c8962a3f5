"""What the metadata of an OME-Zarr store says of its plate, wells and images; NGFF 0.4 (Zarr v2) and 0.5 (Zarr v3).

Sources: https://ngff.openmicroscopy.org/0.5/ and https://ngff.openmicroscopy.org/0.4/. Only what Wellfield needs is
read, and every value of that is checked: other programs write more freely than the validators of NGFF allow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from wellfield.errors import MetadataError, WellNameError
from wellfield.formats.checked import Checked
from wellfield.plate.index import NAN
from wellfield.plate.wells import row_number, well_name

# Names of the units of space in µm; NGFF takes those of UDUNITS-2, and some programs write the symbols.
_UM = {
    **dict.fromkeys(("picometer", "pm"), 1e-6),
    **dict.fromkeys(("angstrom", "Å", "Å"), 1e-4),
    **dict.fromkeys(("nanometer", "nm"), 1e-3),
    **dict.fromkeys(("micrometer", "um", "µm", "μm"), 1.0),
    **dict.fromkeys(("millimeter", "mm"), 1e3),
    **dict.fromkeys(("centimeter", "cm"), 1e4),
    **dict.fromkeys(("meter", "m"), 1e6),
    "inch": 25_400.0,
}
FIELD_AXIS = "field"
_TYPES = {"time": "t", "channel": "c"}
_NAMES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


@dataclass(frozen=True, slots=True)
class ListedWell:
    """A well of a plate; *note* says what was contradictory about its place."""

    path: str
    name: str
    note: str | None


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image of a well: its path in the well's group, and the acquisition that it belongs to."""

    path: str
    acquisition: int | None


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """One image.

    Parameters
    ----------
    levels:
        Paths of its arrays, the highest resolution first.
    axes:
        What each axis of the arrays is: ``t``, ``c``, ``z``, ``y``, ``x``, ``field``, or the name of another axis.
    pixel_size_um, z_spacing_um:
        Distances of neighbouring pixels and z planes, ``None`` where they are unknown.
    origin_um:
        Where x, y and z of the first pixel are, NaN where it is unknown.
    labels:
        Names of the channels, ``None`` for one without a name; empty where the image names none.
    notes:
        What is unusual about it.
    """

    levels: tuple[str, ...]
    axes: tuple[str, ...]
    pixel_size_um: float | None
    z_spacing_um: float | None
    origin_um: tuple[float, float, float]
    labels: tuple[str | None, ...]
    notes: tuple[str, ...]


def read_wells(plate: Checked) -> list[ListedWell]:
    """Return the wells that a plate lists, in its order.

    Where a well lies its path says: letters or number of the row, number of the column. ``rowIndex`` and
    ``columnIndex`` count only where the path's names are no such; a contradiction is noted.

    Raises
    ------
    MetadataError
        A value is missing or wrong, or two wells are at one place.
    """
    rows, columns = _names(plate.get("rows")), _names(plate.get("columns"))
    wells: dict[str, ListedWell] = {}
    for listed in plate["wells"].items():
        well = _well(listed, rows, columns)
        other = wells.setdefault(well.name, well)
        if other is not well:
            raise MetadataError(f"{listed.source}: {other.path} and {well.path} are both well {well.name}")
    return list(wells.values())


def read_acquisitions(plate: Checked) -> dict[int, str]:
    """Return the number of each acquisition that a plate lists, and its name."""
    listed = plate.get("acquisitions")
    found: dict[int, str] = {}
    for acquisition in listed.items() if listed else ():
        number, name = acquisition["id"].whole(), acquisition.get("name")
        found[number] = str(number) if name is None else f"{number} ({name.text()})"
    return found


def read_images(well: Checked) -> list[ListedImage]:
    """Return the images that a well lists, in its order."""
    found: dict[str, ListedImage] = {}
    for listed in well["images"].items():
        acquisition = listed.get("acquisition")
        image = ListedImage(listed["path"].path(), None if acquisition is None else acquisition.whole())
        if found.setdefault(image.path, image) is not image:
            raise MetadataError(f"{listed.source}: {listed.place} lists {image.path} a second time")
    return list(found.values())


def read_image(attributes: Checked) -> ImageMetadata:
    """Return what an image's attributes say; of several multiscales the first counts, as NGFF has it.

    Raises
    ------
    MetadataError
        A value is missing or wrong, or the last two axes are not y and x.
    """
    multiscales = attributes["multiscales"].items()
    if not multiscales:
        raise attributes["multiscales"].error("at least one multiscale")
    multiscale = multiscales[0]
    datasets = multiscale["datasets"].items()
    if not datasets:
        raise multiscale["datasets"].error("at least one dataset")
    notes = [f"only the first of its {len(multiscales)} multiscales is read"] if len(multiscales) > 1 else []
    axes, units = _axes(multiscale["axes"])
    scale, offset = [1.0] * len(axes), [0.0] * len(axes)
    is_moved = False
    for transformations in (datasets[0].get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for step in transformations.items() if transformations else ():
            kind = step["type"].text()
            if kind == "scale":
                factors = _numbers(step["scale"], len(axes))
                scale = [a * b for a, b in zip(scale, factors, strict=True)]
                offset = [a * b for a, b in zip(offset, factors, strict=True)]
            elif kind == "translation":
                offset = [a + b for a, b in zip(offset, _numbers(step["translation"], len(axes)), strict=True)]
                is_moved = True
            elif kind != "identity":
                raise step["type"].error("scale, translation or identity")
    um: dict[str, float | None] = {}
    for name, unit in zip(axes, units, strict=True):
        if name in ("z", "y", "x"):
            um[name] = _UM.get(unit) if unit else None
    if um["y"] is None or um["x"] is None or ("z" in um and um["z"] is None):
        given = ", ".join(f"{name} {unit!r}" for name, unit in zip(axes, units, strict=True) if name in um)
        notes.append(f"distances are unknown along axes without a known unit of length ({given})")
    sizes = {name: _distance(name, size, um[name], notes) for name, size in zip(axes, scale, strict=True) if name in um}
    pixel_size = sizes["x"]
    if pixel_size is None or sizes["y"] is None or abs(sizes["y"] - pixel_size) > 1e-6 * pixel_size:
        if pixel_size is not None and sizes["y"] is not None:
            notes.append(f"pixels are not square ({sizes['y']} × {pixel_size} µm): no pixel size is taken")
        pixel_size = None
    places = dict(zip(axes, offset, strict=True))
    origin = [NAN if um.get(n) is None or not is_moved else places[n] * (um[n] or NAN) for n in ("x", "y", "z")]
    return ImageMetadata(
        levels=tuple(dataset["path"].path() for dataset in datasets),
        axes=axes,
        pixel_size_um=pixel_size,
        z_spacing_um=sizes.get("z"),
        origin_um=(origin[0], origin[1], origin[2]),
        labels=_labels(attributes.get("omero")),
        notes=tuple(notes),
    )


def _names(listed: Checked | None) -> list[str]:
    return [entry["name"].text() for entry in listed.items()] if listed else []


def _well(listed: Checked, rows: list[str], columns: list[str]) -> ListedWell:
    path = listed["path"].path()
    row, _, column = path.partition("/")
    if not column or "/" in column:
        raise listed["path"].error("row and column, such as B/3")
    indices = [listed.get(name) for name in ("rowIndex", "columnIndex")]
    numbers = [None if index is None else index.whole() for index in indices]
    own = _place(row, letters=True), _place(column, letters=False)
    place = [number if said is None else said for said, number in zip(own, numbers, strict=True)]
    if place[0] is None or place[1] is None:
        raise listed["path"].error("a row and a column as A and 1, or a rowIndex and a columnIndex")
    try:
        name = well_name(place[0], place[1])
    except WellNameError as error:
        raise MetadataError(f"{listed.source}: {listed.place} ({path}): {error}") from error
    if None in own:
        return ListedWell(path, name, "names that are no letters and numbers: rowIndex and columnIndex tell the well")
    pairs = list(zip((row, column), (rows, columns), numbers, strict=True))
    given = [
        names[number] if number < len(names) else None for _, names, number in pairs if names and number is not None
    ]
    expected = [part for part, names, number in pairs if names and number is not None]
    if given != expected:
        return ListedWell(path, name, "rowIndex and columnIndex are another place than the path, which is followed")
    return ListedWell(path, name, "rows are numbers, counted from 1" if row.isdecimal() else None)


def _place(name: str, *, letters: bool) -> int | None:
    """Return the row or column, from 0 on, that a name means: letters of a row, or a number from 1 on."""
    if re.fullmatch("0*[1-9][0-9]?", name):
        return int(name) - 1
    try:
        return row_number(name) if letters else None
    except WellNameError:
        return None


def _axes(listed: Checked) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what each axis is, and its unit (empty where none is given)."""
    names, kinds, units = [], [], []
    for axis in listed.items():
        name, kind, unit = axis["name"].text(), axis.get("type"), axis.get("unit")
        names.append(name)
        kinds.append(_NAMES.get(name.lower(), "") if kind is None else kind.text())
        units.append("" if unit is None else unit.text())
    space = [number for number, kind in enumerate(kinds) if kind == "space"]
    in_order = all(b == a + 1 for a, b in pairwise(space)) and space[-1:] == [len(kinds) - 1]
    if not 2 <= len(space) <= 3 or not in_order or kinds.count("time") > 1 or kinds.count("channel") > 1:
        raise listed.error("at most one axis of time and one of channels, then (z,) y and x of space at the end")
    roles = [_TYPES.get(kind, name) for kind, name in zip(kinds, names, strict=True)]
    for number, role in zip(reversed(space), ("x", "y", "z"), strict=False):
        roles[number] = role
    others = [role for role, kind in zip(roles, kinds, strict=True) if kind not in ("space", "time", "channel")]
    if len(set(roles)) < len(roles) or set(others) & set("tczyx"):
        raise listed.error("axes of different names")
    return tuple(roles), tuple(units)


def _numbers(listed: Checked, count: int) -> list[float]:
    numbers = [value.number() for value in listed.items()]
    if len(numbers) != count:
        raise listed.error(f"{count} numbers, one for each axis")
    return numbers


def _distance(name: str, size: float, um: float | None, notes: list[str]) -> float | None:
    if um is None:
        return None
    if size <= 0:
        notes.append(f"the scale of axis {name} is {size}: distances along it are unknown")
        return None
    return float(f"{size * um:.12g}")  # what scaling to µm adds to the last digits is no part of the value


def _labels(omero: Checked | None) -> tuple[str | None, ...]:
    channels = omero.get("channels") if omero else None
    found = []
    for channel in channels.items() if channels else ():
        label = channel.get("label")
        found.append(None if label is None or label.value == "" else label.text())
    return tuple(found)
