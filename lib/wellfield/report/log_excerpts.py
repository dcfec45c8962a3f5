"""The last lines of logs, as they go into pages."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

from wellfield.report.redact import PathCleaner
from wellfield.results.well_jobs import BEGINS

# How much of a log is shown: lines, characters of a line. No more than so many bytes of its end are read.
SHOWN_LINES = 20
SHOWN_WIDTH = 400
TAIL_BYTES = 64 * 1024

_BEGINS = re.compile(BEGINS.replace("%s", "([A-Z]+[0-9]+)").encode() + rb"$")


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


def excerpt(
    path: str | os.PathLike[str], clean: PathCleaner, *, name: str, about: str, well: str | None = None
) -> LogExcerpt:
    """Return the last lines of a log for a page; with *well*, of the well's section in the log of several wells."""
    return LogExcerpt(about, name, last_lines(path, clean, well=well))


def last_lines(path: str | os.PathLike[str], clean: PathCleaner, *, well: str | None = None) -> list[str] | None:
    """Return the last lines of a log without absolute paths, long ones cut; ``None`` where there is no such file.

    With *well*, the lines end where the section of the next well begins.

    Bytes that are not UTF-8 are replaced.
    """
    try:
        with open(path, "rb") as file:
            end = _section_end(file, well) if well else file.seek(0, os.SEEK_END)
            start = max(0, end - TAIL_BYTES)
            file.seek(start)
            data = file.read(end - start)
    except OSError:
        return None
    lines = data.decode(errors="replace").rstrip().splitlines()
    if start and len(lines) > 1:
        del lines[0]  # of which the beginning was not read
    return [_cut(clean(line[: 10 * SHOWN_WIDTH])) for line in lines[-SHOWN_LINES:]]


def _section_end(file: BinaryIO, well: str) -> int:
    """Return where the section of a well ends in a log; the end of the log where it has no such section."""
    position, inside = 0, False
    for line in file:
        begun = _BEGINS.search(line)
        if begun and inside:
            return position
        inside = inside or bool(begun and begun[1].decode() == well)
        position += len(line)
    return position


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN_WIDTH else f"{line[:SHOWN_WIDTH]} …"
