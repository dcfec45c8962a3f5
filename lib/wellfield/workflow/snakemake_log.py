"""What Snakemake's own log says of the jobs that failed.

Snakemake writes a block like this for each of them (indented by four more spaces in a group of jobs)::

    Error in rule process_well:
        message: SLURM-job '8' failed, SLURM status is: 'TIMEOUT'. …
        jobid: 14
        output: results/P1/.staging/B03
        log: results/P1/logs/process_well/B03.log, /home/me/8.log (check log file(s) for error details)
        external_jobid: 8

The message is the executor's. On the machine itself it is ``None``, and above the block stands how the process ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^(?P<indent> *)Error in rule (?P<rule>\w+):\n"
    r"(?:(?P=indent)    message: (?P<message>(?:.*\n){1,20}?))?"
    r"(?P=indent)    jobid: (?P<jobid>\d+)\n"
    r"(?P<rest>(?:(?P=indent)    .*(?:\n|\Z))*)",
    re.MULTILINE,
)
_LOG = re.compile(r"^ *log: (.*?)(?: \(check log file\(s\) for error details\))?$", re.MULTILINE)
_EXTERNAL = re.compile(r"^ *external_jobid: (.*)$", re.MULTILINE)
_SIGNAL = re.compile(r"^Command '.*' died with <Signals\.(\w+): \d+>\.\n(?: *\[.*\]\n)?\Z", re.MULTILINE)
# What scripts end with after Ctrl-C, see wellfield.workflow.jobs.
_INTERRUPTED = re.compile(r"^Command '.*' returned non-zero exit status 130\.\n(?: *\[.*\]\n)?\Z", re.MULTILINE)
_MEANING = {"SIGKILL": ", as by a system that has no memory left"}
# How far above a block the line is looked for.
_ABOVE = 4000

# The executor plugins add this to every message.
_BOILERPLATE = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."


@dataclass(frozen=True)
class JobError:
    """One failed attempt at a job.

    Parameters
    ----------
    log:
        The log of the rule, where it has one.
    other_logs:
        Further logs, such as that of the batch system.
    said:
        What the executor, or the operating system, said; may be empty.
    interrupted:
        The job was ended by Ctrl-C.
    """

    rule: str
    log: str
    other_logs: tuple[str, ...] = ()
    said: str = ""
    interrupted: bool = False


def read_job_errors(text: str, logs: Iterable[str]) -> dict[str, JobError]:
    """Return the last error of each of the jobs whose rules' logs are *logs*, by that log.

    The names are looked for, not taken apart: those of plates may contain commas.
    """
    wanted = set(logs)
    found = {}
    for block in _BLOCK.finditer(text):
        listed = match[1] if (match := _LOG.search(block["rest"])) else ""
        own = next((log for log in _beginnings(listed) if log in wanted), None)
        if own is None:
            continue
        above = text[max(0, block.start() - _ABOVE) : block.start()]
        ended = match[1] if (match := _SIGNAL.search(above)) else ""
        message = " ".join((block["message"] or "").replace(_BOILERPLATE, "").split())
        said = [message] if message not in ("", "None") else []
        said += [f"ended by {ended}{_MEANING.get(ended, '')}"] if ended else []
        said += [f"job {match[1]} of the batch system"] if (match := _EXTERNAL.search(block["rest"])) else []
        others = tuple(name for name in listed[len(own) :].split(", ") if name)
        interrupted = ended == "SIGINT" or bool(_INTERRUPTED.search(above))
        found[own] = JobError(block["rule"], own, others, "; ".join(said), interrupted)
    return found


def _beginnings(listed: str) -> Iterable[str]:
    """Yield the beginnings of a list of names joined by commas that may be its first name."""
    end = listed.find(", ")
    while end >= 0:
        yield listed[:end]
        end = listed.find(", ", end + 1)
    yield listed
