"""Numbers in messages and on pages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 well``, ``2,000 wells``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_text(size: int) -> str:
    """Return a number of bytes with three significant digits."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:.3g} {unit}"
    return f"{size} bytes"
