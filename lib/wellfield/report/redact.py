"""Remove absolute paths from messages: a page of results must not say where a run took place."""

from __future__ import annotations

import re

# A path from the root of a file system with at least one folder or file; not the slash in "a/b" or "https://".
_POSIX = re.compile(r"(?<![\w.:/\-~])(?:file:/)?/+(?:[^/\s'\"<>|:]+/+)*(?=[^/\s])")
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)[\\/](?:[^\\/\s'\"<>|:]+[\\/]+)*")


class PathCleaner:
    """Removes the folders of absolute paths from a text. A path in the plate folder becomes relative to it."""

    def __init__(self, plate_path: str) -> None:
        root = plate_path.rstrip("/\\")
        self._plate = re.compile(r"(?<![\w.\-/\\])" + re.escape(root) + r"[/\\]+(?=\S)") if root else None

    def __call__(self, text: str) -> str:
        """Return *text* without absolute paths."""
        if self._plate is not None:
            text = self._plate.sub("", text)
        return _WINDOWS.sub("", _POSIX.sub("", text))
