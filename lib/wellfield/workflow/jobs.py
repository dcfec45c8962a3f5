"""The surroundings of a job: its log, its threads, and errors that say what to do.

Imports nothing heavy: the thread limits must be in the environment before an array library is imported.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wellfield.errors import WellfieldError
from wellfield.faults import clean_text, error_text
from wellfield.formatting import visible

# Every library that starts threads of its own reads one of these.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLOSC_NTHREADS",
    "TIFFFILE_NUM_THREADS",
    "ARROW_IO_THREADS",
    "ZARR_THREADING__MAX_WORKERS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "POCL_MAX_PTHREAD_COUNT",
    "NPROC",  # XLA's pool, and so JAX's
    "WELLFIELD_THREADS",
)


# By default TensorFlow and JAX take nearly all memory of a GPU at once, and leave none to others.
GPU_VARIABLES = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# Characters of one message of a log, its traceback included; more are cut.
LONGEST_MESSAGE = 100_000

# Exit code of a job that Ctrl-C ended.
INTERRUPTED = 130

# What stands in a job's log before the reason for which it stopped, which is its last entry.
_STOPPED = "stopped: "
_REASON_BYTES = 20_000


def cap_threads(threads: int) -> None:
    """Limit the threads of every library that this process imports later, and the memory that it takes of a GPU."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    for name, value in GPU_VARIABLES.items():
        os.environ.setdefault(name, value)


@contextmanager
def job(
    log: str | os.PathLike[str], *, threads: int = 1, writes: Iterable[str | os.PathLike[str]] | None = None
) -> Iterator[logging.Logger]:
    """Run the body of a script: threads capped, messages in *log*, an expected error as one line on stderr.

    The files that the job *writes*, its log and its benchmark are listed in its record before anything is written.

    An error of the :class:`~wellfield.errors.WellfieldError` tree, of the operating system or of a full memory ends the
    process with exit code 1 and its message on stderr; its traceback goes to the log. Any other error goes to both.
    Ctrl-C ends it with exit code 130, as in shells, and nothing on stderr.
    """
    cap_threads(threads)
    path = Path(log)
    if writes is not None:
        _announce(path, writes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    # Appending: a function that closes all handlers leaves one that opens its file again.
    handler = logging.FileHandler(path, mode="a", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_LogFormatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logger = logging.getLogger("wellfield")
    try:
        yield logger
    except KeyboardInterrupt:
        logger.error("interrupted")
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        logger.error("%s", traceback.format_exc())
        message = _one_line(error)
        logger.error("%s%s", _STOPPED, message or error_text(error))
        if message is None:
            raise
        print(f"error: {visible(message)}\n(log: {path})", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        root.removeHandler(handler)
        handler.close()


def stop_reason(log: str | os.PathLike[str]) -> str:
    """Return why a job stopped by its log; an empty text where it did not say so, as when it was killed."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _REASON_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.rpartition(f"ERROR wellfield: {_STOPPED}")[2].strip() if f": {_STOPPED}" in text else ""


def _announce(log: Path, writes: Iterable[str | os.PathLike[str]]) -> None:
    """List in a job's record what it writes. Its log ``<results>/logs/<rule>/<well or plate>.log`` says whose it is."""
    from wellfield.results.paths import WELL_RULES, WellFile, job_files
    from wellfield.results.records import announce

    results, rule, name = log.parents[2], log.parent.name, log.stem
    paths = [os.path.relpath(file, results).replace(os.sep, "/") for file in writes]
    of_well = rule in WELL_RULES
    paths += job_files(WELL_RULES if of_well else (rule,), name)
    # The first job of a well lists what Snakemake removes before the second one.
    paths += [file.of(name) for file in WellFile] if of_well else []
    try:
        announce(results, rule, paths, well=name if of_well else "")
    except WellfieldError as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def _one_line(error: Exception) -> str | None:
    """Return what to say of an expected error; ``None`` for one that only its traceback explains."""
    if isinstance(error, WellfieldError):
        return clean_text(str(error), LONGEST_MESSAGE)
    if isinstance(error, MemoryError):
        return f"too little memory: {clean_text(str(error)) or 'the machine gave none'}"
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno == errno.ENOSPC:
        return f"no space left on the device while writing {error.filename or 'results'}"
    return f"{error.filename or 'a file'}: {error.strerror}"


class _LogFormatter(logging.Formatter):
    """Writes a message so that no log grows without bound, whatever the text of an error is."""

    def format(self, record: logging.LogRecord) -> str:
        return clean_text(super().format(record), LONGEST_MESSAGE)


def say(logger: logging.Logger, line: str) -> None:
    """Tell the user something while a job runs: in the log, and on stderr (the screen, unless it runs on a cluster)."""
    logger.info("%s", line)
    print(visible(line), file=sys.stderr, flush=True)
