"""The plate sheet of a run: every job reads it as it was when the run began, whatever is typed into the file later."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from wellfield.formats.atomic import write_bytes
from wellfield.workflow.run_jobs import is_run

# Of the working directory, which all jobs share; Snakemake's own records of the run lie there too.
_FOLDER = Path(".snakemake", "wellfield")
_KEY = "plates"


def keep_sheet(workflow: Any, config: MutableMapping[str, Any], content: bytes) -> Path | None:
    """Write the sheet's *content* beside Snakemake's records and make it the sheet of all jobs that follow.

    Jobs of this process read *config*; those on other machines get it on their command line. Where the workflow is used
    as a module, *config* may be a part of the configuration, as in ``config: config["wellfield"]``. If it is something
    else, jobs on other machines read the sheet itself. Does nothing in the processes of single jobs. Remove the file
    with :func:`drop_sheet` when the run ends.
    """
    if not is_run(workflow):
        return None
    path = _FOLDER / f"plates-{uuid4().hex}.tsv"
    write_bytes(path, content)
    config[_KEY] = path.as_posix()
    keys = _keys_to(config, workflow.globals["config"])
    if keys is not None:
        name, *inner = [*keys, _KEY]
        value: Any = path.as_posix()
        for key in reversed(inner):
            value = {key: value}
        argument = f"{name}={value if not inner else json.dumps(value)}"
        settings = workflow.config_settings
        settings.config_args = [*(settings.config_args or ()), argument]
    return path.absolute()


def _keys_to(part: Any, whole: Any) -> list[str] | None:
    """Return the keys that lead from *whole* to *part*, which is the same object; ``None`` if it is not in there."""
    if part is whole:
        return []
    for key, value in whole.items() if isinstance(whole, dict) else ():
        keys = _keys_to(part, value)
        if keys is not None:
            return [key, *keys]
    return None


def drop_sheet(path: str | os.PathLike[str] | None) -> None:
    """Remove the copy of a run that ended."""
    if path is not None:
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
