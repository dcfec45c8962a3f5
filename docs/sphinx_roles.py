"""Show the cross-references of docstrings, such as ``:class:`~wellfield.storage.FileManager```, as code."""

import re
from typing import Any

import griffe


class SphinxRoles(griffe.Extension):
    """Replace each role by the last part of the name it refers to."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            text = re.sub(r":\w+:`~[\w.]*?(\w+)`", r"`\1`", obj.docstring.value)
            obj.docstring.value = re.sub(r":\w+:`([^`]+)`", r"`\1`", text)
