"""The registered microscopes, and which of them wrote a plate."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from wellfield.errors import ConfigError, EmptyPlateError, MicroscopeDetectionError
from wellfield.formats.plane_files import PLANE_SUFFIXES
from wellfield.formatting import suggest
from wellfield.microscopes.handler import MICROSCOPES, MicroscopeHandler
from wellfield.microscopes.pattern import PatternHandler, path_matcher
from wellfield.microscopes.presets import PRESETS
from wellfield.microscopes.scan import Scan, scan_plate
from wellfield.plate.filename_layout import Layout

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

AUTO = "auto"
_BUILT_IN = (
    "wellfield.microscopes.imagexpress",
    "wellfield.microscopes.opera_phenix",
    "wellfield.microscopes.ome_zarr",
    "wellfield.microscopes.openhcs",
)

ENTRY_POINT_GROUP = "wellfield.microscopes"


def discover_microscopes() -> None:
    """Import the modules of all handlers, so that they register.

    Other packages add theirs with entry points of the group ``wellfield.microscopes``: the name of the handler, and the
    module that defines it.

    Raises
    ------
    ConfigError
        The handler of another package cannot be imported.
    """
    for module in _BUILT_IN:
        importlib.import_module(module)
    for entry in _entry_points():
        try:
            entry.load()
        except Exception as error:  # the module is not ours
            raise ConfigError(
                f"the microscope {entry.name!r} cannot be loaded from {entry.value}: {error}; repair or "
                "uninstall its package"
            ) from error


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def microscope_names(layouts: Iterable[str] = ()) -> list[str]:
    """Return the names that a plate sheet may use: ``auto``, microscopes, presets, and *layouts* of a configuration."""
    discover_microscopes()
    return [AUTO, *sorted(MICROSCOPES), *PRESETS, *layouts]


def refuse_unknown_microscope(name: str, layouts: Iterable[str] = ()) -> None:
    """Raise unless a plate sheet may use this name.

    Raises
    ------
    ConfigError
        Names the closest known name, and all of them.
    """
    if name not in (names := microscope_names(layouts)):
        raise ConfigError(f"unknown microscope {name!r}{suggest(name, names) or '.'} Known: {', '.join(names)}")


def detect_microscope(plate_path: str | os.PathLike[str], *, scan: Scan | None = None) -> tuple[str, str]:
    """Return the name of the microscope that wrote a folder, and why it was chosen.

    Raises
    ------
    EmptyPlateError
        The folder has no file.
    MicroscopeDetectionError
        No handler, or more than one, recognises the folder.
    """
    discover_microscopes()
    scan = scan if scan is not None else scan_plate(plate_path)
    if not scan.files:
        found = "".join(f"; {len(paths)} {reason}" for reason, paths in scan.skipped.items())
        raise EmptyPlateError(
            f"plate folder {scan.root} has no file{found}; copy the images, or correct the folder in plates.tsv"
        )
    reasons = {name: reason for name, cls in sorted(MICROSCOPES.items()) if (reason := cls.detect(scan))}
    speakers = {name: reason for name, reason in reasons.items() if MICROSCOPES[name].speaks_for_folder}
    if len(speakers) == 1:
        [(name, why)] = speakers.items()
        others = "".join(
            f", which also lists the files of {other} there ({reasons[other]})" for other in reasons if other != name
        )
        return name, why + others
    if len(reasons) == 1:
        return next(iter(reasons.items()))
    known = ", ".join(sorted(MICROSCOPES))
    if not reasons:
        examples = ", ".join(file.path for file in scan.files[:3])
        raise MicroscopeDetectionError(
            f"no known microscope wrote {scan.root} ({len(scan.files)} files, such as {examples}); known: {known}. "
            f"If it is one of these, name it in the 'microscope' column of plates.tsv.{_fitting_preset(scan)} For any "
            "other naming of files write a pattern: `layouts` in docs/reference/plates.md; `wellfield inspect FOLDER "
            "--pattern …` tries one"
        )
    candidates = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
    raise MicroscopeDetectionError(
        f"{scan.root} looks like {len(reasons)} microscopes: {candidates}. Name one in the 'microscope' column of "
        "plates.tsv, or split the folder"
    )


def _fitting_preset(scan: Scan) -> str:
    images = [file for file in scan.files if file.name.lower().endswith(PLANE_SUFFIXES)]
    for name, layout in PRESETS.items():
        if images and all(map(path_matcher(layout.pattern), images)):
            return f" The preset {name!r} fits all {len(images)} images: name it there if it reads them right."
    return ""


def get_microscope_handler(
    plate_path: str | os.PathLike[str],
    microscope: str = AUTO,
    *,
    scan: Scan | None = None,
    layouts: Mapping[str, Layout] | None = None,
) -> tuple[MicroscopeHandler, str]:
    """Return the handler of a plate and why it was chosen.

    Parameters
    ----------
    microscope:
        Name of a microscope, of a preset or of one of *layouts*; or ``"auto"``, which takes microscopes only.
    layouts:
        Layouts of the configuration by name.

    Raises
    ------
    ConfigError
        Unknown name.
    PlateNotFoundError, EmptyPlateError, MicroscopeDetectionError
        As :func:`detect_microscope`.
    """
    scan = scan if scan is not None else scan_plate(plate_path)
    if microscope == AUTO:
        name, why = detect_microscope(plate_path, scan=scan)
        return MICROSCOPES[name](plate_path, scan=scan), why
    refuse_unknown_microscope(microscope, layouts or ())
    if layout := PRESETS.get(microscope) or (layouts or {}).get(microscope):
        why = "preset" if microscope in PRESETS else f"pattern {layout.pattern}"
        return PatternHandler(plate_path, layout=layout, scan=scan), why
    return MICROSCOPES[microscope](plate_path, scan=scan), "named in the plate sheet"
