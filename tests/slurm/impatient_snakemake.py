"""Snakemake that asks for the state of its jobs every ``--seconds-between-status-checks``.

As installed, its SLURM plugin waits ten seconds longer after each time that no job had ended: right for jobs that take
an hour, and most of the time of a test whose jobs take seconds. Nothing else differs from the ``snakemake`` command.
"""

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(
    lambda executor: executor.workflow.remote_execution_settings.seconds_between_status_checks,
    lambda executor, longer: None,
)

if __name__ == "__main__":
    main()
