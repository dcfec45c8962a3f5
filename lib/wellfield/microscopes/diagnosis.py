"""Why a pattern does not match a path: how far it gets."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

# The opening of a group of which nothing was tried yet.
_OPENING = re.compile(r"(?:\((?:\?P<\w+>|\?:)?)+$")


class _Reach(NamedTuple):
    """How much of a pattern fits the beginning of a text, and how much of the text that takes."""

    pattern: int
    text: int
    of: str


def how_far(pattern: str, paths: Sequence[str]) -> str:
    """Return a sentence that says up to where *pattern* fits that of *paths* which it fits best; ``""`` if nowhere."""
    starts = [part for path in paths for part in _parts(path, whole="/" in pattern)]
    best = max((_reach(pattern, text) for text in starts), default=None)
    if best is None or not best.pattern or not best.text:
        return ""
    fits, rest = best.of[: best.text], best.of[best.text :]
    if best.pattern == len(pattern):
        return f"it fits up to '{fits}'; the name goes on with '{rest}', for which it has nothing"
    beginning = _OPENING.sub("", pattern[: best.pattern])
    end = pattern[len(beginning) :].strip().partition("\n")[0]
    opened = re.findall(r"\(\?P<(\w+)>", beginning) if _is_open(beginning) else []
    group = re.match(r"\W*\(\?P<(\w+)>", end)
    where = f" (group {group[1]!r})" if group else f" (in group {opened[-1]!r})" if opened else ""
    ends = f"the name goes on with '{rest}'" if rest else "the name ends"
    return f"it fits up to '{fits}', where {ends}, and fails at '{end}'{where}"


def _parts(path: str, *, whole: bool) -> list[str]:
    folders = path.split("/")
    return ["/".join(folders[start:]) for start in range(len(folders))] if whole else folders[-1:]


def _reach(pattern: str, text: str) -> _Reach:
    """Try ever shorter beginnings of the pattern, with their open groups closed, until one fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for length in range(len(pattern), 0, -1):
            if (found := _match_beginning(pattern[:length], text)) is not None:
                return _Reach(length, found, text)
    return _Reach(0, 0, text)


def _match_beginning(beginning: str, text: str) -> int | None:
    for closing in range(beginning.count("(") + 1):
        try:
            match = re.match(beginning + ")" * closing, text)
        except re.error:
            continue
        return match.end() if match else None
    return None


def _is_open(beginning: str) -> bool:
    try:
        re.compile(beginning)
    except re.error:
        return True
    return False
