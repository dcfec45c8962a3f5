"""Count the file operations of reading: this part of the speed is the same on every machine.

A fresh process reads prepared data under ``strace`` (a Debian package), which records every system call with a path.
Only paths below the data's folder count, and only calls that a network file system has to answer: opening files,
looking at paths (``stat`` and similar calls), listing folders, and changes (reading makes none).

``python -m wellfield.storage.conformance.operations BASELINE.json`` counts everything and writes the numbers to a file.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.backend import Backend, ZarrChunkStrategy, ZarrConfig
from wellfield.storage.base import ReadableBackend
from wellfield.storage.conformance.subject import value
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

_MODULE = "wellfield.storage.conformance.operations"  # also when it runs as the program

BATCH = "load 1,000 planes in a batch"
SHAPE = (16, 16)
THOUSAND = [PlaneKey("A01", f, c, z, 1) for f in range(1, 11) for c in range(1, 5) for z in range(1, 26)]
HUNDRED = THOUSAND[5::10]
FEW = [PlaneKey("A01", 1, c, z, 1) for c in (1, 2) for z in (1, 2)]
WELLS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 13)]

_LOOKS = frozenset(
    {"access", "faccessat", "faccessat2", "lstat", "newfstatat", "readlink", "readlinkat", "stat", "statx"}
)
_OPENS = frozenset({"open", "openat", "openat2"})
_CALL = re.compile(r"\d+ +(?P<name>\w+)\((?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>)?(?P<rest>.*)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Operations:
    """Numbers of operations on paths.

    Parameters
    ----------
    files:
        Number of different files that were opened, successfully or not.
    opened:
        Number of these calls.
    stats:
        Number of looks at a path without opening it.
    listings:
        Number of times that the entries of a folder were read.
    changes:
        Number of times that a file or folder was written, made, renamed or removed.
    """

    files: int = 0
    opened: int = 0
    stats: int = 0
    listings: int = 0
    changes: int = 0


def kinds() -> list[str]:
    """Return the kinds of storage that are counted."""
    return [*(f"zarr-{strategy}" for strategy in ZarrChunkStrategy), str(Backend.VIRTUAL_WORKSPACE)]


def count_operations(kind: str, folder: Path) -> dict[str, Operations]:
    """Return the operations of each task of a kind of storage, by the task's name.

    Parameters
    ----------
    folder:
        An empty folder for the data.

    Raises
    ------
    FileNotFoundError
        ``strace`` is not installed.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise FileNotFoundError("operations are counted with strace; install the package of that name")
    root = folder.resolve() / "data"
    _prepare(kind, root)
    trace = folder / "trace"
    child = [sys.executable, "-m", _MODULE, "--read", kind, str(root)]
    options = ["-f", "-qq", "-y", "--seccomp-bpf", "-e", "trace=%file", "-e", "signal=none", "-o", str(trace)]
    found = subprocess.run([strace, *options, *child], capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"{' '.join(child)} failed under strace:\n{found.stderr}")
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return read_trace(lines, root)


def read_trace(lines: Iterable[str], root: Path) -> dict[str, Operations]:
    """Return the number of calls on paths below *root*, for each task: its calls are between its marks in the trace."""
    found: dict[str, dict[str, int]] = {}
    task: dict[str, int] | None = None
    files: set[Path] = set()
    for line in lines:
        call = _CALL.match(line)
        path = call and _STRING.search(call["rest"])
        if not call or not path or not path[1]:
            continue  # the rest of a call that was counted at its beginning; "" is a file that is already open
        where = Path(call["folder"] or "/", path[1])
        if not where.is_relative_to(root):
            continue
        if where.name.startswith(_BEGIN):
            task = found[where.name.removeprefix(_BEGIN)] = asdict(Operations())
            files = set()
        elif where.name == _END:
            task = None
        elif task is not None:
            kind = _kind(call["name"], call["rest"])
            task[kind] += 1
            if kind == "opened":
                files.add(where)
                task["files"] = len(files)
    return {name: Operations(**numbers) for name, numbers in found.items()}


