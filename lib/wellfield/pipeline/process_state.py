"""What a function may change outside of its images, and what is put back after it."""

from __future__ import annotations

import locale
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np


@contextmanager
def kept_surroundings() -> Iterator[None]:
    """Put back what a function changed of its process, so that results, logs and later steps stay what they are.

    Put back are the working directory (also one that was renamed), the umask, the environment, the locale, the filters
    of warnings, NumPy's error state, and how messages are logged. The seed of random numbers is not: Wellfield draws
    none from the generators that all code shares, and a seed put back gives every field the same random numbers.
    """
    folder = _open_working_directory()
    mask = os.umask(0)
    os.umask(mask)
    environment = os.environ.copy()
    region = locale.setlocale(locale.LC_ALL)
    filters = warnings.filters[:]
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    try:
        with np.errstate():
            yield
    finally:
        if folder is not None:
            with suppress(OSError):  # it may not be entered any more
                os.fchdir(folder)
            os.close(folder)
        os.umask(mask)
        if os.environ.copy() != environment:
            os.environ.clear()
            os.environ.update(environment)
        if locale.setlocale(locale.LC_ALL) != region:
            locale.setlocale(locale.LC_ALL, region)
        warnings.filters[:] = filters  # type: ignore[index]
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


def _open_working_directory() -> int | None:
    try:
        return os.open(".", os.O_RDONLY)
    except OSError:  # removed, or not to be listed
        return None
