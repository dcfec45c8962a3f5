"""Use of the workflow as a module of another Snakefile: what Snakemake leaves out there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Hook = Callable[..., Any]


def add_hooks(workflow: Any, results: str, onstart: Hook, onsuccess: Hook, onerror: Hook) -> None:
    """Have Snakemake call the hooks of a module, each before the hook of the same name in the user's Snakefile.

    To be called by an input function: then Snakemake has read all of the user's Snakefile, and has not begun the run.
    A second call for the same results does nothing: ``use rule … from … with:`` reads the module once more.

    Parameters
    ----------
    workflow:
        Snakemake's workflow.
    results:
        Folder of the module's results, as it is configured.
    onstart, onsuccess, onerror:
        The hooks as Snakemake puts them into the module's namespace.
    """
    done = workflow.__dict__.setdefault("_wellfield_hooks", set())
    if results in done:
        return
    done.add(results)
    workflow._onstart = _both(onstart, workflow._onstart)
    workflow._onsuccess = _both(onsuccess, workflow._onsuccess)
    workflow._onerror = _both(onerror, workflow._onerror)


def find_checkpoint(workflow: Any, checkpoints: Any, name: str, output: str) -> Any:
    """Return a checkpoint of the workflow by its *name*, or by one of its outputs.

    For ``use rule … from … with:`` Snakemake reads the module once more, and leaves out the checkpoints that are not
    named there (https://github.com/snakemake/snakemake/issues/4096).
    """
    found = getattr(checkpoints, name, None)
    if found is None:
        from snakemake.checkpoints import Checkpoint
        from snakemake.io import strip_wildcard_constraints

        rule = next(rule for rule in workflow.rules if output in map(strip_wildcard_constraints, rule.output))
        found = Checkpoint(rule, checkpoints)
    return found


def lead_scripts_to(folder: Path) -> None:
    """Have Python find the packages in *folder* first, in the scripts of all jobs that this process starts.

    Snakemake itself gives scripts its search path after that of their Python, where another Wellfield may be installed.
    In a conda environment there is none, and Snakemake removes ``PYTHONPATH``.
    """
    before = os.environ.get("PYTHONPATH", "")
    if str(folder) not in before.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))


def _both(first: Hook, second: Hook) -> Hook:
    def call(log: Any) -> None:
        first(log=log)
        second(log)

    return call