def _kind(name: str, arguments: str) -> str:
    if name in _LOOKS:
        return "stats"
    if name not in _OPENS or any(flag in arguments for flag in ("O_CREAT", "O_WRONLY", "O_RDWR", "O_TMPFILE")):
        return "changes"
    return "listings" if "O_DIRECTORY" in arguments else "opened"


# --- the data and the tasks ---


def _prepare(kind: str, root: Path) -> None:
    root.mkdir(parents=True)
    if kind == Backend.VIRTUAL_WORKSPACE:
        DiskStorageBackend().save_batch(
            [value(1, shape=SHAPE)] * len(THOUSAND), [root / raw for raw in _mapping().values()]
        )
        return
    config = ZarrConfig(chunk_strategy=ZarrChunkStrategy(kind.removeprefix("zarr-")))
    backend = ZarrStorageBackend()
    stores = (("thousand", ["A01"], THOUSAND), ("one", WELLS[-1:], FEW), ("many", WELLS, FEW))
    for store, wells, keys in stores:
        for well in wells:
            paths = _paths(f"{root}/{store}.zarr", [key._replace(well=well) for key in keys])
            planes = [value(number, shape=SHAPE) for number in range(len(paths))]
            backend.save_batch(planes, paths, chunk_name=well, zarr_config=config)


def _mapping() -> dict[str, str]:
    return {
        path: f"TimePoint_1/ZStep_{key.z}/plate_{key.well}_s{key.field}_w{key.channel}.tif"
        for path, key in zip(_paths("images", THOUSAND), THOUSAND, strict=True)
    }


def _paths(folder: str, keys: list[PlaneKey]) -> list[str]:
    return [f"{folder}/{plane_name(key)}" for key in keys]


def _tasks(kind: str, root: Path) -> Mapping[str, Callable[[ReadableBackend], object]]:
    folder = "images" if kind == Backend.VIRTUAL_WORKSPACE else f"{root}/thousand.zarr"

    def one_by_one(backend: ReadableBackend) -> None:
        for path in _paths(folder, HUNDRED):
            backend.load(path)

    tasks: dict[str, Callable[[ReadableBackend], object]] = {
        BATCH: lambda backend: backend.load_batch(_paths(folder, THOUSAND)),
        "load 100 planes one by one": one_by_one,
        "list 1,000 planes": lambda backend: backend.list_files(folder),
    }
    if kind != Backend.VIRTUAL_WORKSPACE:
        last = FEW[-1]._replace(well=WELLS[-1])
        for wells, store in ((1, "one"), (len(WELLS), "many")):
            (path,) = _paths(f"{root}/{store}.zarr", [last])
            tasks[f"load a plane of a plate of {wells}"] = lambda backend, path=path: backend.load(path)  # type: ignore[misc]
    return tasks


_BEGIN = ".begin "
_END = ".end"


@contextmanager
def _marked(root: Path, name: str) -> Iterator[None]:
    """Leave marks in the trace where a task begins and ends."""
    (root / f"{_BEGIN}{name}").exists()
    yield
    (root / _END).exists()


def _read(kind: str, root: Path) -> None:
    for name, task in _tasks(kind, root).items():
        virtual = kind == Backend.VIRTUAL_WORKSPACE
        with _marked(root, name):
            task(VirtualWorkspaceBackend(root, _mapping()) if virtual else ZarrStorageBackend())


def write_baseline(path: Path) -> None:
    """Count everything and write it to *path*."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for kind in kinds():
        with tempfile.TemporaryDirectory() as folder:
            tasks = count_operations(kind, Path(folder))
        found[kind] = {name: asdict(operations) for name, operations in tasks.items()}
    path.write_text(json.dumps(found, indent=2) + "\n")


def read_baseline(path: Path) -> dict[str, dict[str, Operations]]:
    """Return what :func:`write_baseline` wrote."""
    found = json.loads(path.read_text())
    return {kind: {name: Operations(**numbers) for name, numbers in tasks.items()} for kind, tasks in found.items()}


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        _read(sys.argv[2], Path(sys.argv[3]))
    else:
        write_baseline(Path(sys.argv[1]))
