"""The last lines of logs, as they go into pages."""

from __future__ import annotations

import os
from dataclasses import dataclass

from wellfield.report.redact import PathCleaner

# How much of a log is shown: lines, characters of a line. No more than so many bytes of its end are read.
SHOWN_LINES = 20
SHOWN_WIDTH = 400
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class LogExcerpt:
    """The last lines of a log on a page.

    Parameters
    ----------
    about:
        Well that the log belongs to, or ``whole plate``.
    name:
        How the page calls the log.
    lines:
        Its last lines; ``None`` where there is no such file.
    """

    about: str
    name: str
    lines: list[str] | None


def excerpt(path: str | os.PathLike[str], clean: PathCleaner, *, name: str, about: str) -> LogExcerpt:
    """Return the last lines of a log for a page."""
    return LogExcerpt(about, name, last_lines(path, clean))


def last_lines(path: str | os.PathLike[str], clean: PathCleaner) -> list[str] | None:
    """Return the last lines of a log without absolute paths, long ones cut; ``None`` where there is no such file.

    Bytes that are not UTF-8 are replaced.
    """
    try:
        with open(path, "rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(start)
            data = file.read(TAIL_BYTES)
    except OSError:
        return None
    lines = data.decode(errors="replace").rstrip().splitlines()
    if start and len(lines) > 1:
        del lines[0]  # of which the beginning was not read
    return [_cut(clean(line[: 10 * SHOWN_WIDTH])) for line in lines[-SHOWN_LINES:]]


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN_WIDTH else f"{line[:SHOWN_WIDTH]} …"
