"""What the metadata of an OME-Zarr store says of its wells and images; NGFF 0.4 (Zarr v2) and 0.5 (Zarr v3).

Sources: https://ngff.openmicroscopy.org/0.5/ and https://ngff.openmicroscopy.org/0.4/. Only what Wellfield needs is
read, and every value of that is checked: other programs write more freely than the validators of NGFF allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wellfield.errors import MetadataError
from wellfield.formats.json_cursor import Checked
from wellfield.formats.length_units import micrometres
from wellfield.plate.index import NAN

FIELD_AXIS = "field"
# The version of NGFF that a version of Zarr holds.
VERSIONS = {2: "0.4", 3: "0.5"}
# NGFF means a length by it.
_INCH_UM = 25_400.0
_TYPES = {"time": "t", "channel": "c"}
_NAMES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


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
    axis_names:
        The names of these axes.
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
    axis_names: tuple[str, ...]
    pixel_size_um: float | None
    z_spacing_um: float | None
    origin_um: tuple[float, float, float]
    labels: tuple[str | None, ...]
    notes: tuple[str, ...]


def check_version(said: Checked, zarr_format: int, *, is_needed: bool = False) -> str | None:
    """Check the version of NGFF that *said* states; return a note where it states none.

    NGFF 0.5 demands it; of 0.4 many files have none, but no later version is kept in Zarr v2.

    Raises
    ------
    MetadataError
        It is not the version that Wellfield reads in this version of Zarr, or not stated though it *is_needed*.
    """
    version, expected = said.get("version"), VERSIONS[zarr_format]
    read = "Wellfield reads 0.4 (in Zarr v2) and 0.5 (in Zarr v3)"
    if version is None and is_needed:
        raise MetadataError(f"{said.source}: {said.place or 'the file'} states no version of OME-Zarr; {read}")
    if version is None:
        return f"no version of OME-Zarr is stated; taken as {expected}, the version that Zarr v{zarr_format} holds"
    if str(version.value) != expected:
        raise MetadataError(
            f"{version.source}: {version.place} is {version.value!r}, in Zarr v{zarr_format}; {read}. Convert the store"
        )
    return None


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


def read_image(attributes: Checked, zarr_format: int, *, is_root: bool = False) -> ImageMetadata:
    """Return what an image's attributes say; of several multiscales the first counts, as NGFF has it.

    Raises
    ------
    MetadataError
        A value is missing or wrong, the version is not one that is read, or the last two axes are not y and x.
    """
    multiscales = attributes["multiscales"].items()
    if not multiscales:
        raise attributes["multiscales"].error("at least one multiscale")
    multiscale = multiscales[0]
    versioned = multiscale if zarr_format == 2 else attributes
    listed = multiscale.get("axes")
    is_older = listed is None or (isinstance(listed.value, list) and any(isinstance(n, str) for n in listed.value))
    note = check_version(versioned, zarr_format, is_needed=is_older or (is_root and zarr_format == 3))
    datasets = multiscale["datasets"].items()
    if not datasets:
        raise multiscale["datasets"].error("at least one dataset")
    notes = [f"only the first of its {len(multiscales)} multiscales is read"] if len(multiscales) > 1 else []
    notes += [note] if note else []
    axes, axis_names, units = _axes(multiscale["axes"])
    _check_order(datasets, axes)
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
            um[name] = _INCH_UM if unit == "inch" else micrometres(unit)
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
        axis_names=axis_names,
        pixel_size_um=pixel_size,
        z_spacing_um=sizes.get("z"),
        origin_um=(origin[0], origin[1], origin[2]),
        labels=_labels(attributes.get("omero")),
        notes=tuple(notes),
    )


def _axes(listed: Checked) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return what each axis is, its name, and its unit (empty where none is given)."""
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
        if names[number].casefold() in ("z", "y", "x") and names[number].casefold() != role:
            raise listed.error("the axes of space in the order (z,) y, x")
    others = [role for role, kind in zip(roles, kinds, strict=True) if kind not in ("space", "time", "channel")]
    if len(set(roles)) < len(roles) or set(others) & set("tczyx"):
        raise listed.error("axes of different names")
    return tuple(roles), tuple(names), tuple(units)


def _check_order(datasets: Sequence[Checked], axes: tuple[str, ...]) -> None:
    """Refuse levels that are finer than the first one, which is read.

    Raises
    ------
    MetadataError
        The levels are in another order than from the highest resolution down.
    """
    finest: list[float] | None = None
    for dataset in datasets:
        transformations = dataset.get("coordinateTransformations")
        for step in transformations.items() if transformations else ():
            if step["type"].text() != "scale":
                continue
            scale = [abs(factor) for factor in _numbers(step["scale"], len(axes))[-2:]]
            finest = finest or scale
            if any(own < first * (1 - 1e-6) for own, first in zip(scale, finest, strict=True)):
                raise step["scale"].error(f"levels from the highest resolution down, the first is at {finest}")


def check_dimension_names(names: tuple[str | None, ...], image: ImageMetadata, *, array: str) -> None:
    """Refuse an array whose dimensions have other names than its image's axes; those without a name fit any.

    Raises
    ------
    MetadataError
        They have: one of the two says wrongly what the array's axes are.
    """
    if not names:
        return
    axes = zip(image.axis_names, image.axes, strict=True)
    known = [
        {name.casefold(), role, next((kind for kind, r in _TYPES.items() if r == role), role)} for name, role in axes
    ]
    fits = [name is None or name.casefold() in own for name, own in zip(names, known, strict=False)]
    if len(names) != len(known) or not all(fits):
        said = ", ".join(str(name) for name in names)
        raise MetadataError(
            f"{array}: dimension_names are {said}, but the axes of its image are {', '.join(image.axis_names)}; "
            "expected the same. Correct the one that is wrong"
        )


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
    return float(f"{size * um:.12g}")  # the last digits come from scaling to µm, not from the file


def _labels(omero: Checked | None) -> tuple[str | None, ...]:
    channels = omero.get("channels") if omero else None
    found = []
    for channel in channels.items() if channels else ():
        label = channel.get("label")
        found.append(None if label is None or label.value == "" else label.text())
    return tuple(found)
