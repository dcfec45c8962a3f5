"""Atomic writes: a file or folder gets its final name only when it is complete."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wellfield.errors import StorageError, WellfieldError, os_failure

PART_SUFFIX = ".part"
# Suffix of the old folder between the two renames of a replacement.
_OLD_SUFFIX = f".{'0' * 12}{PART_SUFFIX}"
_PART = re.compile(r"\..+\.[0-9a-f]{12}\.part", re.DOTALL)
_ATTEMPTS = 5
_LONGEST_STEM = 200

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2  # from Linux's <fcntl.h> and <linux/fs.h>


def is_part(name: str) -> bool:
    """Tell whether a file or folder name is the name of an unfinished write, as :func:`part_path` makes it.

    Example: ``.A01.0123456789ab.part`` is such a name; ``.draft.part`` belongs to the user.
    """
    return name.endswith(PART_SUFFIX) and _PART.fullmatch(name) is not None


def part_path(final: Path) -> Path:
    """Return a new hidden sibling of *final* to write to."""
    name = os.fsencode(final.name)[:_LONGEST_STEM].decode(errors="ignore")  # a file name can have 255 bytes
    return final.with_name(f".{name}.{uuid.uuid4().hex[:12]}{PART_SUFFIX}")


@contextmanager
def atomic_path(final: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of *final*; rename it to *final* when the block ends without an error.

    The folder is made if needed. The file mode follows the umask. With *durable* the data is on the disk before the
    rename: after a power cut, either the old or the new file is there.

    Raises
    ------
    DiskSpaceError
        The file system is full.
    StorageError
        The operating system refuses the write for another reason; the message names *final*.
    """
    target = Path(final)
    part = part_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError) or isinstance(error, WellfieldError):
            raise
        full = f"no space left to write {target}; free some space, or move the results, and run again"
        other = f"{target} cannot be written: {error.strerror or error}"
        raise os_failure(error, full if error.errno in (errno.ENOSPC, errno.EDQUOT) else other, target) from error


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview, *, durable: bool = False) -> None:
    """Write *data* to *path* atomically."""
    with atomic_path(path, durable=durable) as part:
        part.write_bytes(data)


