"""What Snakemake's log says of jobs that failed; its text is that of real runs, or of Snakemake's own formatter."""

import logging
from types import SimpleNamespace

import pytest
from snakemake.jobs import GroupJob
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
    assert read_job_errors(KILLED, [LOG]) == {LOG: JobError("process_well", LOG, (), said, killed=True)}


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


def without_block(ending="died with <Signals.SIGKILL: 9>"):
    """The lines above a block, which say how the process ended."""
    return KILLED.partition("[Thu Nov 26 02:24:28")[0].replace("died with <Signals.SIGKILL: 9>", ending)


@pytest.mark.parametrize(
    ("ending", "said", "killed"),
    [
        ("died with <Signals.SIGXCPU: 24>", "ended by SIGXCPU", True),
        ("returned non-zero exit status 137", "ended by SIGKILL, as by a system that has no memory left", True),
        ("returned non-zero exit status 143", "ended by SIGTERM", True),
        ("returned non-zero exit status 1", "ended with exit status 1", False),
        ("returned non-zero exit status 255", "ended with exit status 255", False),
    ],
)
def test_what_was_killed_is_told_from_what_stopped_at_an_error_of_its_own(ending, said, killed):
    error = read_job_errors(KILLED.replace("died with <Signals.SIGKILL: 9>", ending), [LOG])[LOG]
    assert (error.said, error.killed) == (said, killed)


def test_in_a_batch_systems_log_the_outer_snakemake_does_not_hide_what_the_inner_said():
    text = KILLED + "srun: error: n1: task 0: Exited with exit code 1\n" + formatted(None)
    assert "SIGKILL" in read_job_errors(text, [LOG], nested=True)[LOG].said
    assert read_job_errors(formatted(None), [LOG], nested=True) == {}


def test_what_a_batch_system_reports_may_have_had_too_little():
    assert read_job_errors(of_slurm("TIMEOUT"), [LOG])[LOG].killed


def test_the_end_of_a_job_of_another_rule_is_not_taken_for_that_of_this_one():
    other = "results/P1/logs/materialize_well/C04.log"
    both = without_block() + formatted(None, log=other, rule="materialize_well") + formatted(None)
    found = read_job_errors(both, [LOG, other])
    assert "SIGKILL" in found[LOG].said
    assert found[other].said == ""


@pytest.mark.parametrize(
    ("second", "said"),
    [("died with <Signals.SIGKILL: 9>", "ended by SIGKILL"), ("returned non-zero exit status 1", "")],
    ids=["in the same way", "in another way"],
)
def test_of_jobs_of_one_rule_that_end_at_once_it_is_said_only_how_all_of_them_did(second, said):
    other = LOG.replace("B03", "C04")
    text = without_block() + without_block(second) + formatted(None, log=other) + formatted(None)
    found = read_job_errors(text, [LOG, other])
    assert all(found[log].said.startswith(said) and bool(found[log].said) == bool(said) for log in (LOG, other))


SLURM_LOG = "/home/me/.snakemake/slurm_logs/group_well/8.log"


def group_error(slurm_log, *wells):
    """What Snakemake writes of a group of jobs that failed on a cluster: what its executor said is lost."""
    logger = logging.getLogger("snakemake.logging")
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(DefaultFormatter().format(record))

    def job(rule, well):
        values = {"rule_name": rule, "rule_msg": None, "jobid": 14, "input": [], "output": ["x"], "conda_env": None}
        values |= {"log": [f"results/P1/logs/{rule}/{well}.log"], "shellcmd": None, "event": LogEvent.JOB_ERROR}

        def log_error(**changes):
            logger.error("Error in rule %s", rule, extra={**values, "aux": {}, **changes})

        return SimpleNamespace(
            rule=SimpleNamespace(name=rule), log_error=log_error, get_log_error_info=lambda **_: values
        )

    jobs = [job(rule, well) for well in wells for rule in ("process_well", "materialize_well")]
    logger.addHandler(handler)
    try:
        GroupJob.log_error(
            SimpleNamespace(groupid="3f9c", jobs=jobs), "SLURM status is: 'TIMEOUT'", [slurm_log], external_jobid="8"
        )
    finally:
        logger.removeHandler(handler)
    return "\n".join(lines) + "\n"


def test_of_jobs_in_a_group_the_log_of_the_batch_system_is_found():
    other = LOG.replace("B03", "C04")
    text = group_error(SLURM_LOG, "B03") + "[now]\n" + group_error("/home/me/9.log", "C04")
    said = "the batch system's log says why its group of jobs failed"
    assert read_job_errors(text, [LOG, other]) == {
        LOG: JobError("process_well", LOG, (SLURM_LOG,), said, killed=True),
        other: JobError("process_well", other, ("/home/me/9.log",), said, killed=True),
    }


def test_of_several_attempts_at_a_group_the_last_counts():
    text = group_error(SLURM_LOG, "B03") + group_error("/home/me/9.log", "B03")
    assert read_job_errors(text, [LOG])[LOG].other_logs == ("/home/me/9.log",)


@pytest.mark.parametrize("text", ["", "nothing of the kind", KILLED[:-400], "Error in rule process_well:\n", "\x00"])
def test_a_log_without_a_complete_block_says_nothing(text):
    assert read_job_errors(text, [LOG]) == {}
