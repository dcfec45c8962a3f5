"""The last lines of logs, as they go into pages."""

from __future__ import annotations

import os

from wellfield.report.markup import html_text
from wellfield.report.redact import PathCleaner

# How much of a log is shown: lines, characters of a line. No more than so many bytes of its end are read.
SHOWN_LINES = 20
SHOWN_WIDTH = 400
TAIL_BYTES = 64 * 1024


def last_lines(path: str | os.PathLike[str], clean: PathCleaner) -> list[str] | None:
    """Return the last lines of a log without absolute paths, long ones cut; ``None`` where there is no such file.

    Bytes that are no UTF-8 are replaced.
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


def html_log(path: str | os.PathLike[str], clean: PathCleaner, *, name: str, about: str = "") -> str:
    """Return the last lines of a log, folded away; *name* is what the log is called, *about* what it belongs to."""
    lines = last_lines(path, clean)
    title = f"{html_text(about)}: " if about else ""
    if not lines:
        reason = "is not there" if lines is None else "is empty"
        return f'<p class="note">{title}the log <code>{html_text(name)}</code> {reason}.</p>'
    text = html_text("\n".join(lines))
    return f"<details><summary>{title}last lines of <code>{html_text(name)}</code></summary><pre>{text}</pre></details>"
