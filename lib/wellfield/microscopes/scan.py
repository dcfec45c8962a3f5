"""One pass over a plate folder: every file with its size and time, and what was left out."""

from __future__ import annotations

import errno
import gc
import hashlib
import operator
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from wellfield.errors import PlateNotFoundError

# Metadata of Zarr v2: hidden files that belong to the data.
_ZARR_METADATA = frozenset({".zgroup", ".zattrs", ".zarray"})

_TO_FOLDER, _OUTSIDE, BROKEN_LINK = "link to a folder", "link that leaves the plate folder", "broken link"
_IMAGES = (".tif", ".tiff", ".png")
# Reasons to leave out links that are not broken.
LINKS = (_TO_FOLDER, _OUTSIDE)


class ScannedFile(NamedTuple):
    """A file below the plate folder; ``folder`` is relative to it (``""`` for the plate folder itself)."""

    folder: str
    name: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> str:
        """Path relative to the plate folder, with forward slashes."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True)
class Scan:
    """What lies below a plate folder: files in the order of their paths, and entries left out by reason."""

    root: Path
    files: list[ScannedFile]
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def names_digest(self, suffixes: tuple[str, ...]) -> str:
        """Return a digest that changes when the plate has to be ingested again.

        It covers all file names, size and time of the files with one of *suffixes* (metadata, lower case), and the time
        of the oldest image of each folder: a new export into the same folder changes it, one replaced image does not.
        """
        digest = hashlib.sha256()
        oldest: dict[str, int] = {}
        for folder, files in groupby(self.files, operator.attrgetter("folder")):
            images, described, names = [], [], [f"/{folder}"]  # no file name starts with a slash
            for file in files:
                names.append(file.name)
                if file.name.lower().endswith(suffixes):
                    described.append(f"{file.name}\0{file.size} {file.mtime_ns}")
                else:
                    images.append(file.mtime_ns)
            digest.update("\0".join([*names, *described, ""]).encode(errors="surrogateescape"))
            if images:
                oldest[folder] = min(images)
        digest.update(repr(sorted(oldest.items())).encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector, which would visit a plate's 100,000 records again and again."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@without_garbage_collection()
def scan_plate(root: str | os.PathLike[str]) -> Scan:
    """List every file below *root* without opening one.

    Hidden entries (but not the metadata of Zarr v2), links to folders, broken links, links that leave the folder and
    names that JSON and Parquet cannot hold are left out and reported.

    Raises
    ------
    PlateNotFoundError
        *root* does not exist, is not a folder or cannot be read.
    """
    top = Path(root)
    try:
        with os.scandir(top):
            pass
    except OSError as error:
        what = {errno.ENOENT: "does not exist", errno.ENOTDIR: "is a file, not a folder"}.get(error.errno or 0)
        what = what or f"cannot be read ({error.strerror})"
        raise PlateNotFoundError(
            f"plate folder {top} {what}; check the path, its permissions, or whether its disk is mounted"
        ) from error
    found: dict[str, list[ScannedFile]] = {}
    skipped: dict[str, list[str]] = defaultdict(list)
    real_root = os.path.realpath(top)
    pending = [("", str(top))]
    while pending:
        folder, path = pending.pop()
        prefix = f"{folder}/" if folder else ""
        files = found[folder] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    try:
                        if (name[0] == "." or "\\" in name or not name.isascii()) and (reason := _name_problem(name)):
                            skipped[reason].append(prefix + name.encode(errors="backslashreplace").decode())
                        elif entry.is_file(follow_symlinks=False):  # most are
                            status = entry.stat()
                            files.append(ScannedFile(folder, name, status.st_size, status.st_mtime_ns))
                        elif entry.is_dir(follow_symlinks=False):
                            pending.append((prefix + name, entry.path))
                            if name.lower().endswith(_IMAGES):
                                skipped["folder that is named like an image"].append(prefix + name)
                        elif entry.is_symlink() and (reason := _link_problem(entry, real_root)):
                            skipped[reason].append(prefix + name)
                        elif entry.is_file():
                            status = entry.stat()
                            files.append(ScannedFile(folder, name, status.st_size, status.st_mtime_ns))
                        else:
                            skipped["neither file nor folder"].append(prefix + name)
                    except OSError as error:  # for example, the file was deleted meanwhile
                        skipped[f"cannot be looked at ({error.strerror})"].append(prefix + name)
        except OSError as error:
            skipped[f"folder cannot be read ({error.strerror})"].append(folder or ".")
        files.sort(key=_name)
    ordered = [file for folder in sorted(found) for file in found[folder]]
    return Scan(top, ordered, {reason: sorted(paths) for reason, paths in sorted(skipped.items())})


_name = operator.attrgetter("name")


def _name_problem(name: str) -> str | None:
    if name.startswith("."):
        return None if name in _ZARR_METADATA else "hidden"
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        return "name is not valid UTF-8"
    return "name has a backslash" if "\\" in name else None


def _link_problem(entry: os.DirEntry[str], real_root: str) -> str | None:
    target = os.path.realpath(entry.path)
    if not os.path.exists(target):
        return BROKEN_LINK
    if os.path.isdir(target):
        return _TO_FOLDER
    return None if target.startswith(real_root + os.sep) else _OUTSIDE
