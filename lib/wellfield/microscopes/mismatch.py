"""Explains why a pattern does not match a path: where the match ends."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

# The opening of a group whose content was not tried yet.
_OPENING = re.compile(r"(?:\((?:\?P<\w+>|\?:)?)+$")


_LONGEST = 500  # longest pattern that is explained: the time grows with the square of the length


class _Reach(NamedTuple):
    """How much of a pattern fits the beginning of a text, and how much of the text that takes."""

    pattern: int
    text: int
    of: str


def explain_mismatch(pattern: str, paths: Sequence[str]) -> str:
    """Return a sentence on how far *pattern* matches the path that it matches best; ``""`` if it matches nothing."""
    starts = [part for path in paths for part in _parts(path, whole="/" in pattern)]
    beginnings = _beginnings(pattern) if len(pattern) <= _LONGEST else []
    best = max((_reach(beginnings, text) for text in starts), default=None)
    if best is None or not best.pattern or not best.text:
        return ""
    fits, rest = best.of[: best.text], best.of[best.text :]
    if best.pattern == len(pattern):
        return f"it fits up to '{fits}'; the name goes on with '{rest}', which the pattern does not cover"
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


def _reach(beginnings: Sequence[tuple[int, re.Pattern[str]]], text: str) -> _Reach:
    """Return how far the longest beginning of a pattern gets that fits a text."""
    for length, beginning in beginnings:
        if (match := beginning.match(text)) is not None:
            return _Reach(length, match.end(), text)
    return _Reach(0, 0, text)


def _beginnings(pattern: str) -> list[tuple[int, re.Pattern[str]]]:
    """Return the beginnings of a pattern that are patterns once their open groups are closed, the longest first."""
    depths, depth, escaped, in_set = [], 0, False, False
    for letter in pattern:
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif in_set or letter == "[":
            in_set = letter != "]"
        else:
            depth += {"(": 1, ")": -1}.get(letter, 0)
        depths.append(depth)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for length in range(len(pattern), 0, -1):
            try:
                found.append((length, re.compile(pattern[:length] + ")" * depths[length - 1])))
            except (re.error, RecursionError, OverflowError):
                continue
    return found


def _is_open(beginning: str) -> bool:
    try:
        re.compile(beginning)
    except re.error:
        return True
    return False
