"""Atomic writes: a file or folder has its final name only when it is complete."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wellfield.errors import DiskSpaceError, StorageError, WellfieldError

PART_SUFFIX = ".part"
_OLD_SUFFIX = f".old{PART_SUFFIX}"


def is_part(name: str) -> bool:
    """Tell whether a file or folder name is that of an unfinished write."""
    return name.startswith(".") and name.endswith(PART_SUFFIX)


def part_path(final: Path) -> Path:
    """Return a new hidden sibling of *final* to write to."""
    return final.with_name(f".{final.name}.{uuid.uuid4().hex[:12]}{PART_SUFFIX}")


@contextmanager
def atomic_path(final: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path in the folder of *final*; rename it to *final* when the block ends without an error.

    The folder is made if needed. The file mode follows the umask. With *durable* the data is on the disk before the
    rename, so that even a power cut leaves the old or the new file.

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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(
                error.errno, f"no space left to write {target}; free some space, or move the results, and run again"
            ) from error
        raise StorageError(f"{target} cannot be written: {error.strerror or error}") from error


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview, *, durable: bool = False) -> None:
    """Write *data* to *path* atomically."""
    with atomic_path(path, durable=durable) as part:
        part.write_bytes(data)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step (Linux ``renameat2``); ``False`` where system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    at_fdcwd, rename_exchange = -100, 2
    if renameat2(at_fdcwd, os.fsencode(first), at_fdcwd, os.fsencode(second), rename_exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(second))


def replace_directory(staged: Path, final: Path) -> None:
    """Put the complete folder *staged* in the place of *final*, which may exist; both are on one file system.

    Where the file system can exchange two folders, a reader finds the old or the new one at every moment. Elsewhere the
    old one is renamed away first; a crash between the two renames leaves it as ``.<name>.old.part``, which
    :func:`heal_directory` puts back.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    if not final.exists():
        staged.rename(final)
        return
    if not _exchange(staged, final):
        old = _old_path(final)
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        staged.rename(final)
        staged = old
    shutil.rmtree(staged)


def heal_directory(final: Path) -> None:
    """Put back a folder that a crash in :func:`replace_directory` left under its old name."""
    old = _old_path(final)
    if not final.exists() and old.is_dir():
        old.rename(final)


def _old_path(final: Path) -> Path:
    return final.with_name(f".{final.name}{_OLD_SUFFIX}")


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left below *folder*, putting back a folder of which only the old one is left.

    Only for a folder that nobody writes to.
    """
    for root, folders, files in os.walk(folder):
        for name in folders[:]:
            if name.startswith(".") and name.endswith(_OLD_SUFFIX):
                final = name[1 : -len(_OLD_SUFFIX)]
                heal_directory(Path(root, final))
                if final not in folders:
                    folders[folders.index(name)] = final
        for name in files:
            if is_part(name):
                (Path(root) / name).unlink(missing_ok=True)
        for name in [n for n in folders if is_part(n)]:
            shutil.rmtree(Path(root) / name, ignore_errors=True)
            folders.remove(name)