def rename_new(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Rename a file or folder to a free path.

    The check and the rename are one step if the system and the file system support it; otherwise the check comes first.

    Raises
    ------
    FileExistsError
        Something is at *destination*; both stay as they were.
    """
    if not _renameat2(source, destination, _RENAME_NOREPLACE):
        if os.path.lexists(destination):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(destination))
        os.rename(source, destination)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step; return ``False`` if the system or the file system cannot."""
    return _renameat2(first, second, _RENAME_EXCHANGE)


def _renameat2(first: str | os.PathLike[str], second: str | os.PathLike[str], flag: int) -> bool:
    """Rename with Linux's ``renameat2``; return ``False`` if the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), os.fspath(first), None, os.fspath(second))


def foreign_in(folder: Path, own: Callable[[str], bool]) -> Iterator[str]:
    """Yield the contents of a folder that are not *own*: relative paths of files, links and empty folders.

    *own* is called with the relative path of a file. A link is never own. Unfinished writes are left out.
    """
    for root, folders, files in os.walk(folder):
        base = Path(root).relative_to(folder)
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = [name for name in folders if not is_part(name)]
        for name in [*files, *links]:
            path = (base / name).as_posix()
            if not is_part(name) and ((Path(root) / name).is_symlink() or not own(path)):
                yield path
        if not folders and not files and base.parts:
            yield base.as_posix()


def carry_over(old: Path, new: Path, own: Callable[[str], bool]) -> None:
    """Add the contents of the folder *old* that are not *own* to the folder *new*, so that *new* can replace *old*.

    Files are hard-linked, or copied if the file system has no hard links. Symbolic links are made again and never
    followed.

    Raises
    ------
    FileExistsError
        *new* already has a file at one of these paths; *old* stays as it was.
    """
    for name in list(foreign_in(old, own)) if old.is_dir() and not old.is_symlink() else ():
        path, target = old / name, new / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                target.symlink_to(os.readlink(path))
            elif path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                _link_or_copy(path, target)
        except (FileExistsError, NotADirectoryError):
            raise FileExistsError(errno.EEXIST, "a file of somebody's own is where one is to go", str(path)) from None


def _link_or_copy(path: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links, or the file has too many
        shutil.copy2(path, target)


def remove_own(folder: Path, own: Callable[[str], bool]) -> None:
    """Remove the *own* files in a folder, and the folders that are empty then; everything else stays, also links."""
    for root, _, files in os.walk(folder, topdown=False):
        base = Path(root).relative_to(folder)
        for name in files:
            if own((base / name).as_posix()) and not (Path(root) / name).is_symlink():
                (Path(root) / name).unlink(missing_ok=True)
                remove_empty(Path(root), folder)


def remove_empty(folder: Path, last: Path) -> None:
    """Remove a folder if it is empty, then the folder above it if that is empty, and so on up to *last* itself."""
    with suppress(OSError):
        while folder != last.parent:
            folder.rmdir()
            folder = folder.parent


def replace_directory(staged: Path, final: Path) -> None:
    """Replace the folder *final*, if it exists, by the complete folder *staged*; both must be on one file system.

    Everything in *final* is removed: use :func:`carry_over` first to add the contents to keep to *staged*.

    If the file system can exchange two folders, a reader finds the old or the new folder at every moment. Otherwise the
    old folder is renamed first. A crash between the two renames leaves it as ``.<name>.000000000000.part``;
    :func:`restore_directory` renames it back.

    Raises
    ------
    FileExistsError
        *final* is a file or a link; it stays as it was.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(final):
        staged.rename(final)
        return
    if final.is_symlink() or not final.is_dir():
        raise FileExistsError(errno.EEXIST, "a link or a file is there, and is not replaced by a folder", str(final))
    if not _exchange(staged, final):
        staged = _rename_over(staged, final)
    shutil.rmtree(staged)


def _rename_over(staged: Path, final: Path) -> Path:
    """Replace a folder by two renames; return the new path of the old folder."""
    old = _old_path(final)
    for _ in range(_ATTEMPTS):
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
        try:
            staged.rename(final)
            return old
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # otherwise a reader has restored the old folder between the two renames: try again
    raise StorageError(f"{final} is put back whenever it is to be replaced; another process writes it")


def restore_directory(final: Path) -> None:
    """Rename a folder back if a crash in :func:`replace_directory` left it under its temporary name."""
    old = _old_path(final)
    if not os.path.lexists(final) and os.path.isdir(old):
        with suppress(OSError):  # another reader, or the writer, which is still running, was faster
            rename_new(old, final)


def restore_children(folder: Path) -> None:
    """Rename back every folder in *folder* that a crash left under its temporary name."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(_OLD_SUFFIX):
            restore_directory(folder / name[1 : -len(_OLD_SUFFIX)])


def _old_path(final: Path) -> Path:
    return final.with_name(f".{final.name}{_OLD_SUFFIX}")


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left below *folder*; if only the old version of a folder is left, rename it back.

    Use this only for a folder that nobody writes to. Links stay: no writer makes a link with such a name.
    """
    for root, folders, files in os.walk(folder):
        for name in folders[:]:
            if name.startswith(".") and name.endswith(_OLD_SUFFIX):
                final = name[1 : -len(_OLD_SUFFIX)]
                restore_directory(Path(root, final))
                if final not in folders:
                    folders[folders.index(name)] = final
        for name in files:
            if is_part(name) and not (Path(root) / name).is_symlink():
                (Path(root) / name).unlink(missing_ok=True)
        for name in [n for n in folders if is_part(n) and not (Path(root) / n).is_symlink()]:
            shutil.rmtree(Path(root) / name, ignore_errors=True)
            folders.remove(name)
