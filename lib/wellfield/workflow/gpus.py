"""Which GPU a job takes on a machine with several, where no scheduler hands them out."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")


def visible_gpus() -> list[str]:
    """Return the GPUs that a process may use, as ``CUDA_VISIBLE_DEVICES`` names them: all of the machine by default.

    CUDA itself goes through the names up to the first that is none, such as ``-1`` or SLURM's ``NoDevFiles``.
    """
    given = os.environ.get(VISIBLE)
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return list(takewhile(re.compile(r"\d+$|(GPU|MIG)-").match, names))
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in DEVICES.iterdir())
    return [str(number) for number in sorted(int(match[1]) for match in found if match)]


@contextmanager
def reserve_gpus(number: int, folder: str | os.PathLike[str] | None = None) -> Iterator[list[str]]:
    """Give the body *number* of the GPUs that it sees: those on which the fewest jobs of this user run.

    ``CUDA_VISIBLE_DEVICES`` names them meanwhile, so it must be entered before a library opens a device. Where the job
    sees no more than it asked for, as in one of SLURM, nothing changes.

    Parameters
    ----------
    number:
        How many GPUs the job asked for; with 0 nothing happens.
    folder:
        Where jobs tell each other which GPU they use, by locks that end with the process: a folder of the user's own
        among the temporary files by default.
    """
    seen = visible_gpus() if number else []
    if len(seen) <= number:
        yield seen
        return
    place = Path(folder or Path(tempfile.gettempdir(), f"wellfield-gpus-{os.getuid()}"))
    place.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get(VISIBLE)
    taken: dict[str, int] = {}
    for _ in range(number):
        name, lock = _take([name for name in seen if name not in taken], place)
        taken[name] = lock
    try:
        chosen = list(taken)
        os.environ[VISIBLE] = ",".join(chosen)
        yield chosen
    finally:
        for lock in taken.values():
            os.close(lock)
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def _take(names: Sequence[str], folder: Path) -> tuple[str, int]:
    """Return a GPU and the lock that says so: the first round of locks is for one job each, the second for two, …."""
    for level in count(1):
        for name in names:
            lock = os.open(folder / f"{name.replace('/', '_')}.{level}", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return name, lock
    raise AssertionError  # count has no end
