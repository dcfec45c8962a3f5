"""Where the files of a staged well lie on a node's own disk."""

from __future__ import annotations

import fcntl
import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from wellfield.errors import ConfigError
from wellfield.formats.json_files import read_json
from wellfield.results.removal import remove_scratch
from wellfield.results.staged_well import STAGED_NAME

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


# In the folder of a well: the path of its stage, which names the folder while the files are wanted.
_OF = "stage.txt"


@contextmanager
def own_scratch(folder: Path | None, staging: str | os.PathLike[str]) -> Iterator[None]:
    """Make the folder of a well, so that other jobs can tell that it is in use; remove what killed jobs left beside it.

    The folder is in use while this process holds the lock on a file in it, and then as long as the stage names it.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True)
    with (folder / _OF).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(os.path.abspath(staging))
        file.flush()
        remove_dead_scratch(folder.parent)
        yield


def remove_dead_scratch(place: Path) -> list[str]:
    """Remove the folders of this user's wells in *place* that no job uses any more; return their names."""
    removed = []
    for folder in sorted(place.glob(f"wellfield-{getpass.getuser()}-*")):
        with suppress(OSError), (folder / _OF).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error where a job holds it
            stage = file.read()
            if stage and not _names(Path(stage), folder):
                remove_scratch(folder)
                removed.append(folder.name)
    return removed


def _names(stage: Path, folder: Path) -> bool:
    """Tell whether a staged well lies in a folder; so does one whose list cannot be read."""
    listed = stage / STAGED_NAME
    if not listed.exists():
        return False
    with suppress(OSError, ValueError, AttributeError):
        return str(read_json(listed).get("scratch")) == str(folder)
    return True
