"""Choose a GPU for a job on a machine with several GPUs and no scheduler that assigns them."""

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
    """Return the GPUs in ``CUDA_VISIBLE_DEVICES``; if it is not set, all GPUs of the machine.

    Like CUDA, this stops at the first name that is not a GPU, such as ``-1`` or SLURM's ``NoDevFiles``.
    """
    given = os.environ.get(VISIBLE)
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return list(takewhile(re.compile(r"\d+$|(GPU|MIG)-").match, names))
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in DEVICES.iterdir())
    return [str(number) for number in sorted(int(match[1]) for match in found if match)]


@contextmanager
def reserve_gpus(number: int, folder: str | os.PathLike[str] | None = None) -> Iterator[list[str]]:
    """Reserve *number* of the visible GPUs for the body: those on which the fewest jobs of this user run.

    Meanwhile ``CUDA_VISIBLE_DEVICES`` names only these, so this must be entered before a library opens a device. If the
    job sees no more GPUs than it asked for, as in a job of SLURM, nothing changes.

    Parameters
    ----------
    number:
        How many GPUs the job asked for; with 0 nothing happens.
    folder:
        Folder of lock files by which jobs tell each other which GPU they use; a lock ends with its process. By default
        a folder of the user among the temporary files.
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
    """Return a GPU and its lock: first a GPU without a job is looked for, then one with one job, and so on."""
    for level in count(1):
        for name in names:
            lock = os.open(folder / f"{name.replace('/', '_')}.{level}", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return name, lock
    raise AssertionError  # never reached: count is endless
