"""Make and remove folders on a node's own disk for the files of a staged well."""

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

# Names an environment variable of the job. A dollar sign would be expanded by the submitting shell.
_VARIABLE = re.compile(r"env:(\w+)")


def scratch_folder(scratch: str | None, staging: str | os.PathLike[str]) -> Path | None:
    """Return a new folder for the files of one well below *scratch*; ``None`` if no scratch is configured.

    ``env:TMPDIR`` stands for the value of the variable ``TMPDIR`` in the job. Each call returns another folder, so that
    jobs on a shared disk never use the same one: neither jobs of other runs, nor a job that outlived its run and works
    on the same well.

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
        raise ConfigError(f"scratch: {scratch!r} is not an absolute path; name a folder on the nodes' own disks")
    return Path(place, f"wellfield-{getpass.getuser()}-{Path(staging).name}-{uuid4().hex}")


# A file in the folder of a well: it holds the path of the well's stage. The stage names the folder as long as the files
# are needed.
_OF = "stage.txt"


@contextmanager
def own_scratch(folder: Path | None, staging: str | os.PathLike[str]) -> Iterator[None]:
    """Make the folder of a well, marked as in use; remove the folders that killed jobs left beside it.

    The folder is in use while this process holds the lock on a file in it, and afterwards as long as the stage names
    it.
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises an error if a job holds the lock
            stage = file.read()
            if stage and not _names(Path(stage), folder):
                remove_scratch(folder)
                removed.append(folder.name)
    return removed


def _names(stage: Path, folder: Path) -> bool:
    """Tell whether the files of a staged well are in *folder*; if the stage's list cannot be read, assume so."""
    listed = stage / STAGED_NAME
    if not listed.exists():
        return False
    with suppress(OSError, ValueError, AttributeError):
        return str(read_json(listed).get("scratch")) == str(folder)
    return True
