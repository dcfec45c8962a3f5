"""Keep the plate sheet of a run: all jobs read it as it was when the run began, even if the file changes later."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from wellfield.formats.atomic import write_bytes
from wellfield.workflow.snakemake_api import is_run, set_config

# Of the working directory, which all jobs share; Snakemake's own records of the run lie there too.
_FOLDER = Path(".snakemake", "wellfield")
_KEY = "plates"


def keep_sheet(workflow: Any, config: MutableMapping[str, Any], content: bytes) -> Path | None:
    """Write the sheet's *content* beside Snakemake's records and make it the sheet of all jobs that follow.

    Jobs of this process read *config*; those on other machines get it on their command line. Does nothing in the
    processes of single jobs. The file is to be removed with :func:`drop_sheet` when the run ends.
    """
    if not is_run(workflow):
        return None
    path = _FOLDER / f"plates-{uuid4().hex}.tsv"
    write_bytes(path, content)
    config[_KEY] = path.as_posix()
    set_config(workflow, config, _KEY, path.as_posix())
    return path.absolute()


def drop_sheet(path: str | os.PathLike[str] | None) -> None:
    """Remove the copy of a run that ended."""
    if path is not None:
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
