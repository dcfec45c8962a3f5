"""Run the body of a job's script: set its log and thread limits, and report errors so that users know what to do.

This module imports nothing heavy: the thread limits must be in the environment before an array library is imported.
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

# Every library that starts its own threads reads one of these.
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
    "NPROC",  # the thread pool of XLA, which JAX uses
    "WELLFIELD_THREADS",
)


# By default TensorFlow and JAX reserve nearly all memory of a GPU at once and leave none for other processes.
GPU_VARIABLES = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# Longest message of a log in characters, including its traceback; a longer message is cut.
LONGEST_MESSAGE = 100_000

# Exit code of a job that Ctrl-C ended.
INTERRUPTED = 130

# Precedes the reason in the last entry of a stopped job's log.
_STOPPED = "stopped: "
_REASON_BYTES = 20_000


def cap_threads(threads: int) -> None:
    """Limit the threads of all libraries that this process imports later, and the GPU memory that they reserve."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    for name, value in GPU_VARIABLES.items():
        os.environ.setdefault(name, value)


@contextmanager
def job(
    log: str | os.PathLike[str], *, threads: int = 1, writes: Iterable[str | os.PathLike[str]] | None = None
) -> Iterator[logging.Logger]:
    """Run the body of a script with limited threads, messages in *log*, and expected errors as one line on stderr.

    The files that the job *writes*, its log and its benchmark are listed in its record before anything is written.

    A :class:`~wellfield.errors.WellfieldError`, an error of the operating system or too little memory ends the process
    with exit code 1; its message goes to stderr, its traceback to the log. The traceback of any other error goes to
    both. Ctrl-C ends the process with exit code 130, as in shells, and prints nothing on stderr.
    """
    cap_threads(threads)
    path = Path(log)
    if writes is not None:
        _announce(path, writes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    # Append: if a function closes all handlers, this one opens its file again.
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
    """Return from a job's log why it stopped; an empty text if the log does not say so, for example after a kill."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _REASON_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.rpartition(f"ERROR wellfield: {_STOPPED}")[2].strip() if f": {_STOPPED}" in text else ""


def _announce(log: Path, writes: Iterable[str | os.PathLike[str]]) -> None:
    """List the files of a job in its record; its log ``<results>/logs/<rule>/<wells or plate>.log`` identifies it."""
    from wellfield.plate.wells import is_well
    from wellfield.results.paths import WELL_RULES, WellFile, job_files
    from wellfield.results.records import announce

    results, rule, name = log.parents[2], log.parent.name, log.stem
    paths = [os.path.relpath(file, results).replace(os.sep, "/") for file in writes]
    of_well = rule in WELL_RULES
    paths += job_files(WELL_RULES if of_well else (rule,), name)
    # The first job of a well also lists the files of the second job: Snakemake removes them before that one runs.
    if of_well:
        paths += [file.of(name) for file in WellFile] if is_well(name) else [WellFile.MANIFEST.of(name)]
    try:
        announce(results, rule, paths, well=name if of_well else "")
    except WellfieldError as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def _one_line(error: Exception) -> str | None:
    """Return the message of an expected error; ``None`` if only its traceback explains the error."""
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
    """Cuts long messages, so that the text of an error cannot fill the disk."""

    def format(self, record: logging.LogRecord) -> str:
        return clean_text(super().format(record), LONGEST_MESSAGE)


def say(logger: logging.Logger, line: str) -> None:
    """Tell the user something while a job runs: in the log and on stderr (the screen, unless on a cluster)."""
    logger.info("%s", line)
    print(visible(line), file=sys.stderr, flush=True)
