"""Run the pipeline over the wells of a job and stage their results."""

from pathlib import Path

from wellfield.workflow.gpus import reserve_gpus
from wellfield.workflow.jobs import job

with (
    job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger,
    reserve_gpus(snakemake.resources.get("gpu", 0)) as gpus,
):
    from wellfield.workflow.process_well import process_job

    asked = snakemake.resources
    logger.info("%d MB and %d GPUs asked for; GPUs %s", asked.mem_mb, asked.get("gpu", 0), ", ".join(gpus) or "none")
    fitted = snakemake.input.get("illumination")
    process_job(
        snakemake.input.index,
        snakemake.input.plan,
        snakemake.wildcards.well,
        snakemake.output.staged,
        attempt=asked.attempt,
        illumination=Path(fitted).parent if fitted else None,
        scratch=snakemake.config.get("scratch"),
    )
