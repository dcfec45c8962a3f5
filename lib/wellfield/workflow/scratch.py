"""Where the files of a staged well lie on a node's own disk."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
from pathlib import Path

from wellfield.errors import ConfigError


def scratch_folder(scratch: str | None, staging: str | os.PathLike[str]) -> Path | None:
    """Return the folder for the files of one well below *scratch*, ``None`` where nothing is configured.

    Variables of the environment (``$TMPDIR``) are those of the job. The folder carries the user's name and a digest of
    the place of the staging folder, so that runs do not meet on a disk that all of a node's jobs share.

    Raises
    ------
    ConfigError
        A variable is not set in this job, or the folder is not an absolute path.
    """
    if not scratch:
        return None
    place = os.path.expandvars(scratch)
    if unknown := re.search(r"\$\w+|\$\{", place):
        raise ConfigError(f"scratch: {scratch!r} names the variable {unknown[0]}, which is not set in this job")
    if not os.path.isabs(place):
        raise ConfigError(f"scratch: {scratch!r} is no absolute path; name a folder on the nodes' own disks")
    run = hashlib.sha256(os.fspath(Path(staging).absolute().parent).encode()).hexdigest()[:12]
    return Path(place, f"wellfield-{getpass.getuser()}-{run}", Path(staging).name)
