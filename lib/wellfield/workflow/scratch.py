"""Where the files of a staged well lie on a node's own disk."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from uuid import uuid4

from wellfield.errors import ConfigError

# How a variable of the job is named: a dollar sign would be the submitting shell's.
_VARIABLE = re.compile(r"env:(\w+)")


def scratch_folder(scratch: str | None, staging: str | os.PathLike[str]) -> Path | None:
    """Return the folder for the files of one well below *scratch*, ``None`` where nothing is configured.

    ``env:TMPDIR`` stands for what the variable ``TMPDIR`` is in the job. Each call names another folder, so that jobs
    do not meet on a disk that they share: not those of other runs, nor one that outlived its run and does the same
    well.

    Raises
    ------
    ConfigError
        A variable is not set in this job, or the folder is not an absolute path.
    """
    if not scratch:
        return None
    try:
        place = _VARIABLE.sub(lambda match: os.environ[match[1]], scratch)
    except KeyError as error:
        raise ConfigError(f"scratch: {scratch!r} names the variable {error.args[0]}, which is not set here") from None
    if not os.path.isabs(place):
        raise ConfigError(f"scratch: {scratch!r} is no absolute path; name a folder on the nodes' own disks")
    return Path(place, f"wellfield-{getpass.getuser()}-{Path(staging).name}-{uuid4().hex}")
