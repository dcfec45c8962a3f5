"""Read and change Snakemake's undocumented attributes. No other module does.

Two things can happen where a later Snakemake has no such attribute. What a run cannot do without raises a
:class:`~wellfield.errors.SnakemakeVersionError` that names the attribute. What only saves time or tidies up is left
out, as the docstring of the function says. ``tests/unit/workflow/test_snakemake_api.py`` runs all of them against the
Snakemake that is installed.

Every process of Snakemake imports this module, so it imports little.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from wellfield.errors import SnakemakeVersionError

CHECK = "check_plate"

# Where Snakemake keeps the locks of a run, in its working directory.
_LOCKS = Path(".snakemake", "locks")

_SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

Hook = Callable[..., Any]
_Handler = TypeVar("_Handler", bound=logging.Handler)


class Job(NamedTuple):
    """A job by its rule, its plate and its well, which is empty for a job of the whole plate."""

    rule: str
    plate: str
    well: str = ""


@dataclass(frozen=True)
class RunJobs:
    """The jobs of a run: those that are finished, those that are not, and of the latter those that failed.

    *whole* are the plates of which Snakemake looked at everything, and not only at single wells.
    """

    finished: frozenset[Job] = frozenset()
    pending: frozenset[Job] = frozenset()
    died: frozenset[Job] = frozenset()
    whole: frozenset[str] = frozenset()


# --- which process this is ---------------------------------------------------------------------------------------


def is_main_process(workflow: Any) -> bool:
    """Tell whether this process chooses the jobs; ``False`` in one that Snakemake starts for a single job."""
    return bool(_attribute(workflow, "is_main_process"))


def is_run(workflow: Any) -> bool:
    """Tell whether this process does the jobs of a run: not one of them alone, and not ``--touch``."""
    return is_main_process(workflow) and not _attribute(workflow, "touch")


def will_run(workflow: Any) -> bool:
    """Tell whether this process is about to run jobs: no dry run, and nothing that only looks, such as ``--dag``."""
    executor = _attribute(workflow, "executor_plugin")
    return executor is not None and is_run(workflow) and not _attribute(workflow, "dryrun")


def is_main_workflow(workflow: Any, snakefile: Path) -> bool:
    """Tell whether *snakefile* was started, and is not a module of another workflow."""
    return Path(str(_attribute(workflow, "main_snakefile"))).resolve() == snakefile.resolve()


def is_locked() -> bool:
    """Tell whether a run is at work in the working directory, or was killed and is not unlocked yet.

    ``False`` where a later Snakemake keeps its locks elsewhere: Snakemake itself still refuses the second run.
    """
    return any(_LOCKS.glob("*"))


# --- settings ----------------------------------------------------------------------------------------------------


def config_files(workflow: Any) -> list[str]:
    """Return all files that the configuration is read from."""
    return [str(path) for path in _attribute(workflow, "configfiles")]


def files_after_configfile(workflow: Any) -> list[str]:
    """Return what follows ``--configfile`` on the command line; nothing where Snakemake does not say it."""
    return [str(path) for path in getattr(workflow, "overwrite_configfiles", None) or ()]


def is_silent(workflow: Any) -> bool:
    """Tell whether ``--quiet all`` keeps Snakemake from printing errors; ``False`` where it does not say so."""
    settings = getattr(workflow, "output_settings", None)
    return "all" in map(str, getattr(settings, "quiet", None) or ())


def does_rule(workflow: Any, rule: str) -> bool:
    """Tell whether this process chooses jobs of *rule*, or is started for one."""
    return is_main_process(workflow) or rule in (_attribute(workflow, "dag_settings.allowed_rules") or ())


def jobs_at_once(workflow: Any) -> int:
    """Return how many jobs run at a time, by ``--jobs`` or ``--cores``; 0 in the process of a single job."""
    if not is_main_process(workflow):
        return 0
    nodes, cores = (_attribute(workflow, f"resource_settings.{name}") for name in ("nodes", "cores"))
    return int(nodes or cores or 1)


def local_cores(workflow: Any) -> int:
    """Return how many jobs run at a time on this machine; 0 where a cluster runs them."""
    return jobs_at_once(workflow) if runs_here(workflow) else 0


def runs_here(workflow: Any) -> bool:
    """Tell whether jobs run on this machine, and what they print is seen."""
    return bool(_attribute(workflow, "local_exec"))


def keeps_temporary(workflow: Any) -> bool:
    """Tell whether ``--notemp`` keeps temporary outputs."""
    return bool(_attribute(workflow, "storage_settings.notemp"))


def set_config(workflow: Any, config: Any, key: str, value: str) -> None:
    """Add ``--config key=value`` to the command of each job that runs in a process of its own.

    *config* is the configuration of the workflow. That of a module may be a part of the user's configuration, as in
    ``config: config["wellfield"]``, and the command then names that part. Otherwise nothing is added.
    """
    keys = _keys_to(config, _attribute(workflow, "globals")["config"])
    if keys is None:
        return
    name, *inner = [*keys, key]
    nested: Any = value
    for part in reversed(inner):
        nested = {part: nested}
    argument = f"{name}={json.dumps(nested) if inner else value}"
    settings = _attribute(workflow, "config_settings")
    settings.config_args = [*(_attribute(workflow, "config_settings.config_args") or ()), argument]


def _keys_to(part: Any, whole: Any) -> list[str] | None:
    """Return the keys that lead from *whole* to *part*, which is the same object; ``None`` if it is not in there."""
    if part is whole:
        return []
    for key, value in whole.items() if isinstance(whole, dict) else ():
        keys = _keys_to(part, value)
        if keys is not None:
            return [key, *keys]
    return None


def ignore_script_times(workflow: Any) -> None:
    """Run no job again because its script is newer than its outputs.

    Snakemake's trigger ``code`` does that for a comment, and for a fresh checkout. The parameter ``code`` of each rule
    has a digest of what the code does instead. To be called by an input function: Snakemake has no such settings yet
    while it reads the Snakefile. Without them the trigger stays as it is.
    """
    settings = getattr(workflow, "dag_settings", None)
    triggers = getattr(settings, "rerun_triggers", None)
    if settings is not None and triggers is not None:
        settings.rerun_triggers = frozenset(trigger for trigger in triggers if getattr(trigger, "name", "") != "CODE")


def replace_output(workflow: Any, make: Callable[..., _Handler]) -> _Handler | None:
    """Have the handler that *make* returns print in place of Snakemake's own, which *make* is called with; return it.

    Snakemake's stays where the user asks for its output (``--verbose``, ``--printshellcmds``, ``--debug-dag``, a logger
    plugin) or for none (``--quiet all``), and where a later Snakemake has other handlers.
    """
    settings = getattr(workflow, "output_settings", None)
    logger = getattr(getattr(workflow, "logger_manager", None), "logger", None)
    asks = any(getattr(settings, name, True) for name in ("verbose", "printshellcmds", "debug_dag", "dryrun"))
    found = [handler for handler in getattr(logger, "handlers", ()) if handler.name == "DefaultStreamHandler"]
    if logger is None or asks or is_silent(workflow) or len(found) != 1:
        return None
    quiet, stream = map(str, getattr(settings, "quiet", None) or ()), found[0].stream
    handler = make(found[0], stream=stream, is_terminal=_is_terminal(stream), quiet=quiet)
    logger.addHandler(handler)
    logger.removeHandler(found[0])
    return handler


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"


# --- jobs --------------------------------------------------------------------------------------------------------


def run_jobs(workflow: Any) -> RunJobs:
    """Return the jobs of plates in a run of Snakemake, those of a group one by one."""
    dag = _attribute(workflow, "dag")
    needed = list(_attribute(dag, "needrun_jobs")(exclude_finished=False))
    finished = _attribute(dag, "finished")
    failed = [
        part for job in _attribute(workflow, "scheduler.failed") for part in (job.jobs if job.is_group() else [job])
    ]
    done = _named(job for job in needed if finished(job))
    return RunJobs(
        done,
        _named(job for job in needed if not finished(job)),
        # By their names: Snakemake makes new jobs after a checkpoint, and keeps the old ones that failed.
        _named(failed) - done,
        frozenset(job.plate for job in _named(_attribute(dag, "jobs")) if job.rule == CHECK),
    )


def has_scheduled(workflow: Any) -> bool:
    """Tell whether the run got so far as to have jobs; ``False`` too where Snakemake does not say it."""
    return getattr(workflow, "scheduler", None) is not None


def needed_jobs(workflow: Any, *, with_finished: bool = False) -> frozenset[Job]:
    """Return the jobs of plates that a run is about to do, and those that it has done *with_finished*."""
    return _named(_attribute(workflow, "dag.needrun_jobs")(exclude_finished=not with_finished))


def force_outputs(workflow: Any, outputs: Iterable[str]) -> None:
    """Have Snakemake make *outputs* again where the run is about them: paths as the rules have them.

    To be called by an input function, which Snakemake calls when it has the graph and has not decided yet what runs.
    What ``--forcerun`` does adds the files to the targets, which would do more than is asked for.
    """
    _attribute(workflow, "dag.forcefiles").update(outputs)


def target_files(workflow: Any) -> frozenset[str]:
    """Return the files that the user asks for; nothing where Snakemake does not say them.

    To be called by an input function, which Snakemake calls when it has the graph.
    """
    dag = getattr(workflow, "dag", None)
    return frozenset(os.path.normpath(str(file)) for file in getattr(dag, "targetfiles", None) or ())


def forced_by_user(workflow: Any) -> list[str]:
    """Return what ``--forcerun`` names, and with ``--force`` the targets; nothing where Snakemake does not say them."""
    settings = getattr(workflow, "dag_settings", None)
    targets = target_files(workflow) if getattr(settings, "forcetargets", False) else ()
    return [*(os.path.normpath(str(name)) for name in getattr(settings, "forcerun", None) or ()), *targets]


def _named(jobs: Iterable[Any]) -> frozenset[Job]:
    found = set()
    for job in jobs:
        rule = _own_name(str(_attribute(job, "rule.basedir")), _attribute(job, "rule.script"))
        if rule:
            wildcards = _attribute(job, "wildcards_dict")
            found.add(Job(rule, wildcards["plate"], wildcards.get("well", "")))
    return frozenset(found)


@cache
def _own_name(folder: str, script: str | None) -> str:
    """Return the name that a rule has in this workflow: that of its script. It is empty for rules of others.

    A Snakefile that imports this workflow as a module may rename the rules, and has rules of its own.
    """
    path = Path(folder, script).resolve() if script else Path()
    return path.stem if path.parent == _SCRIPTS else ""


# --- as a module of another Snakefile ----------------------------------------------------------------------------


def is_module(workflow: Any) -> bool:
    """Tell whether the Snakefile that is being read is a module of another one."""
    return not _attribute(workflow, "modifier.is_main_snakefile")()


def given_name(workflow: Any, rule: str) -> str:
    """Return the name that the user's Snakefile gives to a rule of the module that is being read."""
    return str(_attribute(workflow, "modifier.modify_rulename")(rule))


