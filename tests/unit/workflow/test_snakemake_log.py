"""What Snakemake's log says of jobs that failed; its text is that of real runs, or of Snakemake's own formatter."""

import logging

import pytest
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from wellfield.workflow.snakemake_log import JobError, read_job_errors

LOG = "results/P1/logs/process_well/B03.log"
BOILERPLATE = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."

KILLED = """\
[Thu Nov 26 02:24:23 2026]
Job 14: P1 B03: running the pipeline
Reason: Missing output files: results/P1/.staging/B03; Input files updated by another job: results/P1/plan.json
RuleException:
CalledProcessError in file "/home/me/wellfield/rules/process.smk", line 26:
Command 'set -euo pipefail;  /home/me/.venv/bin/python /home/me/.snakemake/scripts/tmpxv4c2pn2.process_well.py' died \
with <Signals.SIGKILL: 9>.
[Thu Nov 26 02:24:28 2026]
Error in rule process_well:
    message: None
    jobid: 14
    input: results/P1/index.parquet, results/P1/plan.json
    output: results/P1/.staging/B03
    log: results/P1/logs/process_well/B03.log (check log file(s) for error details)
Exiting because a job execution failed. Look above for error messages
Complete log(s): /home/me/.snakemake/log/2026-11-26T022342.763257.snakemake.log
"""


def formatted(message, log=LOG, *, indent=False, other_logs=(), rule="process_well", **aux):
    """What Snakemake writes of a failed job."""
    values = {
        "event": LogEvent.JOB_ERROR,
        "rule_name": rule,
        "rule_msg": message,
        "jobid": 14,
        "input": ["results/P1/index.parquet", "results/P1/plan.json"],
        "output": ["results/P1/.staging/B03"],
        "log": [log, *other_logs],
        "conda_env": None,
        "shellcmd": None,
        "aux": aux,
        "indent": indent,
    }
    record = logging.makeLogRecord({"msg": f"Error in rule {rule}, jobid: 14", **values})
    return DefaultFormatter().format(record) + "\n"


def of_slurm(status, **changes):
    # As snakemake-executor-plugin-slurm words it; the executors' interface adds the rest.
    message = f"SLURM-job '123' failed, SLURM status is: '{status}'. Reason: Unknown.{BOILERPLATE}"
    return formatted(message, other_logs=["/home/me/.snakemake/slurm_logs/123.log"], external_jobid="123", **changes)


def test_a_killed_job_of_the_machine_itself_is_named_with_its_signal():
    said = "ended by SIGKILL, as by a system that has no memory left"
    assert read_job_errors(KILLED, [LOG]) == {LOG: JobError("process_well", LOG, (), said)}


def test_what_the_executor_of_a_cluster_said_is_found_with_its_job_and_its_log():
    error = read_job_errors(of_slurm("TIMEOUT"), [LOG])[LOG]
    assert "SLURM status is: 'TIMEOUT'" in error.said
    assert "further error details" not in error.said
    assert error.said.endswith("; job 123 of the batch system")
    assert error.other_logs == ("/home/me/.snakemake/slurm_logs/123.log",)


@pytest.mark.parametrize("indent", [False, True], ids=["alone", "in a group"])
def test_messages_of_several_lines_and_of_groups_are_read(indent):
    text = "2 of 12 steps (17%) done\n" + formatted("first line\nsecond line", indent=indent) + "Execute 1 jobs...\n"
    assert read_job_errors(text, [LOG])[LOG].said == "first line second line"


@pytest.mark.parametrize("plate", ["P1", "My plate, 3", "Plättchen µ (2)", "a, results/a"])
def test_plates_may_have_any_name(plate):
    log = f"results/{plate}/logs/process_well/B03.log"
    found = read_job_errors(of_slurm("FAILED", log=log), [log, "results/a/logs/process_well/B03.log"])
    assert list(found) == [log]
    assert found[log].other_logs == ("/home/me/.snakemake/slurm_logs/123.log",)


def test_of_several_attempts_the_last_counts_and_of_several_jobs_each():
    other = LOG.replace("B03", "C04")
    text = of_slurm("OUT_OF_MEMORY") + "Trying to restart job 14.\n" + of_slurm("NODE_FAIL") + formatted("x", log=other)
    found = read_job_errors(text, [LOG, other])
    assert "NODE_FAIL" in found[LOG].said
    assert found[other].said == "x"


@pytest.mark.parametrize(
    ("ending", "interrupted"),
    [
        ("died with <Signals.SIGINT: 2>", True),
        ("returned non-zero exit status 130", True),
        ("died with <Signals.SIGKILL: 9>", False),
        ("returned non-zero exit status 1", False),
    ],
)
def test_what_ctrl_c_ended_is_told_from_what_failed(ending, interrupted):
    text = KILLED.replace("died with <Signals.SIGKILL: 9>", ending)
    assert read_job_errors(text, [LOG])[LOG].interrupted is interrupted


def test_the_end_of_another_job_is_not_taken_for_that_of_this_one():
    assert read_job_errors(KILLED + formatted(None), [LOG])[LOG].said == ""


@pytest.mark.parametrize("text", ["", "nothing of the kind", KILLED[:-400], "Error in rule process_well:\n", "\x00"])
def test_a_log_without_a_complete_block_says_nothing(text):
    assert read_job_errors(text, [LOG]) == {}
