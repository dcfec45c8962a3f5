"""Which microscope wrote a plate."""

from __future__ import annotations

import difflib
import importlib
import os

from wellfield.errors import ConfigError, EmptyPlateError, MicroscopeDetectionError
from wellfield.microscopes.base import MICROSCOPES, MicroscopeHandler
from wellfield.microscopes.scan import Scan, scan_plate

AUTO = "auto"
_BUILT_IN = ("wellfield.microscopes.imagexpress", "wellfield.microscopes.ome_zarr")


def discover_microscopes() -> None:
    """Import the modules of all built-in handlers, so that they register."""
    for module in _BUILT_IN:
        importlib.import_module(module)


def microscope_names() -> list[str]:
    """Return the names that a plate sheet may use, ``auto`` first."""
    discover_microscopes()
    return [AUTO, *sorted(MICROSCOPES)]


def detect_microscope(plate_path: str | os.PathLike[str], *, scan: Scan | None = None) -> tuple[str, str]:
    """Return the name of the microscope that wrote a folder, and why it was chosen.

    Raises
    ------
    EmptyPlateError
        The folder holds no file.
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
    if len(reasons) == 1:
        return next(iter(reasons.items()))
    known = ", ".join(sorted(MICROSCOPES))
    if not reasons:
        examples = ", ".join(file.path for file in scan.files[:3])
        raise MicroscopeDetectionError(
            f"no known microscope wrote {scan.root} ({len(scan.files)} files, such as {examples}); known: {known}. "
            "If it is one of these, name it in the 'microscope' column of plates.tsv"
        )
    candidates = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
    raise MicroscopeDetectionError(
        f"{scan.root} looks like {len(reasons)} microscopes: {candidates}. Name one in the 'microscope' column of "
        "plates.tsv, or split the folder"
    )


def get_microscope_handler(
    plate_path: str | os.PathLike[str], microscope: str = AUTO, *, scan: Scan | None = None
) -> tuple[MicroscopeHandler, str]:
    """Return the handler of a plate and why it was chosen; *microscope* is a name or ``"auto"``.

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
    names = microscope_names()
    if microscope not in MICROSCOPES:
        near = difflib.get_close_matches(microscope, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(f"unknown microscope {microscope!r}{hint} Known: {', '.join(names)}")
    return MICROSCOPES[microscope](plate_path, scan=scan), "named in the plate sheet"