def has_prefix(workflow: Any, path: str) -> bool:
    """Tell whether the ``prefix:`` of the module that is being read changes a path."""
    return str(_attribute(workflow, "modifier.modify_path")(path)) != path


def add_hooks(workflow: Any, results: str, onstart: Hook, onsuccess: Hook, onerror: Hook) -> None:
    """Have Snakemake call the hooks of a module, each before the hook of the same name in the user's Snakefile.

    Snakemake itself ignores them. To be called by an input function: then Snakemake has read the user's Snakefile, and
    has not begun the run. A second call for the same folder of results does nothing: for ``use rule … with:`` Snakemake
    reads the module once more.
    """
    done = workflow.__dict__.setdefault("_wellfield_hooks", set())
    if results in done:
        return
    done.add(results)
    workflow._onstart = _both(onstart, _attribute(workflow, "_onstart"))
    workflow._onsuccess = _both(onsuccess, _attribute(workflow, "_onsuccess"))
    workflow._onerror = _both(onerror, _attribute(workflow, "_onerror"))


def _both(first: Hook, second: Hook) -> Hook:
    def call(log: Any) -> None:
        first(log=log)
        second(log)

    return call


def find_checkpoint(workflow: Any, checkpoints: Any, name: str, output: str) -> Any:
    """Return a checkpoint of the workflow by its *name*, or by one of its outputs.

    For ``use rule … with:`` Snakemake reads the module once more, and leaves out the checkpoints that are not named
    there (https://github.com/snakemake/snakemake/issues/4096).
    """
    found = getattr(checkpoints, name, None)
    if found is None:
        from snakemake.checkpoints import Checkpoint
        from snakemake.io import strip_wildcard_constraints

        rules = _attribute(workflow, "rules")
        rule = next(rule for rule in rules if output in map(strip_wildcard_constraints, rule.output))
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


# --- the end of a run --------------------------------------------------------------------------------------------


def stop_timers() -> None:
    """End the timers by which Snakemake would look for jobs to start once more, a second after it started the last.

    There are no jobs any more, and a process waits for its timers before it ends. Where Snakemake has no such timer,
    nothing is done, and where it keeps them elsewhere, the process ends a second later.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            module = getattr(thread.function, "__module__", None) or ""
            if module.startswith("snakemake.scheduling"):
                thread.cancel()


def _attribute(value: Any, path: str) -> Any:
    """Return the attribute that a dotted path names.

    Raises
    ------
    SnakemakeVersionError
        There is none.
    """
    found = value
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise SnakemakeVersionError(
                f"Snakemake {_version()} has no {path} in its {type(value).__name__}, which Wellfield needs; install "
                "the version of Snakemake that Wellfield was tested with: pip install 'snakemake==9.27.1'"
            ) from None
    return found


def _version() -> str:
    with suppress(Exception):
        from importlib.metadata import version  # only for this message

        return version("snakemake")
    return ""
