"""Read the failed jobs from Snakemake's own log.

Snakemake writes a block like this for each failed job::

    Error in rule process_well:
        message: SLURM-job '8' failed, SLURM status is: 'TIMEOUT'. …
        jobid: 14
        output: results/P1/.staging/B03
        log: results/P1/logs/process_well/B03.log, /home/me/8.log (check log file(s) for error details)
        external_jobid: 8

The message comes from the executor. If the job ran on this machine, the message is ``None``, and a line above the block
says how the process ended::

    Command 'set -euo pipefail;  python /home/me/.snakemake/scripts/tmpxv4c2pn2.process_well.py' died with <Signals.…>.

If several jobs end at once, their lines are interleaved. The name of the script ends with the name of the rule.

Jobs in a group have blocks that are indented by four more spaces and lack the executor's message, which is lost. Above
them is a block for the group; only this block names the log of the batch system::

        message: Error in group 3f9c
        log: /home/me/8.log (check log file(s) for error details)
        jobs:
            rule process_well:
                jobid: 14
                log: results/P1/logs/process_well/B03.log (check log file(s) for error details)
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^(?P<indent> *)Error in rule (?P<rule>\w+):\n"
    r"(?:(?P=indent)    message: (?P<message>(?:.*\n){1,20}?))?"
    r"(?P=indent)    jobid: (?P<jobid>\d+)\n"
    r"(?P<rest>(?:(?P=indent)    .*(?:\n|\Z))*)",
    re.MULTILINE,
)
_GROUP = re.compile(
    r"^    message: Error in group .*\n"
    r"(?P<listed>    log: .*\n)?"
    r"    jobs:\n"
    r"(?P<members>(?: {8}.*(?:\n|\Z))+)",
    re.MULTILINE,
)
_ENDING = re.compile(
    r"^Command '.*\.(?P<rule>\w+)\.py\b.*' "
    r"(?:died with <Signals\.(?P<signal>\w+): \d+>|returned non-zero exit status (?P<status>\d+))\.$",
    re.MULTILINE,
)
_LOG = re.compile(r"^ *log: (.*?)(?: \(check log file\(s\) for error details\))?$", re.MULTILINE)
_EXTERNAL = re.compile(r"^ *external_jobid: (.*)$", re.MULTILINE)
_MEANING = {"SIGKILL": ", as by a system that has no memory left"}
# Shells and containers report a signal as exit status 128 + its number. So do Wellfield's scripts after Ctrl-C
# (wellfield.workflow.jobs).
_SIGNALLED = 128

# The executor plugins add this to every message.
_BOILERPLATE = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."


@dataclass(frozen=True)
class JobError:
    """One failed attempt at a job.

    Parameters
    ----------
    log:
        The log of the rule; empty if the rule has none.
    other_logs:
        Further logs, such as the log of the batch system.
    said:
        The message of the executor or the operating system; may be empty.
    interrupted:
        Ctrl-C ended the job.
    killed:
        A signal ended the job, or a batch system reported it: it may have had too little memory or time.
    """

    rule: str
    log: str
    other_logs: tuple[str, ...] = ()
    said: str = ""
    interrupted: bool = False
    killed: bool = False


@dataclass(frozen=True)
class _Ending:
    """How a process ended: by a signal, or with its own exit status."""

    signal: str = ""
    status: int = 0

    @property
    def said(self) -> str:
        if self.signal:
            return f"ended by {self.signal}{_MEANING.get(self.signal, '')}"
        return f"ended with exit status {self.status}" if self.status else ""


def read_job_errors(text: str, logs: Iterable[str], *, nested: bool = False) -> dict[str, JobError]:
    """Return, for each log in *logs*, the last error of the job with that log.

    A list of log names is not split at its commas, because names of plates may contain commas: known names are searched
    in it. If an ending may belong to another job, it is left out. In a batch system's log, one Snakemake runs *nested*
    in another, which repeats the error without its message: with *nested*, the last error with a message counts.
    """
    wanted = set(logs)
    found = {}
    # For each rule, the endings whose block has not been read yet; for each member's log, the logs of its group.
    endings: dict[str, list[_Ending]] = {}
    of_groups: dict[str, tuple[str, ...]] = {}
    matches = [match for pattern in (_ENDING, _GROUP, _BLOCK) for match in pattern.finditer(text)]
    for match in sorted(matches, key=re.Match.start):
        if match.re is _ENDING:
            endings.setdefault(match["rule"], []).append(_ending(match))
        elif match.re is _GROUP:
            others = tuple(_listed(match["listed"] or "").split(", ")) if match["listed"] else ()
            for listed in _LOG.findall(match["members"]):
                of_groups[listed] = others
        else:
            ending = _take(endings, match["rule"])
            listed = _listed(match["rest"])
            own = next((log for log in _beginnings(listed) if log in wanted), None)
            if own is not None:
                others = tuple(name for name in listed[len(own) :].split(", ") if name)
                error = _job_error(match, own, others, of_groups.pop(own, ()), ending)
                if error.said or not nested:
                    found[own] = error
    return found


def _job_error(
    block: re.Match[str], own: str, others: tuple[str, ...], of_group: tuple[str, ...], ending: _Ending
) -> JobError:
    message = " ".join((block["message"] or "").replace(_BOILERPLATE, "").split())
    said = [message] if message not in ("", "None") else []
    said += [f"job {match[1]} of the batch system"] if (match := _EXTERNAL.search(block["rest"])) else []
    said += ["the batch system's log says why its group of jobs failed"] if of_group else []
    of_batch_system = bool(said)
    said += [ending.said] if ending.said else []
    return JobError(
        block["rule"],
        own,
        others + of_group,
        "; ".join(said),
        interrupted=ending.signal == "SIGINT",
        killed=of_batch_system or bool(ending.signal),
    )


def _ending(match: re.Match[str]) -> _Ending:
    if match["signal"]:
        return _Ending(match["signal"])
    status = int(match["status"])
    try:
        return _Ending(signal.Signals(status - _SIGNALLED).name)
    except ValueError:  # not a signal
        return _Ending(status=status)


def _take(endings: dict[str, list[_Ending]], rule: str) -> _Ending:
    """Return and forget the ending of the rule's next block; an unknown ending if several different ones may be it."""
    waiting = endings.pop(rule, [])
    if not waiting:
        return _Ending()
    ending = waiting[0] if len(set(waiting)) == 1 else _Ending()
    endings[rule] = [ending] * (len(waiting) - 1)
    return ending


def _listed(lines: str) -> str:
    """Return the list of log names in the lines of a block, as text."""
    return match[1] if (match := _LOG.search(lines)) else ""


def _beginnings(listed: str) -> Iterable[str]:
    """Yield each prefix of a comma-separated list that may be its first name: names may contain commas."""
    end = listed.find(", ")
    while end >= 0:
        yield listed[:end]
        end = listed.find(", ", end + 1)
    yield listed
