"""List, copy and mirror trees of real files. Unfinished writes are always left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wellfield.errors import DestinationExistsError
from wellfield.formats.atomic import is_part, part_path, rename_new
from wellfield.storage.array_files import ARRAY_FILES
from wellfield.storage.disk_paths import is_zarr_array

_ARRAY_FILES = frozenset(name for name, _ in ARRAY_FILES)


def files_in(folder: str | os.PathLike[str], *, recursive: bool) -> Iterator[str]:
    """Yield the paths of the files, and of links to files, in a folder.

    Links to folders are not followed, and files inside the folder of a Zarr array are left out.
    """
    pending = [os.fspath(folder)]
    while pending:
        current = pending.pop()
        try:
            entries = _entries(current)
        except FileNotFoundError:
            if current == os.fspath(folder):
                raise
            continue  # a subfolder was removed meanwhile
        has_array_file = any(entry.name in _ARRAY_FILES for entry in entries)
        if has_array_file and current != os.fspath(folder) and is_zarr_array(Path(current)):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if recursive:
                    pending.append(entry.path)
            elif _is_file(entry):
                yield entry.path


def copy_tree(source: Path, copy: Path) -> None:
    """Copy a file, or a folder with everything in it, to a free path.

    If *source* is a link, its target is copied. Links in a folder are copied as links. The copies have the owner and
    mode of any new file.
    """
    if not source.is_dir():
        shutil.copyfile(source, copy)
        return
    copy.mkdir()
    for entry in _entries(source):
        target = copy / entry.name
        if entry.is_symlink():
            target.symlink_to(os.readlink(entry.path))
        else:
            copy_tree(Path(entry.path), target)


def remove_tree(path: Path) -> None:
    """Remove a file, a link, or a folder with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def put(source: Path, target: Path, *, replace_symlinks: bool) -> None:
    """Rename *source* to *target*, a free path or, with *replace_symlinks*, the path of a link, which is replaced."""
    if not (replace_symlinks and os.path.islink(target)):
        rename_new(source, target)
    elif os.path.islink(source) or not os.path.isdir(source):
        source.replace(target)
    else:  # a folder cannot be renamed onto a link
        aside = part_path(target)
        target.rename(aside)
        try:
            rename_new(source, target)
        except OSError:
            aside.rename(target)
            raise
        aside.unlink()


def mirror_tree(source: Path, destination: Path, *, replace_files: bool) -> int:
    """Make the folders of *source* in *destination*, with a link to every file; return the number of links.

    Links to folders are not followed but linked too. Existing links are replaced, each in one step.

    Raises
    ------
    DestinationExistsError
        Something that may not be replaced is at the place of a folder or a link. This is checked before any change.
    """
    folders, links = [Path()], list[Path]()
    for folder in folders:  # the list grows during the loop
        for entry in _entries(source / folder):
            (folders if entry.is_dir(follow_symlinks=False) else links).append(folder / entry.name)
    _refuse(destination, os.path.lexists(destination) and not destination.is_dir())
    for folder in folders[1:]:
        target = destination / folder
        _refuse(target, target.is_symlink() or (target.exists() and not target.is_dir()))
    for link in links:
        target = destination / link
        _refuse(target, not target.is_symlink() and (target.is_dir() if replace_files else target.exists()))
    for folder in folders:
        (destination / folder).mkdir(parents=True, exist_ok=True)
    for link in links:
        _link(os.path.abspath(source / link), destination / link)
    return len(links)


def visible_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, without unfinished writes and without the folders of suffixless Zarr arrays."""
    return [
        entry
        for entry in _entries(folder)
        if not (entry.is_dir(follow_symlinks=False) and is_zarr_array(Path(entry.path)))
    ]


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_part(entry.name)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # the link points to itself
        return False


def _refuse(path: Path, there: bool) -> None:
    if there:
        raise DestinationExistsError(
            f"{path} is in the way of the mirror, and is not overwritten; move or delete it", path=path
        )


def _link(target: str, link: Path) -> None:
    if link.is_symlink() and os.readlink(link) == target:
        return
    part = part_path(link)
    try:
        part.symlink_to(target)
        part.replace(link)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
