"""Run commands and measure each with all its child processes: wall time, processor time, and their memory together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import HERE, Case, Statistics, measure

SAMPLED_EVERY = 0.1  # seconds


def environment(*, threads: int | None = None) -> dict[str, str]:
    """Return the variables of a process that finds Wellfield and the benchmarks, with so many threads where it says."""
    paths = [str(HERE.parent / "lib"), str(HERE.parent), str(HERE / "peers")]
    names = ("WELLFIELD_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    return {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": os.pathsep.join(paths)}


@dataclass(frozen=True)
class Ran:
    """A command that ran.

    Parameters
    ----------
    wall, cpu:
        Seconds; of the processors, all processes together.
    memory:
        Peak of the resident memory of all processes together, in bytes: what each has to itself, and once the shared
        pages of the one that shares most. Whoever else maps the same libraries, as this process does, changes nothing.
    text:
        What was printed.
    """

    wall: float
    cpu: float
    memory: float
    text: str


def run_tree(command: Sequence[str], *, cores: int, folder: Path, output: Path, threads: int | None = None) -> Ran:
    """Run a command in *folder* on so many cores; what it prints goes to the file *output*.

    Files that were written before are on the disk by then, so that nobody's writing slows the next.

    Raises
    ------
    RuntimeError
        It failed.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    os.sync()
    with output.open("w+", encoding="utf-8") as file:
        clock = os.times()
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_CORES, ",".join(map(str, allowed)), *command],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(threads=threads),
        )
        watch = _Watch(process.pid)
        watch.start()
        process.wait()
        ended = os.times()
        watch.stop()
        file.seek(0)
        text = file.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text[-4000:]}")
    cpu = (ended.children_user + ended.children_system) - (clock.children_user + clock.children_system)
    return Ran(ended.elapsed - clock.elapsed, cpu, watch.peak, text)


# Before the command itself, so that everything it starts keeps to the same cores.
_ON_CORES = (
    "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(','))); os.execvp(sys.argv[2], sys.argv[2:])"
)


class _Watch(threading.Thread):
    """Adds up the memory of a process and its descendants, again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLED_EVERY):
            own, shared = zip(*map(_resident, descendants(self._pid)), strict=True)
            self.peak = max(self.peak, sum(own) + max(shared))

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self.join()


def descendants(pid: int) -> list[int]:
    """Return a process and all that it started, and those in turn, as far as they still run."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _resident(pid: int) -> tuple[int, int]:
    """Return the resident bytes that a process has to itself, and those that others map too."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # it has ended
        return 0, 0
    found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    own = found.get("Private_Clean", 0) + found.get("Private_Dirty", 0)
    return own, found.get("Rss", 0) - own


def alternate(cases: Mapping[str, Callable[[], Ran]], repeats: int) -> dict[str, dict[str, Statistics]]:
    """Run cases in turn; return ``wall`` time, ``cpu`` time and ``memory`` of each."""
    seen: dict[str, list[Ran]] = {name: [] for name in cases}

    def taken(name: str) -> Callable[[None], float]:
        def run(_: None) -> float:
            seen[name].append(cases[name]())
            return seen[name][-1].wall

        return run

    wall = measure([Case(name, taken(name)) for name in cases], repeats, warm_up=0)
    return {
        "wall": wall,
        "cpu": {name: Statistics.of([ran.cpu for ran in runs]) for name, runs in seen.items()},
        "memory": {name: Statistics.of([ran.memory for ran in runs]) for name, runs in seen.items()},
    }
