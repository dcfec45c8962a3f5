"""Numbers in messages and on pages, and text that a terminal can show."""

from __future__ import annotations

from collections.abc import Iterable

_UNITS = ("kB", "MB", "GB", "TB")


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 well``, ``2,000 wells``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: ``; did you mean 'well'?``, or nothing."""
    import difflib  # only a mistake needs it

    found = difflib.get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def size_text(size: int) -> str:
    """Return a number of bytes with three significant digits, never with an exponent: ``999 bytes``, ``1,230 TB``."""
    if size < 1000:
        return f"{size} bytes"
    rounded = round(size, 3 - len(str(size)))
    power = min((len(str(rounded)) - 1) // 3, len(_UNITS))
    number = f"{rounded / 1000**power:,.2f}".rstrip("0").rstrip(".")
    return f"{number} {_UNITS[power - 1]}"


def visible(text: object) -> str:
    """Return text for a terminal or a log, lines as they are: what would steer the terminal is shown as ``\\x1b``.

    Names of files and channels come from anybody's metadata. Half a surrogate pair, of a file name that is not UTF-8,
    is shown in the same way.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        character if character.isprintable() or character in "\n\t\xa0" else repr(character)[1:-1]
        for character in shown
    )
