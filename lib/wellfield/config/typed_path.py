"""Paths as people type them."""

from __future__ import annotations

import os


def typed_path(text: str) -> str:
    """Return a path that a person typed, as the workflow uses it: resolved once, here.

    ``~/plates`` becomes the folder in the home directory; ``./a//b/`` becomes ``a/b``. A relative path stays relative
    to the working directory, so that a project can be moved and ``results/P1/wells/B03.json`` is a target as typed.
    ``a/../b`` becomes ``b``; where ``a`` is a link, so that this would be another folder, the path becomes absolute.

    Raises
    ------
    ValueError
        The text is empty, or names the home directory of an unknown user.
    """
    if not text.strip():
        raise ValueError("expected a path, found nothing")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        user = text.partition("/")[0].removeprefix("~")
        raise ValueError(f"there is no home directory of the user {user!r}; of a folder of this name, write ./{text}")
    plain = os.path.normpath(path)
    if ".." in path.split("/") and os.path.realpath(plain) != os.path.realpath(path):
        return os.path.realpath(path)
    return plain
